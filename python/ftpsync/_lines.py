"""The lines of a run go through `write` and `write_error` of `ftpsync.synchronizers`: scripts put their own there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ftpsync import util

__all__ = ["write", "write_error"]


def write(*args: object, **kwargs: Any) -> None:
    """Writes one line, as `ftpsync.util.write` does."""
    _replaced("write", util.write)(*args, **kwargs)


def write_error(*args: object, **kwargs: Any) -> None:
    """Writes one line about an error, as `ftpsync.util.write_error` does."""
    _replaced("write_error", util.write_error)(*args, **kwargs)


def _replaced(name: str, usual: Callable[..., None]) -> Callable[..., Any]:
    # The module has the names from elsewhere, until somebody sets them.
    module = sys.modules.get("ftpsync.synchronizers")
    found: Callable[..., Any] = vars(module).get(name, usual) if module is not None else usual
    return found
