"""Who logs in on a server: the password, where it comes from, and who can see it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from ftpsync._base_target import _Target
from ftpsync._errors import harmless
from ftpsync.util import PASSWORD_VARIABLE, emulates_31, write_error

__all__ = ["ServerLogin", "check_server"]

#: Names under which servers let in everybody, in lower case.
_GUESTS: Final = ("anonymous", "ftp")


def check_server(host: object, port: object, timeout: object, **texts: object) -> None:
    """Makes sure that host, port and timeout of a server are usable, and that user and password are texts.

    Raises:
        TypeError: One of them is not of its type.
        ValueError: One of them is out of range.
    """
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {host!r}")
    if not host:
        raise ValueError("host must not be empty")
    for name, value, kinds in (("port", port, int), ("timeout", timeout, (int, float))):
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise TypeError(f"{name} must be a number or None, not {value!r}")
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a str or None, not of type {type(value).__name__}")
    if isinstance(port, int) and not 0 <= port <= 65535:
        raise ValueError(f"port must be a number up to 65535, not {port}")
    if isinstance(timeout, (int, float)) and not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")


class ServerLogin(_Target):
    """What a target on a server knows of its login. Subclasses log in."""

    #: What must not be seen on the command line, and where it stands better.
    _SECRET: ClassVar[str] = "password"
    _SAFER: ClassVar[str] = f"the variable {PASSWORD_VARIABLE}, the keyring or ~/.netrc"

    host: str
    password: str | None

    def __init__(self, path: str, host: str, extra_opts: dict[str, Any] | None) -> None:
        super().__init__(path, extra_opts)
        self.host = host
        self._is_password_in_view = False
        # Why the keyring could not be asked; of interest only if nothing else opens the door.
        self._keyring_troubles: list[str] = []

    def _given_password(self, user: str | None) -> str | None:
        """Returns the password of the environment, if this user of this server is to have it.

        It is that of the remote side; another server never sees it. Guests have none, and `prompt` asks for another.
        """
        is_meant = self.is_remote(or_unbound=True) and not self.get_option("prompt", False)
        if not is_meant or not user or user.lower() in _GUESTS:
            return None
        return os.environ.get(PASSWORD_VARIABLE) or None

    def _tell_of_the_keyring(self) -> None:
        """Writes why the keyring could not be asked, now that a password is wanted."""
        while self._keyring_troubles:
            write_error(harmless(self._keyring_troubles.pop(0)))

    @contextlib.contextmanager
    def _unless_nobody_answers(self, refusal: Exception) -> Iterator[None]:
        """While a password is asked for after a refused login: where nobody answers, that refusal is the error."""
        try:
            yield
        except RuntimeError as exc:
            if not isinstance(exc.__cause__, EOFError):
                raise
            what = str(getattr(refusal, "what", "") or refusal).rstrip(".")
            advice = (
                f"set {PASSWORD_VARIABLE}, or store user and password in the keyring or in .netrc and leave the user "
                "out of the URL"
                if self.password is None
                else "if that was wrong, correct it where it stands: in the URL, in "
                f"{PASSWORD_VARIABLE}, in the keyring or in .netrc"
            )
            other = "a" if self.password is None else "another"
            refusal.what = f"{what}. There is nobody to ask for {other} password: {advice}."  # type: ignore[attr-defined]
            raise refusal from None

    def _look_who_sees_the_password(self) -> None:
        """Finds out whether the password stood on the command line; to be called before others are looked up."""
        is_typed = self.get_option("url_on_command_line", False) and not emulates_31()
        self._is_password_in_view = bool(is_typed and self.password) and not _is_this_computer(
            self._asked_host()
        )

    def _asked_host(self) -> str:
        """Returns the host that is asked, which gets what proves who asks."""
        return self.host

    def _with_warning(self, greeting: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Adds to what is told about the login that the password could be seen on the command line."""
        lines = list(greeting)
        if not self._is_password_in_view:
            return lines
        so = (
            "stands in the URL, where others of this computer see it in the list of processes: "
            f"use {self._SAFER}"
        )
        for index, (level, line) in enumerate(lines):
            if line.startswith("The password for "):  # It travels in clear text.
                lines[index] = (level, f"{line}; it also {so}")
                return lines
        return [*lines, (3, f"The {self._SECRET} for {self.host} {so}")]


def _is_this_computer(host: str) -> bool:
    return host.lower() in ("localhost", "::1") or host.startswith("127.")
