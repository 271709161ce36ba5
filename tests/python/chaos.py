"""A relay before a server that understands enough of FTP to stand between its data connections as well."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PASSIVE = re.compile(rb"\(\|\|\|(\d+)\|\)|\((\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\)")


@dataclass
class Trouble:
    """What becomes of one connection: what happens, after how many bytes, counted over both directions."""

    what: str = "nothing"
    """`reset`; `stall`: nothing passes any more; `flip`: one bit; `mute`: the server is not heard any more."""
    after: int = 0
    pause: float = 0.0
    """Seconds that each piece waits."""


#: Says what becomes of the n-th connection; the second argument tells whether it is one for data.
Plan = Callable[[int, bool], Trouble]


class Chaos:
    """The relay. `connections` and `happened` count what came and what went wrong."""

    def __init__(self, port: int) -> None:
        self.plan: Plan = lambda number, is_data: Trouble()
        self.connections, self.happened = 0, 0
        self.lock = threading.Lock()
        self.sockets: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.port = self.listen(port, is_data=False)

    def listen(self, target: int, *, is_data: bool) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self.start(self.accept, listener, target, is_data)
        self.sockets.append(listener)
        return int(listener.getsockname()[1])

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self, listener: socket.socket, target: int, is_data: bool) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self.sockets.append(client)
            try:
                server = socket.create_connection(("127.0.0.1", target))
            except OSError:
                client.close()
                continue
            self.sockets.append(server)
            with self.lock:
                trouble = self.plan(self.connections, is_data)
                self.connections += 1
            Line(self, client, server, trouble, is_data=is_data)
            if is_data:
                return

    def close(self) -> None:
        """Ends all conversations, and waits until nobody uses them any more."""
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        for end in self.sockets:
            end.close()

    def has_happened(self) -> None:
        with self.lock:
            self.happened += 1


class Line:
    """One connection through the relay."""

    def __init__(
        self, chaos: Chaos, client: socket.socket, server: socket.socket, trouble: Trouble, *, is_data: bool
    ) -> None:
        self.chaos, self.trouble, self.is_data = chaos, trouble, is_data
        self.passed, self.is_over, self.directions = 0, False, 2
        self.lock = threading.Lock()
        self.ends = (client, server)
        for end in self.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, is_answer in ((client, server, False), (server, client, True)):
            chaos.start(self.pass_on, source, sink, is_answer)

    def pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        try:
            while piece := source.recv(4096):
                if self.trouble.pause:
                    time.sleep(self.trouble.pause)
                treated = self.treat(piece, is_answer)
                if treated is None:
                    return self.reset()
                sink.sendall(treated)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.directions -= 1
            is_last = self.directions == 0
        if is_last:
            for end in self.ends:
                end.close()

    def reset(self) -> None:
        """Both ends learn at once, by a reset, that the line is gone."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()

    def treat(self, piece: bytes, is_answer: bool) -> bytes | None:
        with self.lock:
            begun, self.passed = self.passed, self.passed + len(piece)
        trouble = self.trouble
        if trouble.what != "nothing" and self.passed > trouble.after:
            at = max(trouble.after - begun, 0)
            if not self.is_over:
                self.is_over = True
                self.chaos.has_happened()
                if trouble.what == "flip":
                    return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
            if trouble.what == "reset":
                return None
            if trouble.what == "stall" or (trouble.what == "mute" and is_answer):
                return b""
        if is_answer and not self.is_data:
            piece = PASSIVE.sub(self.through_the_relay, piece)
        return piece

    def through_the_relay(self, found: re.Match[bytes]) -> bytes:
        if found[1]:
            return b"(|||%d|)" % self.chaos.listen(int(found[1]), is_data=True)
        high, low = divmod(self.chaos.listen(int(found[6]) * 256 + int(found[7]), is_data=True), 256)
        return b"(127,0,0,1,%d,%d)" % (high, low)


@contextmanager
def chaos(port: int) -> Iterator[Chaos]:
    relay = Chaos(port)
    try:
        yield relay
    finally:
        relay.close()


def weather(seed: int, control: int = 600, data: int = 4_000, share: float = 0.4) -> Plan:
    """Some connections are reset, after about so many bytes; some are slow."""
    dice = random.Random(seed)

    def plan(_: int, is_data: bool) -> Trouble:
        pause = dice.choice([0, 0, 0, 0.01])
        if dice.random() > share:
            return Trouble(pause=pause)
        return Trouble("reset", int(dice.expovariate(1 / (data if is_data else control))), pause)

    return plan
