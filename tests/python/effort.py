"""How much is tried: a sample in everyday runs, everything with `FTPSYNC_THOROUGH=1` in the environment."""

from __future__ import annotations

import os


def is_thorough() -> bool:
    return os.environ.get("FTPSYNC_THOROUGH", "0") not in ("", "0")


def points(count: int, usual: int) -> list[int]:
    """The numbers below `count`: all of them, or about `usual`, evenly spread, with both ends."""
    if is_thorough() or count <= usual:
        return list(range(count))
    return [index * (count - 1) // max(usual - 1, 1) for index in range(usual)]
