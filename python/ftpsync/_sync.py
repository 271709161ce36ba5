"""One call that synchronises two places, and what came of it: `ftpsync.sync()`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, overload

from ftpsync._base_target import _Target
from ftpsync._errors import printable
from ftpsync.metadata import DirMetadata
from ftpsync.synchronizers import (
    BaseSynchronizer,
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import is_url, make_target, path_to_make

__all__ = ["SyncEntry", "SyncResult", "sync"]

_SYNCHRONIZERS: Final[dict[str, type[BaseSynchronizer]]] = {
    "upload": UploadSynchronizer,
    "download": DownloadSynchronizer,
    "sync": BiDirSynchronizer,
}

#: What is told of each action: done, to be done in a dry run, and not done.
_WORDS: Final = {
    "copy": ("copied", "would copy", "could not copy"),
    "mkdir": ("made the folder", "would make the folder", "could not make the folder"),
    "delete": ("deleted", "would delete", "could not delete"),
    "time": ("set the time of", "would set the time of", "could not set the time of"),
    "conflict": ("left alone", "would leave alone", "left alone"),
    "error": ("problem with", "problem with", "problem with"),
}

#: Options that only make sense on the command line.
_NO_OPTIONS: Final = {"command", "files", "here", "local", "remote", "report_problems", "root", "sort"}


@dataclass(frozen=True)
class SyncEntry:
    """What was done to one file or folder, or would be in a dry run. `str()` gives one line for people.

    Attributes:
        path: Relative to the root of its side, with `/`; empty for the root.
        action: `copy`, `mkdir`, `delete`, `time` (contents are the same, only the time was set), `conflict` (both
            sides changed, and both were left as they are) or `error`.
        side: What was changed, or was to be: `source` or `destination`. For a conflict `both`.
        bytes: How many were copied; in a dry run, how many would be. Copies into folders that do not exist yet are
            not part of a dry run, unless it is `stateless`.
        error: Why it failed; None if it did not.
        dry_run: Nothing was changed.
    """

    path: str
    action: str
    side: str
    bytes: int = 0
    error: str | None = None
    dry_run: bool = False

    def __str__(self) -> str:
        done, planned, failed = _WORDS[self.action]
        words = failed if self.error is not None else planned if self.dry_run else done
        line = f"{words} {self.path or 'the root'}"
        if self.action == "copy" and self.error is None:
            line += f" ({self.bytes:,} bytes)"
        if self.side == "source":
            line += " on the source"
        if self.action == "conflict":
            line += ": it changed on both sides"
        return printable(line if self.error is None else f"{line}: {self.error}")


class SyncResult(Sequence[SyncEntry]):
    """What a synchronisation did, in the order in which it was done: a sequence of `SyncEntry`.

    Attributes:
        source, destination: The two places, without user and password.
        mode: `upload`, `download` or `sync`.
        dry_run: Nothing was changed.
        stats: The counters, as `get_stats()` of a synchronizer returns them.
    """

    def __init__(
        self,
        entries: Iterable[SyncEntry],
        *,
        source: str,
        destination: str,
        mode: str,
        dry_run: bool,
        stats: dict[str, Any],
    ) -> None:
        self._entries = tuple(entries)
        self.source, self.destination, self.mode, self.dry_run = source, destination, mode, dry_run
        self.stats = stats

    @property
    def errors(self) -> list[SyncEntry]:
        """What failed."""
        return [entry for entry in self._entries if entry.error is not None]

    @property
    def conflicts(self) -> list[SyncEntry]:
        """Files that changed on both sides and were left alone."""
        return [entry for entry in self._entries if entry.action == "conflict"]

    @property
    def ok(self) -> bool:
        """Whether nothing failed and no conflict was left: the two sides are as they should be."""
        return not self.errors and not self.conflicts and not self.stats["errors"]

    def to_json(self, indent: int | None = None) -> str:
        """Returns everything as a JSON object: `source`, `destination`, `mode`, `dry_run`, `ok`, `entries`, `stats`.

        Args:
            indent: Blanks for each level; None for one line.
        """
        document = {
            "source": self.source,
            "destination": self.destination,
            "mode": self.mode,
            "dry_run": self.dry_run,
            "ok": self.ok,
            "entries": [asdict(entry) for entry in self._entries],
            "stats": self.stats,
        }
        return json.dumps(document, indent=indent, sort_keys=False)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> SyncEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SyncEntry]: ...
    def __getitem__(self, index: int | slice) -> SyncEntry | Sequence[SyncEntry]:
        return self._entries[index]

    def __iter__(self) -> Iterator[SyncEntry]:
        return iter(self._entries)

    def __str__(self) -> str:
        return "\n".join(map(str, self._entries))

    def __repr__(self) -> str:
        state = "ok" if self.ok else f"{len(self.errors)} errors, {len(self.conflicts)} conflicts"
        return f"<SyncResult {self.source} -> {self.destination}: {len(self)} entries, {state}>"


def sync(
    source: str | os.PathLike[str] | _Target,
    destination: str | os.PathLike[str] | _Target,
    mode: str = "upload",
    **options: Any,
) -> SyncResult:
    """Synchronises two places, and returns what was done.

    `upload` and `download` both make the destination follow the source; they differ in the side that remembers what
    was synchronised: the source or the destination. `sync` copies changes both ways; then the source remembers.

    Args:
        source: A path, a URL (`ftp://`, `ftps://`, `sftp://`, `s3://`) or a target.
        destination: The same.
        mode: `upload`, `download` or `sync`.
        **options: Those of the synchronizers, which are those of the command line with underscores, and of targets.
            Among them: `delete` (bool: remove from the destination what the source does not have), `dry_run` (bool),
            `exclude` and `match` (a list of patterns, or a text with commas), `checksum` (bool: compare files of one
            size by content), `stateless` (bool: go by what both sides are now, and leave no metadata), `resolve` (str:
            what becomes of conflicts; `skip` unless given), `create_folder` (bool: make a missing destination),
            `max_delete` (int or `"N%"`), `max_depth` and `connections` (int), `timeout` and `max_time` (seconds),
            `require_tls` (bool: refuse plain FTP), `verbose` (0 to 6, 0 unless given: only the result tells).

    Returns:
        One entry for each thing that was done. Single files that failed are in it, and stop no others.

    Raises:
        TypeError: An option does not exist, or is of a wrong type; a place is neither text nor path nor target.
        ValueError: A place does not exist or cannot be used, both are the same, or one is inside the other.
        RuntimeError: A server lacks the folder, or another run is at work there.
        ftplib.Error: An FTP server refused the login or something else without which nothing can be done.
        OSError: A server could not be reached, or the connection was lost for good.
    """
    if mode not in _SYNCHRONIZERS:
        raise ValueError(f"mode must be upload, download or sync, not {mode!r}")
    settings = checked_options(mode, options)
    dry_run = bool(settings.get("dry_run"))
    first = _made(source, "source")
    second = _made(destination, "destination", bool(settings.get("create_folder")), dry_run)
    local, remote = (second, first) if mode == "download" else (first, second)
    synchronizer = _SYNCHRONIZERS[mode](local, remote, settings)
    names = (
        {True: "destination", False: "source"}
        if mode == "download"
        else {True: "source", False: "destination"}
    )
    entries: list[SyncEntry] = []

    def take(action: str, path: str, is_local: bool | None, size: int, error: str | None) -> None:
        side = "both" if is_local is None else names[is_local]
        entries.append(SyncEntry(path, action, side, size, error, dry_run))

    synchronizer._on_deed = take
    try:
        synchronizer.run()
    except Exception as exc:
        # What went wrong with single entries did not end the run, and is in the result.
        if not getattr(exc, "was_told", False):
            raise
    return SyncResult(
        entries,
        source=first.get_base_name(),
        destination=second.get_base_name(),
        mode=mode,
        dry_run=dry_run,
        stats=synchronizer.get_stats(),
    )


def checked_options(mode: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns options as a synchronizer wants them.

    Raises:
        TypeError: There is no such option, or its value cannot be.
    """
    from ftpsync._task_checks import problem_with

    known = known_options()
    settings: dict[str, Any] = {"verbose": 0}
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"there is no option {name!r}{_near(name, known)}")
        if isinstance(value, (tuple, set, frozenset)):
            value = list(value)
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        problem = problem_with(name, value, mode)
        if problem is not None:
            raise TypeError(f"invalid option {name}: {value!r} ({problem})")
        settings[name] = value
    return settings


