"""Waiting for what another process, or another thread, does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(is_so: Callable[[], object], what: str = "what was waited for") -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, f"{what} never came"
        time.sleep(0.01)
