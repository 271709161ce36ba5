"""The options of the lock file, and what a run tells about it.

A live run holds `.pyftpsync-lock.json` in the root of every FTP target that it changes. Reading, writing and judging
the file is the native core's business.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ftpsync.util import computer_name

if TYPE_CHECKING:
    from ftpsync.targets import _Target

__all__ = ["DEFAULT_LOCK_AGE", "lock_settings", "take_news"]

#: Seconds after which a lock that was not renewed is left over.
DEFAULT_LOCK_AGE: Final = 900.0

_LONGEST: Final = 366 * 24 * 3600.0


def lock_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the options `lock_age` and `break_lock` into what the core expects, with the name of this run.

    Raises:
        ValueError: One of them cannot be used.
    """
    age = options.get("lock_age")
    breaks = options.get("break_lock")
    if age is None:
        age = DEFAULT_LOCK_AGE
    is_number = isinstance(age, (int, float)) and not isinstance(age, bool)
    if not is_number or not math.isfinite(age) or not 1 <= age <= _LONGEST:
        raise ValueError(f"invalid option lock_age: {age!r} (expected a number of seconds, at least 1)")
    if breaks is not None and not isinstance(breaks, bool):
        raise ValueError(f"invalid option break_lock: {breaks!r} (expected true or false)")
    owner = (computer_name(), _system(), os.getpid(), os.urandom(8).hex())
    return {"lock_owner": owner, "lock_age": float(age), "break_lock": bool(breaks)}


@cache
def _system() -> str | None:
    """Returns a text that only processes share whose numbers mean the same: of one started system and container.

    Names of computers do not tell that: many are called `localhost`. The core hashes it, since anybody may read the
    file.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        import platform
        import uuid

        if platform.system() != "Darwin":
            return None
        return str(uuid.getnode())


def take_news(target: _Target, state: str, text: str | None, seconds: float | None) -> None:
    """Keeps the attributes of a target true: `lock_data`, `lock_write_time` and `server_time_ofs`.

    Args:
        target: The side that is locked.
        state: `held`, `unwritable`, `offset` or `released`.
        text: The lock file, if it is held.
        seconds: For `offset`, how far the clock of the server is ahead of ours.
    """
    kept: Any = target
    if state == "offset":
        kept.server_time_ofs = seconds
    elif state == "held" and text is not None:
        kept.lock_data = json.loads(text)
        kept.lock_write_time = time.time()
    else:
        kept.lock_data = False if state == "unwritable" else None
        kept.lock_write_time = None
