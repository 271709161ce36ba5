"""`FTPTarget.ftp`: commands of the user's own, in the conversation of a target.

Older releases exposed the `ftplib.FTP` object that did all the work, and scripts use it for what a target
does not offer, such as `target.ftp.sendcmd("SITE CHMOD 644 index.html")`. Here the native core holds the
conversation. This object is an `ftplib.FTP` whose socket is that conversation: commands and replies go through the
core, which keeps them in step with those of the target; all else is `ftplib`.
"""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import hmac
import io
import socket
import ssl
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftpsync import _core
    from ftpsync.ftp_target import FTPTarget

__all__ = ["attach", "detach", "lead", "make_user_ftp"]

#: Commands after which the server may stand in another folder.
_MOVING = ("CWD", "XCWD", "CDUP", "XCUP", "USER", "PASS", "REIN", "SMNT")

_UPLOADING = ("STOR", "STOU", "APPE")


def make_user_ftp(target: FTPTarget) -> ftplib.FTP:
    """Makes the object for a target, an `ftplib.FTP_TLS` if the target uses TLS; connected if the target is."""
    ftp: _UserFTP | _UserFTPS
    # The context is for a connection that the user opens himself; see connect().
    ftp = _UserFTPS(context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) if target.tls else _UserFTP()
    ftp.encoding = target.encoding or "utf-8"
    ftp._target = weakref.ref(target)
    attach(ftp)
    return ftp


def attach(ftp: ftplib.FTP) -> None:
    """Joins such an object to the conversation of its open target; harmless when it is not open."""
    if isinstance(ftp, (_UserFTP, _UserFTPS)):  # Or else the user put something of his own there.
        ftp._join()


def detach(ftp: ftplib.FTP, target: FTPTarget) -> None:
    """Parts such an object from the conversation, which has ended; ends that of an object that was led."""
    if isinstance(ftp, (_UserFTP, _UserFTPS)):
        ftp._part()
    elif target._led_to is not None:
        target._led_to = None
        with contextlib.suppress(Exception):  # The connection may be gone already; the work is done.
            ftp.quit()
        ftp.close()


def lead(ftp: ftplib.FTP, target: FTPTarget) -> None:
    """Connects an object of the user's own to the server of an open target, and takes it to the current folder.

    One that he has connected himself is left alone.

    Raises:
        RuntimeError: The target uses TLS, and the object does not.
        ftplib.Error: The server refused something.
        OSError: The server could not be reached.
    """
    if isinstance(ftp, (_UserFTP, _UserFTPS)) or not isinstance(ftp, ftplib.FTP):
        return
    if ftp.sock is None:
        target._led_to = None
        if target.tls and not isinstance(ftp, ftplib.FTP_TLS):
            raise RuntimeError(
                f"{target} uses TLS: what is put into its attribute ftp must be an ftplib.FTP_TLS."
            )
        ftp.encoding = target.encoding or "utf-8"
        seconds = target._seconds()
        ftp.connect(target.host or "", target.port or 0, -999 if seconds is None else seconds)
        ftp.login(target.username or "", target.password or "")
        if isinstance(ftp, ftplib.FTP_TLS) and target.tls:
            ftp.prot_p()
    elif target._led_to is None:
        return
    here = target.cur_dir or target.root_dir
    if target._led_to != here:
        ftp.cwd(here)
        target._led_to = here


