"""A proxy on loopback that speaks SOCKS5 and HTTP CONNECT, and remembers what it was asked for."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: The user and the password of a proxy that wants them.
CREDENTIALS = ("proxy user", "pr0xy:s3cret@")


@dataclass
class Proxy:
    """A running proxy. Names that only it knows lead to loopback."""

    port: int
    wants_login: bool = False
    is_silent: bool = False
    allows: set[int] | None = None
    """The ports it connects to; None for all."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Hosts and ports, as they were given."""
    delays: dict[int, float] = field(default_factory=dict)
    """By how many seconds what goes to a port, and comes from it, arrives later."""
    cuts_after: int = 0
    """The first connection that brings more bytes is cut; 0 for none."""
    spoils: bytes = b""
    """Where these pass for the first time, a bit of them flips."""

    def serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            first = client.recv(1, socket.MSG_PEEK)
            if self.is_silent:
                client.recv(1 << 16)
                client.recv(1)
                return
            place = self._socks(client) if first == b"\x05" else self._http(client)
            if place is None:
                return
            with socket.create_connection(place, timeout=10) as server:
                server.settimeout(None)
                _agree(client, first)
                delay = self.delays.get(place[1], 0)
                back = threading.Thread(target=self._pass_on, args=(server, client, delay), daemon=True)
                back.start()
                self._pass_on(client, server, delay)
                back.join(10)

    def _place(self, host: str, port: int) -> tuple[str, int] | None:
        self.asked.append((host, port))
        if self.allows is not None and port not in self.allows:
            return None
        return ("127.0.0.1" if host.endswith(".test") else host), port

    def _pass_on(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                passed += len(block)
                if self.cuts_after and passed > self.cuts_after:
                    self.cuts_after = 0
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        end.shutdown(socket.SHUT_RDWR)
                    return
                if self.spoils and self.spoils in block:
                    block = block.replace(self.spoils, bytes([self.spoils[0] ^ 1]) + self.spoils[1:])
                    self.spoils = b""
                time.sleep(delay)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    def _socks(self, client: socket.socket) -> tuple[str, int] | None:
        _, count = _exactly(client, 2)
        methods = _exactly(client, count)
        wanted = 2 if self.wants_login else 0
        if wanted not in methods:
            client.sendall(b"\x05\xff")
            return None
        client.sendall(bytes([5, wanted]))
        if self.wants_login:
            _, length = _exactly(client, 2)
            user = _exactly(client, length).decode()
            password = _exactly(client, _exactly(client, 1)[0]).decode()
            is_right = (user, password) == CREDENTIALS
            client.sendall(bytes([1, 0 if is_right else 1]))
            if not is_right:
                return None
        _, _, _, kind = _exactly(client, 4)
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _exactly(client, length))
        (port,) = struct.unpack("!H", _exactly(client, 2))
        place = self._place(host, port)
        if place is None:
            client.sendall(b"\x05\x02\x00\x01" + bytes(6))
        return place

    def _http(self, client: socket.socket) -> tuple[str, int] | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(client, 1)
        verb, target, _ = head.split(b"\r\n")[0].decode().split()
        assert verb == "CONNECT"
        login = base64.b64encode(":".join(CREDENTIALS).encode())
        if self.wants_login and b"Proxy-Authorization: Basic " + login not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return None
        host, _, port = target.rpartition(":")
        place = self._place(host.strip("[]"), int(port))
        if place is None:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nServer: test\r\n\r\n")
        return place


def _agree(client: socket.socket, first: bytes) -> None:
    if first == b"\x05":
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
    else:
        client.sendall(b"HTTP/1.1 200 Connection established\r\nServer: test\r\n\r\n")


def _exactly(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = client.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found


@contextmanager
def running(*, wants_login: bool = False, is_silent: bool = False) -> Iterator[Proxy]:
    """Runs a proxy until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1], wants_login, is_silent)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        # On Linux, closing alone would leave the thread in accept().
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
