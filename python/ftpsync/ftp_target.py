"""A folder on an FTP server, plain or with TLS.

The conversation with the server is native (`ftpsync._core`); this class finds credentials, words what the
user sees while connecting, and offers the verbs for use by hand.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from ftpsync._base_target import _get_encoding_opt, _Target
from ftpsync._errors import harmless
from ftpsync._lazy import lazily
from ftpsync._proxy import proxy_for
from ftpsync._server_login import check_server
from ftpsync._server_target import ServerTarget
from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersion, IncompatibleMetadataVersionError
from ftpsync.util import (
    CliSilentRuntimeError,
    get_credentials_for_url,
    prompt_for_password,
    save_password,
    write,
    write_error,
)

if TYPE_CHECKING:
    import ftplib

__all__ = [
    "CliSilentRuntimeError",
    "DirMetadata",
    "FTPTarget",
    "FtpTarget",
    "IncompatibleMetadataVersion",
    "IncompatibleMetadataVersionError",
    "_Target",
]

# For mock.patch() with the paths of release 4.1; hidden from type checkers, who would take any name then.
if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, {"ftplib": "ftplib"})

_FTP_PORT: Final = 21

#: Options that the native target reads, with the value that stands for "not given".
_NATIVE_OPTIONS = (
    "connect_timeout",
    "connections",
    "ftp_active",
    "ftp_debug",
    "ftp_engine",
    "inplace",
    "no_mlsd",
    "no_verify_tls",
    "session_time",
    "tls_ca",
    "tls_cert",
    "tls_implicit",
    "tls_key",
    "tls_max",
    "tls_pin",
    "tls_verify",
    "trust_pasv_host",
    "verify",
)

#: Options that say who the server has to be, or who this side is.
_ABOUT_TLS = ("tls_implicit", "tls_pin", "tls_ca", "tls_cert")

_IMPLICIT_TLS_PORT = 990


class FTPTarget(ServerTarget):
    """A folder on an FTP server.

    Args:
        path: Absolute path on the server; empty means `/`.
        host: Name or address.
        port: 0 for the usual one.
        username: None to look it up when opening. An empty one is that of a guest.
        password: None to look it up when opening.
        tls: Encrypt commands and data (FTPS; implicit on port 990, else explicit).
        timeout: Seconds; None for the option `timeout`, else `socket.getdefaulttimeout()`.
        extra_opts: Options of this target alone.

    Attributes:
        username, password, port, tls, timeout: As given; may be set until `open()`.
        ftp: For FTP commands of your own, an `ftplib.FTP`; connected while the target is open.
        feat_response, syst_response: Replies of the server, once known.
        support_utf8: The server announced UTF-8 file names.
        lock_data, lock_write_time: The lock file that a run holds on the server, if any.
        ftp_socket_connected: A session with the server is open.
    """

    def __init__(
        self,
        path: str | None,
        host: str,
        port: int = 0,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        timeout: float | None = None,
        extra_opts: dict[str, Any] | None = None,
    ) -> None:
        check_server(host, port, timeout, username=username, password=password)
        self.encoding = _get_encoding_opt(None, extra_opts, "utf-8")
        super().__init__(path, host, extra_opts)
        self.port = port or 0
        self.username = username
        self.password = password
        self.tls = tls
        self.timeout = timeout
        self._ftp: ftplib.FTP | None = None
        self.feat_response: str | None = None
        self.syst_response: str | None = None
        self.support_utf8: bool | None = None
        self._trace: Any = None
        # A session for names outside the root.
        self._roaming: Any = None
        # The folder in which the conversation stands; None if verbs of the core may have moved it.
        self._stands_in: str | None = None
        # The same of an object that the user has put into `ftp`; None unless it was connected here.
        self._led_to: str | None = None
        # A command of the user's own may have moved it.
        self._is_adrift = False

    def get_base_name(self) -> str:
        """Returns the URL without user, password and port."""
        scheme = "ftps" if self.tls else "ftp"
        return f"{scheme}://{self.host}{self.root_dir}"

    @property
    def ftp(self) -> ftplib.FTP:
        """For FTP commands of your own, in the conversation of the target; connected while that is open.

        An `ftplib.FTP` that was put here has a conversation of its own, which begins when the object is first asked for
        while the target is open; it is taken to the current folder of the target.
        """
        if self._ftp is None:
            # Not before it is wanted: `ftplib` loads all of TLS, which takes longer than all the rest together.
            from ftpsync.user_ftp import make_user_ftp

            self._ftp = make_user_ftp(self)
        elif self._session is not None:
            from ftpsync.user_ftp import lead

            lead(self._ftp, self)
        return self._ftp

    @ftp.setter
    def ftp(self, ftp: ftplib.FTP) -> None:
        self._ftp = ftp

    # --- Life ---

    def open(self) -> None:
        """Connects, logs in and goes to the root.

        Credentials that are missing are looked up or asked for, as the options allow.

        Raises:
            CliSilentRuntimeError: The remote folder is missing.
            RuntimeError: The target is open already; credentials are missing; TLS is required and missing; or the
                root cannot be entered.
            ftplib.Error: The server refused something.
            OSError: The server could not be reached.
        """
        super().open()
        try:
            self._prepare()
            self._refuse_clear_text()
            self._look_who_sees_the_password()
            self._find_credentials()
            self._session = self._enter()
            self.ftp_socket_connected = True
            self.cur_dir = self._stands_in = self.root_dir
            if self._ftp is not None:
                from ftpsync.user_ftp import attach

                attach(self._ftp)
            self._have_it_locked()
            if self.get_option("store_password", False) and self.username and self.password:
                save_password(self.host, self.username, self.password)
        except BaseException:
            self.close()
            raise

    def _refuse_clear_text(self) -> None:
        """Makes sure that what is sent is encrypted, if the option `require_tls` asks for that.

        Raises:
            RuntimeError: It would not be.
        """
        if self.get_option("require_tls", False) and not self.tls:
            raise RuntimeError(
                f"{self.get_base_name()} would be used without TLS, which --require-tls forbids: "
                f"write ftps:// instead, if the server knows TLS."
            )

        given = [name for name in _ABOUT_TLS if self.get_option(name, None)]
        # Options are those of both sides.
        sides = (self, self.peer)
        if given and not any(isinstance(side, _Target) and side._uses_tls() for side in sides):
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise RuntimeError(
                f"{self.get_base_name()} would be used without TLS, and {names} would be of no use: "
                f"write ftps:// instead, or leave that out."
            )

    def _uses_tls(self) -> bool:
        return bool(self.tls)

    def _find_credentials(self) -> None:
        if self.password is None:
            self.password = self._given_password(self.username)
        if self.username is not None and (self.password is not None or self._is_guest()):
            return
        if self.get_option("prompt", False) or not self.get_option("no_prompt", True):
            self._knock()  # Nobody shall be asked for the password of a server that is not there.
        options = self.get_options_dict()
        if self._verbose() < 3:
            options["_tell"] = self._keyring_troubles.append
        found = get_credentials_for_url(self.host, options, force_user=self.username)
        if found:
            self.username, self.password = found

    def _is_guest(self) -> bool:
        """Tells whether the user is the one who needs no password (RFC 1635), unless somebody wants to be asked."""
        return (self.username or "").lower() == "anonymous" and not self.get_option("prompt", False)

    def _knock(self) -> None:
        """Makes sure that somebody listens at the host and port.

        Raises:
            OSError: Nobody does; the attribute `what` tells it in one line.
        """
        if proxy_for(self.host, self.get_option("proxy")):
            return  # What listens there is the proxy's to find out.
        import socket

        port = self.port or (_IMPLICIT_TLS_PORT if self.get_option("tls_implicit", False) else _FTP_PORT)
        timeout = self.get_option("connect_timeout") or self._seconds()
        try:
            socket.create_connection((self.host, port), timeout).close()
        except OSError as exc:
            cause = exc.strerror or str(exc)
            what = f"could not connect to {self.host}, port {port}: {cause}; check host, port and network"
            exc.what = what  # type: ignore[attr-defined]
            raise

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]]:
        # Another user may see other folders under the same paths.
        return ("ftp", self.host.lower(), self.port or _FTP_PORT, self.username or None), self._way()

    def _debug_level(self) -> int:
        """Reads the option `ftp_debug`.

        Raises:
            ValueError: It is no number.
        """
        value = self.get_option("ftp_debug", 0)
        try:
            return max(0, min(int(value or 0), 255))
        except (TypeError, ValueError):
            raise ValueError(f"invalid option ftp_debug: {value!r} (expected a number)") from None

    def _make_native(self, *, create_folder: bool, root: str | None = None) -> Any:
        from ftpsync import _core

        if root is None or self._trace is None:
            self._trace = _core.Trace(_show)
            self._trace.level = self._debug_level()
        options = self._native_options(_NATIVE_OPTIONS)
        options["create_folder"] = create_folder
        options["encoding"] = self.encoding
        proxy = proxy_for(self.host, self.get_option("proxy"))
        if proxy:
            options["proxy"] = proxy
        timeout = self._seconds()
        if timeout is not None:
            options["timeout"] = timeout
        return _core.Target.ftp(
            host=self.host,
            port=self.port,
            user=self.username or None,
            password=self.password if self.username else self.password or None,
            root=self.root_dir if root is None else root,
            tls=bool(self.tls),
            options=options,
            trace=self._trace,
        )

    def _enter(self) -> Any:
        """Connects until user and password are accepted and the root is there; returns the session."""
        create_folder = False
        while True:
            self._native = self._make_native(create_folder=create_folder)
            try:
                session = self._native.open()
                if not create_folder:
                    self._show_greeting(session.greeting)
                return session
            except Exception as exc:
                # The answer to AUTH is none about user or folder, whatever its number.
                if not _is_refusal(exc) or (self.tls and _refuses_tls(exc)):
                    raise
                if not self.tls and _wants_tls(exc):
                    write_error(f"{self.host} wants TLS: write ftps:// instead of ftp://.")
                    raise
                if _reply(exc).startswith("530"):
                    self._ask_again(exc)
                elif _reply(exc).startswith("550") and not create_folder:
                    self._show_greeting(self._native.news())
                    imagined = self._on_missing_root(exc, _reply(exc))
                    if imagined is not None:
                        return imagined
                    create_folder = True
                else:
                    raise

    def _ask_again(self, refusal: Exception) -> None:
        """Reports a refused login and asks for another password, or gives up."""
        self._tell_of_the_keyring()
        user = self.username or "anonymous"
        write_error(harmless(f"Could not login to {user}@{self.host}: {_reply(refusal)}"))
        if self.get_option("no_prompt", True) or not self.username:
            raise refusal
        with self._unless_nobody_answers(refusal):
            answer = prompt_for_password(self.host, user=self.username)
        if answer is None:
            raise refusal
        self.username, self.password = answer

    def _show_greeting(self, greeting: list[tuple[int, str]]) -> None:
        verbose = self._verbose()
        lines = self._with_warning(greeting)
        if not any(line.startswith("Login as ") for _, line in lines):
            lines.insert(0, (4, f"Login as '{self.username or 'anonymous'}'."))
        for level, line in lines:
            if line.startswith("SYST: '"):
                self.syst_response = line.removeprefix("SYST: '").removesuffix(".").removesuffix("'")
            elif line.startswith("FEAT: '"):
                self.feat_response = line.removeprefix("FEAT: '").removesuffix(".").removesuffix("'")
                self.support_utf8 = "UTF8" in self.feat_response.upper()
            if verbose >= level:
                write(harmless(line))

    def close(self) -> None:
        """Says goodbye to the server. Harmless when the target is not open."""
        roaming, self._roaming = self._roaming, None
        if roaming is not None:
            with contextlib.suppress(Exception):  # The connection may be gone already; the work is done.
                roaming.close()
        super().close()
        if self._ftp is not None:
            from ftpsync.user_ftp import detach

            detach(self._ftp, self)
        self._forget_place()

    def _own_session(self) -> Any:
        before = self._session
        session = super()._own_session()
        if session is not before:
            self._forget_place()
        return session

    def _talk(self) -> Any:
        """Returns the open session, for a verb of the core.

        Raises:
            RuntimeError: The target is not open.
        """
        session = self._own_session()
        self._here()  # Afterwards the conversation may stand anywhere.
        self._stands_in = None
        return session

    def _reach(self, session: Any, path: str) -> tuple[Any, str]:
        """Returns a session that reaches an absolute path, and the path for it.

        By hand, as in release 4.1, also outside the root: over a session of its own, whose root is that of the server.

        Raises:
            RuntimeError: It is outside the root, and a run uses the target.
        """
        try:
            return super()._reach(session, path)
        except RuntimeError:
            if not self.is_unbound():
                raise
        if self._roaming is None:
            self._roaming = self._make_native(create_folder=False, root="/").open()
        return self._roaming, path.lstrip("/")

    def _call_again(self) -> None:
        """Ends the conversation, which may be broken, and begins another."""
        session, self._session = self._session, None
        session.close()
        self._session = self._native.open()
        self._forget_place()

    # --- The folder of the conversation, which commands of the user's own can change ---

    def _here(self) -> str:
        """Returns the folder in which names are looked up: the current one, or where the user has gone by `.ftp`."""
        if self._is_adrift:
            place = self._in_order(self._session.by_hand().folder())
            self._is_adrift = False
            self._stands_in = place
            self._strayed = (self.cur_dir, place) if place != self.cur_dir else None
        return super()._here()

    def _stand_in_place(self) -> None:
        """Has the conversation stand in the current folder, for a command of the user's own."""
        if self._is_adrift:  # He knows where he is.
            return
        here = self._here()
        if self._stands_in != here:
            self._session.by_hand().enter(here)
            self._stands_in = here

    def _may_have_moved(self) -> None:
        self._is_adrift = True
        self._stands_in = None

    def _forget_place(self) -> None:
        self._is_adrift = False
        self._stands_in = self._strayed = None


#: The name in release 3.1; the same class.
FtpTarget = FTPTarget


def _show(kind: str, text: str) -> None:
    """Prints one line of a conversation, as `ftplib` does."""
    # In one piece, since the conversations of a run print at the same time.
    print(f"*{kind}* {text!r}\n", end="")


def _is_refusal(exc: Exception) -> bool:
    """Tells whether the server has said no for good."""
    import ftplib

    return isinstance(exc, ftplib.error_perm)


def _wants_tls(refusal: Exception) -> bool:
    """Tells whether a server refuses a login without TLS. Folders may be called so, too."""
    is_login = getattr(refusal, "what", "").startswith("could not log in")
    return is_login and re.search(r"\b(ssl|tls)\b|encrypt", _reply(refusal), re.IGNORECASE) is not None


def _refuses_tls(refusal: Exception) -> bool:
    """Tells whether a server does not encrypt although it is asked to."""
    return re.match(r"\S+ refuses to encrypt ", getattr(refusal, "what", "")) is not None


def _reply(exc: BaseException) -> str:
    """Returns the full reply of the server that an exception carries."""
    return str(exc.args[0]) if exc.args else str(exc)