class _InConversation:
    """What an `ftplib.FTP` does otherwise when it shares the conversation of a target."""

    _target: weakref.ref[FTPTarget] | None = None
    #: The session whose conversation it shares.
    _session: _core.Session | None = None
    _talk: _core.ByHand | None = None
    _native: _core.Target | None = None
    _level = 0
    _is_passive = True
    _trace: _core.Trace | None = None
    context: ssl.SSLContext

    # --- Life ---

    def _owner(self) -> FTPTarget | None:
        return self._target() if self._target is not None else None

    def _its_target(self) -> FTPTarget | None:
        """Returns the target while it is open."""
        target = self._owner()
        return target if target is not None and target.connected and target._session is not None else None

    def _join(self: Any) -> FTPTarget | None:
        """Shares the conversation of the target, if that is open; returns the target then."""
        target: FTPTarget | None = self._its_target()
        if target is None:
            return None
        session = target._own_session()
        if session is not self._session:
            self._hang_up()
            self._session, self._talk, self._trace = session, session.by_hand(), target._trace
            self.host, self.port = target.host, target.port or ftplib.FTP_PORT
            self.timeout = target._seconds()
            self.encoding = target.encoding or "utf-8"
            if self._native is not target._native:  # Freshly opened; else another session of the same run.
                self._native = target._native
                self._is_passive = not target.get_option("ftp_active", False)
                self.trust_server_pasv_ipv4_address = bool(target.get_option("trust_pasv_host", False))
            self.sock = _ControlSocket(self._talk)
            self.af = self.sock.family
            self.file = _Replies(self._talk, self)
            self.welcome = self._talk.greetings[0]
            if isinstance(self, _UserFTPS):
                self._prot_p = True
        return target

    def _part(self: Any) -> None:
        self._hang_up()
        self._session = self._talk = self._trace = self._native = None

    def _hang_up(self: Any) -> None:
        """Closes what `ftplib` has open."""
        ftplib.FTP.close(self)

    def connect(
        self: Any, host: str = "", port: int = 0, timeout: float | None = -999, source_address: Any = None
    ) -> str:
        """Connects anew where the target is open; else by `ftplib`, to whatever host the user likes."""
        target = self._its_target()
        if target is None:
            if isinstance(self, _UserFTPS):
                self.context = _tls_context(self._owner())
            welcome: str = super().connect(host, port, timeout, source_address)  # type: ignore[misc]
            return welcome
        if (host or target.host, port or target.port or 21) != (target.host, target.port or 21):
            raise RuntimeError(f"{target} is open; close it before connecting to {host}:{port}.")
        target._call_again()
        self._join()
        return str(self.welcome)

    def login(self: Any, user: str = "", passwd: str = "", acct: str = "", *secure: Any, **named: Any) -> str:
        """Logs in. A conversation that is shared with the target begins with its user logged in."""
        if self._join() is None:
            reply: str = super().login(user, passwd, acct, *secure, **named)  # type: ignore[misc]
            return reply
        target = self._its_target()
        first = self._talk.greetings[1]
        if first is not None and (user or None, passwd or None) in (
            (None, None),
            (target.username, target.password),
        ):
            return str(first)
        return ftplib.FTP.login(self, user, passwd, acct)

    def auth(self: Any) -> str:
        """Starts TLS on a connection of the user's own."""
        if self._talk is not None:
            raise ValueError("Already using TLS")
        reply: str = super().auth()  # type: ignore[misc]
        target = self._owner()
        _check_pin(self.sock, target.get_option("tls_pin") if target is not None else None)
        return reply

    # --- Commands and replies ---

    def putcmd(self: Any, line: str) -> None:
        target = self._join()
        if target is not None and self.sock is not None:
            target._stand_in_place()
        super().putcmd(line)  # type: ignore[misc]
        if target is not None and line.split(" ", 1)[0].upper() in _MOVING:
            target._may_have_moved()

    def sanitize(self: Any, s: str) -> str:
        """Returns a text for the user's eyes: quoted, and without the password."""
        text: str = super().sanitize(s)  # type: ignore[misc]
        if self._talk is None or self.sock is None:
            return text
        with contextlib.suppress(RuntimeError, OSError, EOFError):
            text = self._talk.masked(text)
        return text

    @property
    def debugging(self) -> int:
        return self._trace.level if self._trace is not None else self._level

    @debugging.setter
    def debugging(self, level: int) -> None:
        self._level = level
        if self._trace is not None:
            self._trace.level = max(0, min(level, 255))

    @property
    def passiveserver(self) -> bool:
        return self._is_passive

    @passiveserver.setter
    def passiveserver(self, is_passive: bool) -> None:
        self._is_passive = bool(is_passive)
        if self._talk is not None:
            self._talk.set_active(not is_passive)

    # --- Transfers ---

    def ntransfercmd(self: Any, cmd: str, rest: int | str | None = None) -> tuple[Any, int | None]:
        """Starts a transfer: returns its connection, and the size that the server announces, if it does."""
        if self._join() is None:
            own: tuple[Any, int | None] = super().ntransfercmd(cmd, rest)  # type: ignore[misc]
            return own
        if self.passiveserver:
            host, port = self.makepasv()
            is_elsewhere = self.trust_server_pasv_ipv4_address and self.af == socket.AF_INET
            connection = self._talk.dial(port, host if is_elsewhere else None)
            try:
                reply = self._begin(cmd, rest)
            except BaseException:
                connection.give_up()
                raise
        else:
            listener = self._talk.listen()
            try:
                host, port = listener.at
                if self.af == socket.AF_INET:
                    self.sendport(host, port)
                else:
                    self.sendeprt(host, port)
                reply = self._begin(cmd, rest)
                connection = listener.accept()
            finally:
                listener.close()
        connection.begin(cmd.split(" ", 1)[0].upper() in _UPLOADING)
        size = ftplib.parse150(reply) if reply[:3] == "150" else None
        return _DataSocket(connection), size

    def _begin(self: Any, cmd: str, rest: int | str | None) -> str:
        if rest is not None:
            self.sendcmd(f"REST {rest}")
        reply: str = self.sendcmd(cmd)
        if reply[0] == "2":  # Some servers say 200 before the reply that begins the transfer.
            reply = self.getresp()
        if reply[0] != "1":
            raise ftplib.error_reply(reply)
        return reply


