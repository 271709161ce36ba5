"""Progress of transfers: a bar that is drawn again and again, one line in the end, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from ftpsync._progress import bytes_in_words

__all__ = ["ProgressBar", "chain_callbacks", "mode_of"]

_MODES: Final = ("compact", "disabled", "progress")
_WIDTH: Final = 30
_PAUSE: Final = 0.1


def mode_of(mode: str | None) -> str:
    """Returns a mode in its usual spelling.

    Raises:
        ValueError: There is no such mode.
    """
    found = (mode or "progress").lower()
    if found not in _MODES:
        raise ValueError(f"invalid progress_mode {mode!r}: choose from {', '.join(_MODES)}")
    return found


def chain_callbacks(
    primary_callback: Callable[[int], None], secondary_callback: Callable[[int], None] | None = None
) -> Callable[[int], None]:
    """Returns a function that calls both, in order."""
    if secondary_callback is None:
        return primary_callback
    second = secondary_callback

    def both(count: int) -> None:
        primary_callback(count)
        second(count)

    return both


class ProgressBar:
    """How far a transfer is.

    Args:
        total: Bytes in all.
        desc: What is transferred.
        mode: `progress` draws on stderr, and is `compact` where that is no terminal; `compact` prints one line at
            the end; `disabled` shows nothing.
        position: Accepted for scripts; all bars share one line.
        leave: Whether the bar stays when it is closed.
    """

    def __init__(
        self,
        total: int,
        desc: str = "",
        mode: str | None = None,
        position: int | None = None,
        leave: bool | None = None,
    ) -> None:
        self.total, self.desc = total, desc
        self.mode = mode_of(mode)
        if self.mode == "progress" and not (sys.stderr and sys.stderr.isatty()):
            self.mode = "compact"
        self.transferred = 0
        self._leaves = leave is not False
        self._drawn_at = 0.0
        self._is_closed = False

    def update(self, n: int = 1) -> None:
        """Counts bytes that have moved."""
        self.transferred += n
        now = time.monotonic()
        if self.mode == "progress" and now - self._drawn_at >= _PAUSE:
            self._drawn_at = now
            self._draw()

    def close(self) -> None:
        """Shows the end. Harmless twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self.mode == "compact":
            print(f"{self.desc or 'transfer'}: {self._share()}% ({self._so_far()})")
        elif self.mode == "progress":
            self._draw()
            sys.stderr.write("\n" if self._leaves else "\r\x1b[K")
            sys.stderr.flush()

    def _share(self) -> int:
        return 100 if self.total <= 0 else min(100, 100 * self.transferred // self.total)

    def _so_far(self) -> str:
        return f"{bytes_in_words(self.transferred)}/{bytes_in_words(self.total)}"

    def _draw(self) -> None:
        filled = _WIDTH * self._share() // 100
        bar = "#" * filled + "-" * (_WIDTH - filled)
        line = f"{self.desc} [{bar}] {self._share()}% {self._so_far()}"
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
