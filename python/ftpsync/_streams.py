"""The standard streams of the command line: whatever is to be shown and whoever reads it, a run is not lost over it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

__all__ = ["flush", "is_reader_gone", "let_go", "make_lenient", "show"]


def make_lenient() -> None:
    """Lets characters that an output cannot encode be shown as escapes: a file may have any name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def flush(stream: Any) -> None:
    """Flushes a standard stream; it may be missing, and what somebody has put in its place may have only `write()`."""
    if hasattr(stream, "flush"):
        stream.flush()


def show(stream: Any) -> None:
    """Shows what a standard stream got so far: a job that is silent may be killed, with all that it has said.

    What the output does not take stays where it was, and is reported when there is too much of it.
    """
    with contextlib.suppress(OSError, ValueError):
        flush(stream)


def let_go() -> None:
    """Sends nowhere what an output cannot take (on a full disk), so that Python does not fail over it in the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            flush(stream)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except ValueError:
            """Somebody has closed it."""


def is_reader_gone() -> bool:
    """Whether nobody reads our output any more, as after `head`."""
    import select

    if not hasattr(select, "poll"):  # Windows
        return False
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(output, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