class _UserFTP(_InConversation, ftplib.FTP):  # type: ignore[misc]
    pass


class _UserFTPS(_InConversation, ftplib.FTP_TLS):  # type: ignore[misc]
    pass


class _ControlSocket:
    """The conversation, as far as `ftplib` and its users look at it as a socket."""

    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, talk: _core.ByHand) -> None:
        self._talk = talk
        self.family = socket.AF_INET6 if ":" in talk.ends[0][0] else socket.AF_INET

    def sendall(self, lines: bytes, flags: int = 0) -> None:
        """Sends command lines; never as urgent data, which would get in the way of their order."""
        for line in lines.removesuffix(b"\r\n").split(b"\r\n"):
            self._talk.send(line)

    def getsockname(self) -> tuple[Any, ...]:
        return self._talk.ends[0]

    def getpeername(self) -> tuple[Any, ...]:
        return self._talk.ends[1]

    def fileno(self) -> int:
        return self._talk.fileno()

    def setsockopt(self, *args: Any) -> None:
        with self._socket() as own:
            own.setsockopt(*args)

    def getsockopt(self, *args: Any) -> int | bytes:
        with self._socket() as own:
            return own.getsockopt(*args)

    @contextlib.contextmanager
    def _socket(self) -> Iterator[socket.socket]:
        """Gives a second handle of the socket for a moment."""
        own = socket.socket(fileno=socket.dup(self._talk.fileno()))
        try:
            own.setblocking(True)  # It is not if somebody has called socket.setdefaulttimeout().
            yield own
        finally:
            own.close()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # It is busy, and ends with what it is busy with.
            self._talk.hang_up()


class _Replies:
    """The replies of the server as a file of lines."""

    def __init__(self, talk: _core.ByHand, ftp: ftplib.FTP) -> None:
        self._talk = talk
        self._ftp = weakref.ref(ftp)
        self._lines: list[bytes] = []

    def readline(self, limit: int = -1) -> str:
        if not self._lines:
            self._lines = self._talk.reply()
        ftp = self._ftp()
        line = self._lines.pop(0).decode(ftp.encoding if ftp is not None else "utf-8", "replace") + "\r\n"
        return line if limit < 0 else line[:limit]

    def close(self) -> None:
        self._lines.clear()


class _DataSocket:
    """The connection of one transfer, as far as `ftplib` and its users look at it as a socket."""

    def __init__(self, connection: _core.DataConnection) -> None:
        self._connection = connection

    def recv(self, limit: int, flags: int = 0) -> bytes:
        return self._connection.read(limit)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        block = self._connection.read(nbytes or len(view))
        view[: len(block)] = block
        return len(block)

    def sendall(self, block: Any, flags: int = 0) -> None:
        self._connection.write(bytes(block))

    def send(self, block: Any, flags: int = 0) -> int:
        self.sendall(block)
        return len(block)

    def makefile(self, mode: str = "r", buffering: int = -1, **text: Any) -> Any:
        """Returns a file for the bytes or the text of the transfer; it does not close the connection."""
        raw = _DataFile(self, mode)
        if buffering == 0:
            return raw
        file = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, **text)

    def unwrap(self) -> _DataSocket:
        """Does nothing: TLS ends with the connection."""
        return self

    def close(self) -> None:
        """Ends the transfer: what was sent is all."""
        self._connection.close()

    def __enter__(self) -> _DataSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # The server shall not take what was sent for complete.
            self._connection.give_up()


class _DataFile(io.RawIOBase):
    """A transfer as a file."""

    def __init__(self, connection: _DataSocket, mode: str) -> None:
        self._connection = connection
        self._is_for_reading = "r" in mode

    def readable(self) -> bool:
        return self._is_for_reading

    def writable(self) -> bool:
        return not self._is_for_reading

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)

    def write(self, block: Any) -> int:
        return self._connection.send(block)


def _tls_context(target: FTPTarget | None) -> ssl.SSLContext:
    """Returns a context that trusts what the core does: the system, a CA file, a pin, or anybody."""
    if target is None:
        return ssl.create_default_context()
    context = ssl.create_default_context(cafile=target.get_option("tls_ca"))
    if target.get_option("tls_ca"):
        context.load_default_certs()
    is_unchecked = target.get_option("no_verify_tls", False) or not target.get_option("tls_verify", True)
    if is_unchecked or target.get_option("tls_pin"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_pin(sock: Any, pin: str | None) -> None:
    """Makes sure that the server has the pinned certificate.

    Raises:
        ssl.SSLError: It has another one.
    """
    if not pin:
        return
    wanted = pin.removeprefix("sha256:").replace(":", "").lower()
    found = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()
    if not hmac.compare_digest(wanted, found):
        raise ssl.SSLError(f"the certificate of the server is not the pinned one but sha256:{found}")
