"""Errors in words, for whoever uses the command line."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["as_escape", "harmless", "in_one_line", "printable"]

#: What steers a terminal, what shows text in another order than it is (`x\u202egpj.exe`), and bytes that are no text.
_STEERING: Final = r"\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\uf780-\uf7ff"

_CONTROL: Final = re.compile(rf"[\x00-\x08{_STEERING}]")

_LINE_END_OR_CONTROL: Final = re.compile(rf"[\x00-\x0a{_STEERING}]")


def printable(text: str) -> str:
    """Shows control characters as escapes, line ends and tabs as well: names neither steer nor forge anything."""
    return _LINE_END_OR_CONTROL.sub(as_escape, text)


def harmless(text: str) -> str:
    """Shows control characters other than line ends and tabs as escapes: servers put anything into their replies."""
    return _CONTROL.sub(as_escape, text)


def as_escape(match: re.Match[str]) -> str:
    """Shows a character as an escape; one that stands for a byte that is no text, as that byte."""
    code = ord(match[0])
    if 0xFF < code < 0xF780:
        return f"\\u{code:04x}"
    return f"\\x{code - 0xF700 if code >= 0xF780 else code:02x}"


def in_one_line(exc: Exception) -> str:
    """Words an error for people: what went wrong, where, and what can be done."""
    what = getattr(exc, "what", None)
    if isinstance(what, str) and what:
        return " ".join(what.split())
    text = " ".join(str(exc).split())
    hint = _hint(exc)
    if hint is None:
        name = type(exc).__name__
        return f"unexpected {name}: {text or 'no details'}. Run again with -vv to see where, and report it."
    return f"{text or type(exc).__name__} {hint}".strip()


def _hint(exc: Exception) -> str | None:
    """Returns advice for an expected kind of error, possibly empty; None for an unexpected one."""
    import ftplib
    import socket
    import ssl

    if isinstance(exc, ftplib.error_perm) and str(exc).startswith("530"):
        return "Check user name and password, or pass --prompt to be asked."
    if isinstance(exc, ftplib.Error):
        return "(the server's answer; run again with -vv for details)"
    if isinstance(exc, socket.gaierror):
        return "Check the host name and the network."
    if isinstance(exc, ssl.SSLError):
        return "See --tls-ca, --tls-pin and --no-verify-tls."
    if isinstance(exc, ConnectionRefusedError):
        return "Check host and port, and that the server runs."
    if isinstance(exc, TimeoutError):
        return "The server does not answer; check host, port and firewall, or try --ftp-active."
    if isinstance(exc, (EOFError, ConnectionError)):
        return "The connection was lost; run again to continue where it ended."
    if isinstance(exc, FileNotFoundError) and exc.filename is None:
        return "(Has the current folder been removed?)"
    if isinstance(exc, (OSError, RuntimeError, ValueError)) and not isinstance(
        exc, (NotImplementedError, RecursionError, UnicodeError)
    ):
        return ""
    return None