def known_options() -> frozenset[str]:
    """Returns the names of all options."""
    from ftpsync.run_command import KNOWN_TASK_ARGS

    return frozenset(KNOWN_TASK_ARGS - _NO_OPTIONS)


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _made(
    place: str | os.PathLike[str] | _Target, name: str, create_folder: bool = False, dry_run: bool = False
) -> _Target:
    """Makes a target of a place, and a folder first if that is wanted."""
    if isinstance(place, _Target):
        return place
    path = os.fspath(place) if isinstance(place, os.PathLike) else place
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a URL, a path or a target, not {place!r}")
    if not path:
        raise ValueError(f"{name} must not be empty")
    if create_folder and not is_url(path):
        path = path_to_make(path)
        if dry_run and not os.path.lexists(path):
            return _Unmade(path)
        os.makedirs(path, exist_ok=True)
    target: _Target = make_target(path)
    return target


class _Unmade(_Target):
    """A folder that a dry run does not make: nothing is in it."""

    def __init__(self, path: str) -> None:
        super().__init__(path, None)
        self.support_set_time = True

    def open(self) -> None:
        super().open()
        self.cur_dir = self.root_dir

    def cwd(self, dir_name: str) -> str | None:
        return self.cur_dir

    def get_dir(self) -> list[Any]:
        self.cur_dir_meta = DirMetadata(self)
        return []
