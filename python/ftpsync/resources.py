"""Files and folders as listings report them, and the pair that one name makes of the two sides."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ftpsync.util import DEBUG_FLAGS, emulates_31, eps_compare, pretty_stamp, write

if TYPE_CHECKING:
    from ftpsync._base_target import _Target

__all__ = [
    "DEBUG_FLAGS",
    "ENTRY_CLASSIFICATIONS",
    "PAIR_OPERATIONS",
    "PRINT_CLASSIFICATIONS",
    "DirectoryEntry",
    "EntryPair",
    "FileEntry",
    "_Resource",
    "operation_map",
]

#: Not used any more; `--debug classify` took its place.
PRINT_CLASSIFICATIONS: Final = False

#: What can be said about an entry that is there, or was.
ENTRY_CLASSIFICATIONS: Final = frozenset({"existing", "unmodified", "modified", "new", "deleted"})

#: What a pair can call for.
PAIR_OPERATIONS: Final = frozenset(
    {"conflict", "copy_local", "copy_remote", "delete_local", "delete_remote", "equal", "need_compare"}
)


def _decision_table() -> dict[tuple[str, str], str | bool | None]:
    """Builds `operation_map` from its rows: a local classification, and what each remote one calls for."""
    remote = ("missing", "new", "unmodified", "modified", "deleted", "existing")
    rows: dict[str, tuple[str | bool | None, ...]] = {
        "missing": (None, "copy_remote", "copy_remote", "copy_remote", True, "copy_remote"),
        "new": ("copy_local", "need_compare", "need_compare", "need_compare", "conflict"),
        "unmodified": ("copy_local", "need_compare", "equal", "copy_remote", "delete_local"),
        "modified": ("copy_local", "need_compare", "copy_local", "conflict", "conflict"),
        "deleted": (True, "conflict", "delete_remote", "conflict", True),
        "existing": ("copy_local",),
    }
    table = {
        (local, remote[column]): operation
        for local, row in rows.items()
        for column, operation in enumerate(row)
    }
    table["existing", "existing"] = "need_compare"
    return table


#: (local, remote) classification to operation. True and None stand where no name can be: it would be on
#: neither side.
operation_map: Final = _decision_table()


class _Resource:
    """A file or folder of a listing.

    Attributes:
        target: Where it is.
        rel_path: The *absolute* folder that holds it; the name is historical.
        name: Its name in that folder.
        size: Bytes, 0 for folders; None if the side does not tell.
        mtime: Seconds since the epoch, corrected by the metadata of its folder; None if the side does not
            tell.
        mtime_org: The same as the side reported it.
        unique: What identifies the file beyond its name on this side, if anything.
        ps_size, ps_mtime, ps_utime: What the last run remembers: size, time and when that was. Set by
            `classify()`.
        classification: One of `ENTRY_CLASSIFICATIONS`, set by `classify()`.
        was_deleted: Set by the synchronizer when it removed the entry.
        meta: Only on entries whose time came from the metadata: that record.
    """

    meta: dict[str, Any]

    #: How coarse the time is, in seconds, where a listing shows minutes or days.
    _grain = 0

    def __init__(
        self,
        target: _Target,
        rel_path: str,
        name: str,
        size: int | None,
        mtime: float | None,
        unique: str | None,
    ) -> None:
        self.target = target
        self.rel_path = rel_path
        self.name = name
        self.size = size
        self.mtime = mtime
        self.mtime_org = mtime
        self.unique = unique
        self.ps_size: int | None = None
        self.ps_mtime: float | None = None
        self.ps_utime: float | None = None
        self.classification: str | None = None
        self.was_deleted: bool | None = None

    def __str__(self) -> str:
        size = "n.a." if self.size is None else f"{self.size:,}"
        modified = "n.a." if self.mtime is None else datetime.fromtimestamp(self.mtime)
        path = posixpath.join(self.rel_path, self.name)
        text = f"{type(self).__name__}('{path}', size:{size}, modified:{modified})"
        return f"{text} => {self.classification}" if self.classification else text

    def as_string(self, other_resource: _Resource | None = None) -> str:
        """Describes time and size, and how they compare with another resource if one is given.

        Times count as equal where they do so when it is decided what becomes of the files.
        """
        size = f"{'n.a.':>8}" if self.size is None else f"{self.size:>8,}"
        text = f"{pretty_stamp(self.mtime)}, {size} bytes"
        if other_resource is None:
            return text
        remarks = []
        order = self._compare_times(other_resource)
        if order:
            remarks.append("older" if order < 0 else "newer")
        if self.size is not None and other_resource.size is not None and self.size != other_resource.size:
            remarks.append("smaller" if self.size < other_resource.size else "larger")
        return f"{text} ({', '.join(remarks)})" if remarks else text

    def _compare_times(self, other: _Resource) -> int:
        """Tells whether this is older (-1) or newer (1) by more than both sides can tell; 0 if not, or not known."""
        if self.mtime is None or other.mtime is None:
            return 0
        return eps_compare(self.mtime, other.mtime, max(FileEntry.EPS_TIME, self._grain, other._grain))

    def get_rel_path(self) -> str:
        """Returns the path below the root of the target, with `/` between the parts."""
        root = self.target.root_dir
        folder = self.rel_path
        if not _is_inside(folder, root):
            folder = self.target.cur_dir or root
        if os.sep != "/" and not posixpath.isabs(root):  # A Windows path.
            return os.path.relpath(os.path.join(folder, self.name), root).replace(os.sep, "/")
        return posixpath.relpath(posixpath.join(folder, self.name), root)

    def is_file(self) -> bool:
        """Tells whether this is a file."""
        return False

    def is_dir(self) -> bool:
        """Tells whether this is a folder."""
        return False

    def is_local(self) -> bool:
        """Tells whether this belongs to the local side of the running synchronisation."""
        return self.target.is_local()

    def get_sync_info(self, key: str | None = None) -> Any:
        """Returns what the last run remembers of this entry, or one part of it (`m`, `s` or `u`)."""
        raise NotImplementedError

    def set_sync_info(self, local_file: object) -> None:
        """Not provided; use `target.set_sync_info()`."""
        raise NotImplementedError

    def classify(self, peer_dir_meta: Mapping[str, Any] | None) -> str:
        """Judges the entry by what the last run remembers of its folder.

        Args:
            peer_dir_meta: The records of this folder for this pair of targets, by name; empty if there never
                was a run.

        Returns:
            The classification, which is also kept as attribute.
        """
        known = peer_dir_meta or {}
        record = known.get(self.name)
        if not known:
            self.classification = self._without_memory()
        elif record is None:
            self.classification = "new"
        else:
            self.classification = self._compared_with(record)
        if _logs_classification(self.target):
            write(f"Classified {self}, meta={record}", debug=True)
        return self.classification

    def _without_memory(self) -> str:
        raise NotImplementedError

    def _compared_with(self, record: Mapping[str, Any]) -> str:
        raise NotImplementedError


class FileEntry(_Resource):
    """A file of a listing."""

    #: Seconds by which the times of two equal files may differ: FTP and FAT keep two-second steps.
    EPS_TIME: ClassVar[float] = 2.01

    @staticmethod
    def _eps_compare(date_1: float, date_2: float) -> int:
        return eps_compare(date_1, date_2, FileEntry.EPS_TIME)

    def is_file(self) -> bool:
        """Tells whether this is a file: yes."""
        return True

    def __eq__(self, other: object) -> bool:
        """Tells whether name and size are the same and the times differ by `EPS_TIME` at most."""
        if not isinstance(other, FileEntry):
            return NotImplemented
        return (
            type(self) is type(other)
            and self.name == other.name
            and self.size == other.size
            and self._same_time(other.mtime)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.name, self.size))

    def __gt__(self, other: object) -> bool:
        """Tells whether this is newer by more than `EPS_TIME`."""
        if not isinstance(other, FileEntry):
            return NotImplemented
        if self.mtime is None or other.mtime is None:
            return False
        return self._eps_compare(self.mtime, other.mtime) > 0

    def _same_time(self, mtime: float | None) -> bool:
        if self.mtime is None or mtime is None:
            return self.mtime is mtime
        return self._eps_compare(self.mtime, mtime) == 0

    def get_sync_info(self, key: str | None = None) -> Any:
        """Returns what the last run remembers of this file, or one part of it (`m`, `s` or `u`)."""
        return self.target.get_sync_info(self.name, key)

    def was_modified_since_last_sync(self) -> bool | None:
        """Tells whether time or size differ from the last run; None if that does not know the file."""
        record = self.get_sync_info()
        if not record:
            return None
        return self._differs_from(record)

    def _differs_from(self, record: Mapping[str, Any]) -> bool:
        return bool(self.size != record.get("s") or not self._same_time(record.get("m")))

    def _without_memory(self) -> str:
        return "existing"

    def _compared_with(self, record: Mapping[str, Any]) -> str:
        self.ps_size = record.get("s")
        self.ps_mtime = record.get("m")
        self.ps_utime = record.get("u")
        return "modified" if self._differs_from(record) else "unmodified"


class DirectoryEntry(_Resource):
    """A folder of a listing."""

    def __init__(
        self,
        target: _Target,
        rel_path: str,
        name: str,
        size: int | None,
        mtime: float | None,
        unique: str | None,
    ) -> None:
        super().__init__(target, rel_path, name, 0, mtime, unique)

    def __str__(self) -> str:
        text = f"{type(self).__name__}([{posixpath.join(self.rel_path, self.name)}])"
        return f"{text} => {self.classification}" if self.classification else text

    def is_dir(self) -> bool:
        """Tells whether this is a folder: yes."""
        return True

    def get_sync_info(self, key: str | None = None) -> None:
        """Returns None: nothing is remembered about folders except that they were there."""
        return None

    def _without_memory(self) -> str:
        return "unmodified"

    def _compared_with(self, record: Mapping[str, Any]) -> str:
        return "unmodified"


class EntryPair:
    """One name on both sides; one of the two may be missing.

    Attributes:
        local: The local entry, or None.
        remote: The remote entry, or None.
        name: The name.
        rel_path: The path below the roots.
        is_dir: Whether this is about folders.
        local_classification, remote_classification: Set by `classify()`; also `missing` or `deleted` if
            absent.
        operation: One of `PAIR_OPERATIONS`, set by `classify()` and `override_operation()`.
        re_class_reason: Why the operation was overridden.
    """

    def __init__(self, local: _Resource | None, remote: _Resource | None) -> None:
        self.local = local
        self.remote = remote
        entry = self.any_entry
        self.name = entry.name
        self.rel_path = entry.get_rel_path()
        self.is_dir = entry.is_dir()
        self.local_classification: str | None = None
        self.remote_classification: str | None = None
        self.operation: str | None = None
        self.re_class_reason: str | None = None
        if local is not None and remote is not None and local.is_dir() != remote.is_dir():
            kinds = ("folder", "file") if local.is_dir() else ("file", "folder")
            raise RuntimeError(
                f"'{self.rel_path}' is a {kinds[0]} on the local side and a {kinds[1]} on the remote side. "
                "Rename or remove one of them."
            )

    @property
    def any_entry(self) -> _Resource:
        """The local entry, or the remote one if there is no local one."""
        entry = self.local if self.local is not None else self.remote
        if entry is None:
            raise ValueError("a pair needs an entry on one side at least")
        return entry

    def __str__(self) -> str:
        path = f"[{self.rel_path}]" if self.is_dir else self.rel_path
        sides = f"({self.local_classification}, {self.remote_classification})"
        return f"<EntryPair({path})>: {sides} => {self.operation}"

    def classify(self, peer_dir_meta: Mapping[str, Any] | None) -> str:
        """Judges both sides by what the last run remembers, and derives the operation.

        Returns:
            The operation, which is also kept as attribute.

        Raises:
            RuntimeError: The two classifications cannot meet.
        """
        known = peer_dir_meta or {}
        absent = "deleted" if self.name in known else "missing"
        self.local_classification = self.local.classify(known) if self.local is not None else absent
        self.remote_classification = self.remote.classify(known) if self.remote is not None else absent
        operation = operation_map.get((self.local_classification, self.remote_classification))
        if not isinstance(operation, str):
            raise RuntimeError(f"Undefined operation for pair classification {self}")
        self.operation = operation
        if _logs_classification(self.any_entry.target):
            write(f"Classified pair {self}, meta={known.get(self.name)}", debug=True)
        return operation

    def is_conflict(self) -> bool:
        """Tells whether the operation is `conflict`."""
        return self.operation == "conflict"

    def is_same_time(self) -> bool:
        """Tells whether both sides are there and their times differ by no more than file systems round."""
        if self.local is None or self.remote is None:
            return False
        if self.local.mtime is None or self.remote.mtime is None:
            return self.local.mtime is self.remote.mtime
        return self.local._compare_times(self.remote) == 0

    def override_operation(self, operation: str, reason: str) -> None:
        """Replaces the operation.

        Args:
            operation: One of `PAIR_OPERATIONS`.
            reason: A word for the log, for example `restore`.
        """
        assert operation in PAIR_OPERATIONS, f"{operation!r} is not one of {sorted(PAIR_OPERATIONS)}"
        previous = self.operation
        self.operation = operation
        self.re_class_reason = reason
        target = self.any_entry.target
        if _logs_classification(target) or (emulates_31() and _verbosity(target) >= 4):
            write(f"override_operation({previous} -> {operation}) because of {reason}: {self}", debug=True)


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(
        (root.rstrip("/" + os.sep) + "/", root.rstrip("/" + os.sep) + os.sep)
    )


def _verbosity(target: _Target) -> int:
    return int(getattr(target.synchronizer, "verbose", 3))


def _logs_classification(target: _Target) -> bool:
    return "classify" in DEBUG_FLAGS and target.synchronizer is not None
