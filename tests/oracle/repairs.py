"""What the reference would do without a known defect, said by changing the reference while it runs.

Loaded by `driver.py` in the environment of the reference only. Where a defect can be taken out exactly, the
outcome without it is the expectation, so nothing has to be said in words about how ours may differ. Each
function is named after the row of the contract; which of them are in use, and why, stands in
`tests/golden/intended_differences.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from ftpsync.metadata import DirMetadata
from ftpsync.synchronizers import (
    BaseSynchronizer,
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import FsTarget

CONCRETE = (BiDirSynchronizer, UploadSynchronizer, DownloadSynchronizer)


def around(owner: type, name: str) -> Callable[[Callable[..., Any]], None]:
    """Replaces a method by one that gets the original as its first argument."""

    def install(replacement: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def method(self: Any, *args: Any) -> Any:
            return replacement(original, self, *args)

        setattr(owner, name, method)

    return install


def owners(name: str) -> list[type]:
    """The synchronizers that define a method themselves."""
    return [cls for cls in CONCRETE if name in vars(cls)]


def d1_descends_into_capitals() -> None:
    # The lookup of sub folders uses the plain name in a map of lower-case names, unless case is strict. In
    # worlds where no names differ in case only, strict is otherwise the same.
    @around(BaseSynchronizer, "_sync_dir")
    def _(original: Any, self: Any) -> Any:
        if self.options.get("case") != "strict" and not _names_clash(self):
            self.options["case"] = "strict"
        return original(self)


def _names_clash(self: Any) -> bool:
    names = {name for target in (self.local, self.remote) for name in _names(target)}
    return len({name.lower() for name in names}) != len(names)


def _names(target: Any) -> list[str]:
    return os.listdir(target.cur_dir) if isinstance(target, FsTarget) else target.ftp.nlst()


def d2_filters_inside_new_folders() -> None:
    @around(BaseSynchronizer, "_copy_recursive")
    def _(original: Any, self: Any, *args: Any) -> Any:
        before = getattr(self, "copying", False)
        self.copying = True
        try:
            return original(self, *args)
        finally:
            self.copying = before

    @around(FsTarget, "get_dir")
    def _(original: Any, self: Any) -> Any:
        entries = original(self)
        if getattr(self.synchronizer, "copying", False):
            return [entry for entry in entries if self.synchronizer._match(entry)]
        return entries


def d3_migrates() -> None:
    # Old, foreign or damaged documents are an empty one, and it is the one that is written at the end.
    @around(DirMetadata, "read")
    def _(original: Any, self: Any) -> Any:
        result = original(self)
        document = self.dir
        whole = isinstance(document, dict) and "mtimes" in document and "peer_sync" in document
        if not whole or document.get("_file_version") != self.VERSION:
            self.list, self.peer_sync = {}, {}
            self.dir = {"mtimes": self.list, "peer_sync": self.peer_sync}
            # A migrated file is gone already; a damaged one still waits to be replaced.
            self.was_read = not whole
        return result


def d4_stays_out_of_excluded_folders() -> None:
    for owner in owners("on_mismatch"):

        @around(owner, "on_mismatch")
        def _(original: Any, self: Any, pair: Any) -> Any:
            result = original(self, pair)
            for entry in (pair.local, pair.remote):
                if entry and entry.is_dir():
                    entry.was_deleted = True  # the flag that keeps the walk out
            return result


def d5_remembers_changes() -> None:
    @around(DirMetadata, "remove")
    def _(original: Any, self: Any, name: str) -> Any:
        before = self.modified_sync
        result = original(self, name)
        self.modified_sync = before or self.modified_sync
        return result


def d6_answers_old_and_new() -> None:
    BaseSynchronizer._resolve_shortcuts = {**BaseSynchronizer._resolve_shortcuts, "o": "old", "n": "new"}
    for owner in owners("_interactive_resolve"):

        @around(owner, "_interactive_resolve")
        def _(original: Any, self: Any, pair: Any) -> Any:
            chosen = original(self, pair)
            return "skip" if chosen in ("old", "new") and not (pair.local and pair.remote) else chosen


REPAIRS = {
    "D1": d1_descends_into_capitals,
    "D2": d2_filters_inside_new_folders,
    "D3": d3_migrates,
    "D4": d4_stays_out_of_excluded_folders,
    "D5": d5_remembers_changes,
    "D6": d6_answers_old_and_new,
}


def repair(defects: list[str]) -> None:
    for defect in defects:
        REPAIRS[defect]()
