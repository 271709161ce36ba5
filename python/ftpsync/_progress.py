"""The last line on a terminal, which says how far a run is and is written over and over."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from typing import Final

from ftpsync._streams import show

__all__ = ["ProgressLine", "bytes_in_words"]

#: Seconds of a run after which bytes are shown; most runs are over by then.
_SOON: Final = 1.0

#: The rate is that of so many looks; one comes every half second.
_LOOKS: Final = 10


class ProgressLine:
    """How far a run is.

    Args:
        prefix: Stands in front, as in front of every line of the run.
        shows_bytes: Whether the output is a terminal, where more can be told than pyftpsync does.
    """

    def __init__(self, prefix: str, *, shows_bytes: bool) -> None:
        self._prefix = prefix
        self._shows_bytes = shows_bytes
        self._entries = (0, 0, 0)
        self._begun = time.monotonic()
        self._looks = deque([(self._begun, 0)], maxlen=_LOOKS)
        self._bytes = ""
        self._width = 0

    def count(self, touched: int, seen: int, folders: int) -> None:
        """Takes how many entries were dealt with, of those that were seen, and in how many folders."""
        self._entries = (touched, seen, folders)

    def flow(self, passed: int, promised: int) -> None:
        """Takes how many bytes have been copied, of those that are known of so far, and shows it."""
        now = time.monotonic()
        if not self._shows_bytes or not promised:
            return
        self._looks.append((now, passed))
        if now - self._begun < _SOON:
            return
        then, before = self._looks[0]
        rate = (passed - before) / max(now - then, 0.001)
        all_of_them = bytes_in_words(max(passed, promised))
        self._bytes = f" {bytes_in_words(passed)} of {all_of_them}, {bytes_in_words(int(rate))}/s"
        self.show()

    def show(self) -> None:
        """Writes the line; the next one begins where it began."""
        touched, seen, folders = self._entries
        line = f"{self._prefix}Touched {touched}/{seen} entries in {folders} directories...{self._bytes}"
        if self._shows_bytes:
            # A line that is wider than the terminal could not be written over.
            columns = _columns() - 1
            if len(line) > columns:
                line = f"{self._prefix}{touched}/{seen}{self._bytes}"
            line = line[:columns]
        blanks = " " * (self._width - len(line))
        self._width = len(line) if self._bytes else 0
        _put(f"{line}{blanks}\r")

    def clear(self) -> None:
        """Makes room for another line, which may be shorter."""
        if self._width:
            _put(f"{' ' * self._width}\r")
            self._width = 0


def _put(line: str) -> None:
    """Writes to the standard output, if there is one: a run does not end over a line that nobody sees."""
    if sys.stdout is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line)
    show(sys.stdout)


def _columns() -> int:
    """How wide the terminal is; `COLUMNS` counts if it is set, and what is not known is 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size().columns or 80
    except OSError:
        return 80


def bytes_in_words(number: int) -> str:
    """Returns a number of bytes as people read it, such as `1.5 MiB`."""
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
