"""FTP servers inside the test process: one that does as it is told, and one that lists what no server should.

Real servers, each in a process of its own, are in `servers`.
"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler, ThrottledDTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

LOGIN = "joe:pass-word"
ALL_RIGHTS = "elradfmwMT"
READ_ONLY = "elr"


class Small:
    """A running server.

    Attributes:
        url: Its root, with user and password; `ftps://` if it speaks TLS.
        port: Where it listens.
        commands: What clients have sent, e.g. `STOR a`.
        is_alone: Whether no client is connected any more, and nothing of any is still to be written.
    """

    def __init__(
        self,
        port: int,
        scheme: str = "ftp",
        is_alone: Callable[[], bool] = lambda: True,
        line: type[Any] | None = None,
    ) -> None:
        self.port = port
        self._line = line
        self.url = f"{scheme}://{LOGIN}@127.0.0.1:{port}/"
        self.commands: list[str] = []
        self.is_alone = is_alone

    def hurry(self) -> None:
        """Lets data be moved without a limit from now on."""
        assert self._line is not None, "it has never had one"
        self._line.read_limit = self._line.write_limit = 0


def throttled(bytes_per_second: int) -> type[Any]:
    """Returns a kind of data connection that moves so many bytes a second, or without a limit for 0."""
    limits = {"read_limit": bytes_per_second, "write_limit": bytes_per_second}
    # A client that is gone before it is served is let go of before the base class has set this.
    return type("Throttled", (ThrottledDTPHandler,), {**limits, "_throttler": None})


@contextmanager
def ftp_server(
    root: Path,
    rights: str = ALL_RIGHTS,
    without: Sequence[str] = (),
    users: Sequence[str] = ("joe",),
    hides_dots: bool = False,
    before: Callable[[str], None] = lambda command: None,
    folds: Callable[[str], str] | None = None,
    refuses: Mapping[str, str] | None = None,
    bytes_per_second: int | None = None,
    adds: str = "",
    certificate: Path | None = None,
    host: str = "127.0.0.1",
    silent_at: Sequence[str] = (),
    shows: Callable[[str], bool] = lambda name: True,
    clock_ahead: float = 0,
    most: int | None = None,
) -> Iterator[Small]:
    """Serves a folder.

    Args:
        root: The folder.
        rights: What users may do, in the letters of pyftpdlib.
        without: Commands that the server does not know, e.g. `MFMT`.
        users: All with the same password.
        hides_dots: NLST leaves out names that begin with a dot, and answers 550 where nothing is left.
        before: Called with each command before it is carried out, e.g. with `STOR a`.
        folds: Names that this makes alike are one to the disk of the server.
        bytes_per_second: How fast data connections are, if that is limited.
        refuses: Replies to commands that are not carried out, e.g. `{"RNTO": "550 no"}`.
        adds: What every line of every reply ends with.
        certificate: A file with key and certificates, of a server that insists on TLS.
        host: The address to listen at. The URL names the usual one.
        silent_at: Commands that are never answered.
        shows: Whether listings name an entry.
        clock_ahead: The time that new files have is that of a clock so many seconds ahead.
        most: So many clients at the same time; all others are told to come later.
    """
    authorizer = DummyAuthorizer()
    for user in users:
        authorizer.add_user(user, "pass-word", str(root), perm=rights)

    base = FTPHandler
    if certificate is not None:
        from pyftpdlib.handlers import TLS_FTPHandler

        base = type("Tls", (TLS_FTPHandler,), {"certfile": str(certificate)})
        base.tls_control_required = base.tls_data_required = True

    class Session(base):  # type: ignore[misc]
        proto_cmds = {name: what for name, what in base.proto_cmds.items() if name not in without}  # noqa: RUF012

        def pre_process_command(self, line: str, cmd: str, arg: str) -> Any:
            command = f"{cmd} {arg}".strip()
            small.commands.append(command)
            before(command)
            if cmd in silent_at:
                return None
            if refuses and cmd in refuses:
                return self.respond(refuses[cmd])
            return super().pre_process_command(line, cmd, arg)

        def handle(self) -> None:
            held = [other for other in server.ioloop.socket_map.values() if isinstance(other, Session)]
            if most is not None and len(held) > most:
                return self.handle_max_cons()
            return super().handle()

        def on_file_received(self, file: str) -> None:
            if clock_ahead:
                there = time.time() + clock_ahead
                os.utime(file, (there, there))

        def push(self, data: str) -> None:
            super().push(data.replace("\r\n", f"{adds}\r\n"))

        def ftp_NLST(self, path: str) -> Any:
            if not hides_dots:
                return super().ftp_NLST(path)
            names = [name for name in sorted(os.listdir(path)) if not name.startswith(".")]
            if not names:
                return self.respond("550 No files found.")
            return self.push_dtp_data("".join(f"{name}\r\n" for name in names).encode(), cmd="NLST")

    class Folding(AbstractedFS):  # type: ignore[misc]
        def listdir(self, path: str) -> list[str]:
            return [name for name in super().listdir(path) if shows(name)]

        def ftp2fs(self, path: str) -> str:
            found = Path(super().ftp2fs(path))
            if folds is None or not found.parent.is_dir():
                return str(found)
            alike = (name for name in os.listdir(found.parent) if folds(name) == folds(found.name))
            return str(found.parent / next(alike, found.name))

    Session.authorizer = authorizer
    line = throttled(bytes_per_second or 0) if certificate is None else None
    if line is not None:
        Session.dtp_handler = line
    Session.abstracted_fs = Folding
    # A loop of its own, so that several servers can run at the same time.
    server = FTPServer((host, 0), Session, ioloop=IOLoop())

    def is_alone() -> bool:
        # What listens for a data connection may be left behind by a client that is gone.
        listeners = FTPServer, Session.passive_dtp
        return all(isinstance(held, listeners) for held in list(server.ioloop.socket_map.values()))

    scheme = "ftp" if certificate is None else "ftps"
    small = Small(server.address[1], scheme, is_alone, line)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.ioloop.loop(timeout=0.05, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield small
    finally:
        stop.set()
        thread.join()
        server.close_all()


@contextmanager
def listing_server(*pieces: bytes) -> Iterator[Small]:
    """A server whose every folder lists as the pieces say, each sent in a packet of its own. Files are empty."""

    class Session(socketserver.StreamRequestHandler):
        data: socket.socket | None = None

        def handle(self) -> None:
            self.say("220 ready")
            for line in self.rfile:
                verb, _, argument = line.decode("latin-1").strip().partition(" ")
                small.commands.append(f"{verb} {argument}".strip())
                self.answer(verb.upper(), argument)
                if verb.upper() == "QUIT":
                    return

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def answer(self, verb: str, argument: str) -> None:
            if verb == "EPSV":
                self.say(f"229 Entering extended passive mode (|||{self.listen()}|)")
            elif verb == "PASV":
                high, low = divmod(self.listen(), 256)
                self.say(f"227 Entering passive mode (127,0,0,1,{high},{low})")
            elif verb == "MLSD":
                self.transfer(pieces)
            elif verb == "STOR":
                self.transfer(())
            else:
                self.say(ANSWERS.get(verb, "500 unknown command"))

        def listen(self) -> int:
            self.finish_data()
            self.data = socket.create_server(("127.0.0.1", 0))
            return int(self.data.getsockname()[1])

        def finish_data(self) -> None:
            if self.data is not None:
                self.data.close()

        def finish(self) -> None:
            self.finish_data()
            super().finish()

        def transfer(self, sent: Sequence[bytes]) -> None:
            self.say("150 here it comes")
            assert self.data is not None
            with self.data as listener, listener.accept()[0] as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in sent:
                    connection.sendall(piece)
                    time.sleep(0.05)  # So that each is a packet, and a read, of its own.
                if not sent:
                    while connection.recv(4096):
                        pass
            self.say("226 done")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Session) as server:
        small = Small(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield small
        finally:
            server.shutdown()
            thread.join()


ANSWERS = {
    "USER": "331 password?",
    "PASS": "230 welcome",
    "SYST": "215 UNIX Type: L8",
    "FEAT": "211-Features:\r\n UTF8\r\n MLST type*;size*;modify*;unique*;\r\n211 End",
    "OPTS": "200 fine",
    "TYPE": "200 fine",
    "PBSZ": "200 fine",
    "PWD": '257 "/" is the current folder',
    "CWD": "250 fine",
    "DELE": "250 gone",
    "RETR": "550 no such file",
    "SIZE": "550 no such file",
    "MDTM": "550 no such file",
    "NOOP": "200 fine",
    "QUIT": "221 bye",
}
