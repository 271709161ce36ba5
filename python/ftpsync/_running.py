"""A run, seen from outside: both targets are taken, bound and opened, and the core does its work."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ftpsync._bridge import TargetBridge, is_native
from ftpsync._errors import harmless
from ftpsync._hooks import HookRelay
from ftpsync._lines import write, write_error
from ftpsync._report import Reporter
from ftpsync._settings import core_settings

if TYPE_CHECKING:
    from ftpsync._base_target import _Target
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["bound", "close_targets", "open_targets", "synchronise", "taken", "tell_header", "timed"]

#: Held while a run makes sure that nobody else uses its targets, and takes them.
_TAKING: Final = threading.Lock()


@contextlib.contextmanager
def taken(*sides: _Target) -> Iterator[None]:
    """Has both targets for one run alone: two would lead one of them from folder to folder, and close it.

    Raises:
        RuntimeError: Another run has one of them, in another thread or around this one.
    """
    with _TAKING:
        for target in sides:
            if target._is_in_run:
                raise RuntimeError(f"{target} is used by another run: each needs targets of its own")
        for target in sides:
            target._is_in_run = True
    try:
        yield
    finally:
        for target in sides:
            target._is_in_run = False


@contextlib.contextmanager
def timed(stats: dict[str, Any]) -> Iterator[None]:
    """Counts how long a run takes, and how fast it has copied."""
    started = time.time()
    try:
        yield
    finally:
        seconds = time.time() - started
        stats["elap_secs"] = seconds
        stats["elap_str"] = f"{seconds:0.2f} sec"
        for way in ("upload", "download"):
            size, needed = stats[f"{way}_bytes_written"], stats.get(f"{way}_write_time")
            if size and needed:
                stats[f"{way}_rate_str"] = f"{size / needed / 1000:0.2f} kB/sec"


@contextlib.contextmanager
def bound(synchronizer: BaseSynchronizer) -> Iterator[None]:
    """Lets both targets know who uses them, with which other one, and whether they may be changed."""
    local, remote = synchronizer.local, synchronizer.remote
    rehearsing = {True: local.dry_run, False: remote.dry_run}
    for target, peer in ((local, remote), (remote, local)):
        target.synchronizer = synchronizer
        target.peer = peer
    if synchronizer._MODE != "sync":  # Else they are as the user has set them.
        local.readonly = synchronizer._MODE == "upload"
        remote.readonly = synchronizer._MODE == "download"
    if synchronizer.dry_run:
        for target in (local, remote):
            target.readonly = target.dry_run = True
    try:
        yield
    finally:
        for target in (synchronizer.local, synchronizer.remote):
            target.synchronizer = None
            target.peer = None
            target.dry_run = rehearsing[target is synchronizer.local]


def tell_header(synchronizer: BaseSynchronizer) -> None:
    """Writes what is done, between which places."""
    if synchronizer.verbose < 3:
        return
    local, remote = synchronizer.local, synchronizer.remote
    doing, relation = synchronizer.get_info_strings()
    write(f"{doing.capitalize()} {local.get_base_name()}\n{relation:>20} {remote.get_base_name()}")
    write(f"Encoding local: {local.encoding}, remote: {remote.encoding}")


def open_targets(*sides: _Target) -> None:
    """Opens the targets that are not open yet."""
    for target in sides:
        if not target.connected:
            readonly = target.readonly
            target.open()
            target.readonly = readonly


def close_targets(*sides: _Target) -> None:
    """Closes targets. What goes wrong is written, not raised."""
    for target in sides:
        if not target.connected:
            continue
        try:
            target.close()
        except Exception as exc:  # What happened before is more important than how it ended.
            write_error(harmless(f"Could not close {target}: {exc}"))


def synchronise(synchronizer: BaseSynchronizer, hooks: list[str]) -> None:
    """Has the core do the work, between targets that are open and bound.

    Args:
        synchronizer: Its reporter is there as long as the core works.
        hooks: Names of the overridden hooks.
    """
    from ftpsync import _core

    local, remote = synchronizer.local, synchronizer.remote
    sides = ((True, local), (False, remote))
    bridges = {is_local: TargetBridge(side, side.peer) for is_local, side in sides if _needs_bridge(side)}
    places: list[Any] = [bridges.get(is_local) or side._native_target() for is_local, side in sides]
    # The session that open() began with is lent to the run; targets without one need none.
    sessions = (
        None if True in bridges else getattr(local, "_session", None),
        None if False in bridges else getattr(remote, "_session", None),
    )
    reporter = HookRelay(synchronizer, hooks, bridges) if hooks else Reporter(synchronizer, bridges)
    synchronizer._reporter = reporter
    try:
        settings = core_settings(synchronizer, reporter, hooks)
        _core.run(places[0], places[1], sessions, settings, reporter, synchronizer._stats)
    except AssertionError as exc:
        _name_strategy(synchronizer, exc)
        raise
    finally:
        reporter.progress.clear()
        synchronizer._reporter = None


def _name_strategy(synchronizer: BaseSynchronizer, exc: AssertionError) -> None:
    """Adds to the error about a strategy that the mode does not have which one it is, and which there are."""
    strategy = synchronizer.options.get("resolve")
    accepted = synchronizer._ACCEPTED_STRATEGIES
    if not getattr(exc, "is_told_by_core", False) or accepted is None or strategy in accepted:
        return
    what = f"{exc} (resolve is {strategy!r}; {synchronizer._MODE} accepts {', '.join(accepted)})"
    exc.args = (what,)
    exc.what = what  # type: ignore[attr-defined]


def _needs_bridge(target: _Target) -> bool:
    """Tells whether the core has to call the target for every file, in the place of taking it as a whole."""
    return not (is_native(target) and getattr(target, "_is_lockable", True)) or _is_restricted(target)


def _is_restricted(target: _Target) -> bool:
    """Tells whether the user has set `readonly` or `dry_run` of a target, which only its own verbs obey."""
    synchronizer = target.synchronizer
    return not synchronizer.dry_run and (target.dry_run or (target.readonly and synchronizer._MODE == "sync"))
