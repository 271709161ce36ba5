"""The options of a run, checked and put into the values that the native core expects. None is ignored."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from ftpsync import __version__
from ftpsync._locks import lock_settings
from ftpsync._overrides import HANDLERS, LEAVES
from ftpsync.metadata import DirMetadata
from ftpsync.util import computer_name, emulates_31

if TYPE_CHECKING:
    from ftpsync._report import Reporter
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["MAX_CONNECTIONS", "MAX_DEPTH", "NOT_STATELESS", "connections", "core_settings", "core_verbosity"]

#: Folders within folders, at most: a server may show a tree without an end.
MAX_DEPTH: Final = 256

#: Sessions with a server, unless the option `connections` says otherwise: in the beginning, and at the most where
#: the round trips to a far server are what takes the time.
_CONNECTIONS: Final = (4, 8)

#: Why `sync` refuses `stateless`.
NOT_STATELESS: Final = (
    "invalid option stateless: "
    "what changed on which side is known only to a run that remembers the one before"
)

#: Sessions with a server at the most, whatever the option says.
MAX_CONNECTIONS: Final = 64

#: Hooks that have something copied when they call the method above.
_ACTING: Final = frozenset((*HANDLERS, *LEAVES))

_Options = Mapping[str, Any]


def core_settings(synchronizer: BaseSynchronizer, reporter: Reporter, hooks: list[str]) -> dict[str, Any]:
    """Reads the options of a synchronizer; what is not checked here is checked by the core.

    Raises:
        ValueError: One of them cannot be used.
    """
    options = synchronizer.options
    case = options.get("case")
    max_delete = options.get("max_delete")
    return {
        "mode": synchronizer._MODE,
        "verbose": core_verbosity(synchronizer, hooks),
        "dry_run": synchronizer._only_tells(),
        "progress": reporter.shows_progress or "_tick" in hooks,
        "flows": reporter.shows_progress,
        "match": options["match"],
        "exclude": options["exclude"],
        "fold_case": os.path.normcase("A") != "A",
        "force": bool(options.get("force")),
        "delete": bool(options.get("delete")),
        "delete_unmatched": bool(options.get("delete_unmatched")),
        "stateless": _is_stateless(options, synchronizer._MODE),
        "checksum": _flag(options, "checksum"),
        # Handlers may ask afterwards what is remembered.
        "records": synchronizer._on_deed is not None or not _ACTING.isdisjoint(hooks),
        "resolve": str(options.get("resolve") or "skip"),
        "resolve_all": synchronizer.resolve_all,
        "asks_at_same_time": bool(synchronizer.is_script),
        "case": "strict" if case is None and emulates_31() else case and str(case),
        "deep_conflicts": not options.get("no_deep_conflicts"),
        "keeps_orphans": emulates_31(),
        "max_delete": None if max_delete is None else str(max_delete),
        "allow_mass_delete": bool(options.get("allow_mass_delete")),
        "migrate": bool(options.get("migrate")),
        "ignore_copy_errors": bool(synchronizer.ignore_copy_errors) and not emulates_31(),
        "inplace": bool(options.get("inplace")),
        **_keeping(options),
        **lock_settings(options),
        "pretty_meta": bool(DirMetadata.PRETTY),
        "version": __version__,
        "connections": _connections(options),
        "max_time": _max_time(options),
        "max_depth": _max_depth(options),
        "hooks": hooks,
    }


def core_verbosity(synchronizer: BaseSynchronizer, hooks: Collection[str]) -> int:
    """Returns the level up to which the core tells what it does."""
    # A hook for lines gets all of them, whatever is shown. So does whoever wants to know of conflicts.
    least = 4 if "_log_action" in hooks else 3 if synchronizer._on_deed else 0
    return max(least, min(int(synchronizer.verbose), 9))


def _is_stateless(options: _Options, mode: str) -> bool:
    stateless = _flag(options, "stateless")
    if stateless and mode == "sync":
        raise ValueError(NOT_STATELESS)
    return stateless


def _flag(options: _Options, name: str) -> bool:
    value = options.get(name)
    if value is not None and not (isinstance(value, int) and value in (0, 1)):
        raise ValueError(f"invalid option {name}: {value!r} (expected True or False)")
    return bool(value)


def _keeping(options: _Options) -> dict[str, Any]:
    """What becomes of files that are replaced or removed."""
    backup = options.get("backup_dir")
    if backup is not None and not isinstance(backup, str):
        raise ValueError(f"invalid option backup_dir: {backup!r} (expected the name of a folder)")
    now = time.localtime()
    host = re.sub(r"[^\w-]", "-", computer_name().split(".")[0]) or "unknown"
    return {
        "backup_dir": backup,
        "trash": not options.get("no_trash"),
        # Two runs may begin in the same second.
        "run_label": f"{time.strftime('%Y-%m-%d_%H-%M-%S', now)}_{os.urandom(3).hex()}",
        "conflict_mark": f"conflict {time.strftime('%Y-%m-%d', now)} {host}",
    }


def _connections(options: _Options) -> tuple[int, int]:
    value = options.get("connections")
    if value is None:
        return _CONNECTIONS
    number = connections(value)
    return number, number


def connections(value: object) -> int:
    """Reads the option `connections`, a number that may be written as a text.

    Raises:
        ValueError: It is none, or out of range.
    """
    number = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_CONNECTIONS:
        raise ValueError(
            f"invalid option connections: {value!r} (expected a number from 1 to {MAX_CONNECTIONS})"
        )
    return number


def _max_time(options: _Options) -> float | None:
    value = options.get("max_time")
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"invalid option max_time: {value!r} (expected a number of seconds)")
    return float(value)


def _max_depth(options: _Options) -> int:
    value = options.get("max_depth")
    if value is None:
        return MAX_DEPTH
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_DEPTH:
        raise ValueError(
            f"invalid option max_depth: {value!r} (expected a whole number from 1 to {MAX_DEPTH})"
        )
    return value
