"""The four synchronizers: what the user configures, listens to and asks for; the work is done by the native core.

A synchronizer opens both targets, hands them to the core together with its options, and words what the core
reports. It decides nothing about files itself: every rule lives in the core's planner.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ftpsync import _steps
from ftpsync._base_target import _Target
from ftpsync._closing import Closing
from ftpsync._conflicts import settle
from ftpsync._hooks import HookRelay
from ftpsync._lazy import lazily
from ftpsync._overrides import HANDLERS, hook, is_overridden, overridden_hooks
from ftpsync._refusals import doubt_patterns, refuse_changed_tables, refuse_overlap
from ftpsync._report import Reporter
from ftpsync._running import bound, close_targets, open_targets, synchronise, taken, tell_header, timed
from ftpsync.ftp_target import FTPTarget, FtpTarget
from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, EntryPair, FileEntry, _Resource, operation_map
from ftpsync.util import (
    DRY_RUN_PREFIX,
    IS_REDIRECTED,
    VT_ERASE_LINE,
    emulates_31,
)

__all__ = [
    "ALWAYS_OMIT",
    "CONFIG_FILE_NAME",
    "DEFAULT_OMIT",
    "DRY_RUN_PREFIX",
    "IS_REDIRECTED",
    "VT_ERASE_LINE",
    "BaseSynchronizer",
    "BiDirSynchronizer",
    "DirMetadata",
    "DirectoryEntry",
    "DownloadSynchronizer",
    "EntryPair",
    "FTPTarget",
    "FileEntry",
    "FtpTarget",
    "UploadSynchronizer",
    "match_path",
    "operation_map",
    "process_options",
]

# For mock.patch() with the paths of release 4.1; hidden from type checkers, who would take any name then.
if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {name: f"ftpsync.util:{name}" for name in ("byte_compare", "eps_compare", "write", "write_error")},
    )

#: Name of the task file of the command `run`.
CONFIG_FILE_NAME: Final = ".pyftpsync.yaml" if emulates_31() else "pyftpsync.yaml"

#: What the command line leaves out unless `--exclude` says otherwise. The library leaves out nothing.
DEFAULT_OMIT: Final = [".DS_Store", ".git", ".hg", ".svn", "#recycle"]

#: The folder for what loses when two files meet for the first time; in the root of the local side.
TRASH_NAME: Final = ".pyftpsync-trash"

#: What belongs to this tool itself, and is never synchronised; nor is the trash.
ALWAYS_OMIT: Final = (
    "pyftpsync.yaml",
    DirMetadata.META_FILE_NAME,
    DirMetadata.LOCK_FILE_NAME,
    ".pyftpsync.yaml",
)

_COUNTERS: Final = (
    "bytes_written",
    "conflict_files",
    "conflict_files_skipped",
    "copy_errors",
    "dirs_created",
    "dirs_deleted",
    "download_bytes_written",
    "download_files_written",
    "entries_seen",
    "entries_touched",
    "errors",
    "files_created",
    "files_deleted",
    "files_written",
    "interactive_ask",
    "local_dirs",
    "local_files",
    "meta_bytes_read",
    "meta_bytes_written",
    "remote_dirs",
    "remote_files",
    "upload_bytes_written",
    "upload_files_written",
)


def process_options(opts: MutableMapping[str, Any]) -> None:
    """Turns the options `match` and `exclude` into lists of patterns, in place.

    Args:
        opts: Each of the two may be missing, None, a comma-separated string, or any iterable of strings.

    Raises:
        AssertionError: One of them is something else.
    """
    for key in ("match", "exclude"):
        value = opts.get(key)
        if not value:
            opts[key] = []
        elif isinstance(value, str):
            opts[key] = [pattern.strip() for pattern in value.split(",") if pattern.strip()]
        else:
            problem = f"option {key!r} must be a string or a list of strings, not {value!r}"
            assert isinstance(value, Iterable), problem
            assert not isinstance(value, (bytes, dict)), problem
            opts[key] = list(value)
            assert all(isinstance(pattern, str) for pattern in opts[key]), problem


def match_path(entry: _Resource, opts: Mapping[str, Any]) -> bool:
    """Tells whether an entry takes part, by its base name.

    Args:
        entry: A file or folder.
        opts: With the lists `match` (files only) and `exclude` (files and folders; it wins).
    """
    name = entry.name
    if name in ALWAYS_OMIT or name == TRASH_NAME:
        return False
    wanted = opts.get("match")
    if wanted and entry.is_file() and not any(fnmatch(name, pattern) for pattern in wanted):
        return False
    return not any(fnmatch(name, pattern) for pattern in opts.get("exclude") or ())


#: What decides who takes part. Who puts something else in its place is asked for each entry.
_FILTER: Final = (match_path, ALWAYS_OMIT)


def _verbosity(value: Any) -> int:
    """Reads the option `verbose`.

    Raises:
        ValueError: It is no number.
    """
    try:
        return 3 if value is None else int(value)
    except (TypeError, ValueError):
        raise ValueError(f"invalid option verbose: {value!r} (expected a number from 0 to 6)") from None


class BaseSynchronizer:
    """Common to all synchronizers. On its own it compares and tells, and changes nothing.

    Args:
        local: The first target.
        remote: The second target.
        options: See the documentation of the options. A dict, or another mapping that can be changed; it is
            kept, not copied.

    Attributes:
        local, remote: The targets.
        options: As given.
        verbose: 0 (only errors) to 6 (the whole conversation with the server).
        dry_run: Only tell what would be done.
        ignore_copy_errors: A file that cannot be opened is counted, and the run goes on.
        is_script: There is somebody to ask when a strategy cannot decide.
        resolve_all: The answer for all further conflicts, once the user gave one.
    """

    _MODE: ClassVar[str] = "sync"
    _ACCEPTED_STRATEGIES: ClassVar[tuple[str, ...] | None] = None

    #: Answers to the prompt at a conflict, and what they mean.
    _resolve_shortcuts: ClassVar[dict[str, str]] = {
        "l": "local",
        "r": "remote",
        "o": "old",
        "n": "new",
        "s": "skip",
        "k": "keep-both",
    }

    def __init__(self, local: _Target, remote: _Target, options: MutableMapping[str, Any] | None) -> None:
        for side, target in (("local", local), ("remote", remote)):
            if not isinstance(target, _Target):
                raise TypeError(f"{side} must be a target, not {target!r}; make_target() makes one of a URL")
        if local is remote:
            raise ValueError(f"local and remote are the same target, {local}")
        if options is not None and not isinstance(options, MutableMapping):
            raise TypeError(f"options must be a dict or None, not {options!r}")
        self.local = local
        self.remote = remote
        self.options: MutableMapping[str, Any] = options if options is not None else {}
        process_options(self.options)
        self.verbose: int = _verbosity(self.options.get("verbose"))
        self.dry_run: bool = bool(self.options.get("dry_run", False))
        self.ignore_copy_errors = True
        self.is_script: bool | None = None
        self.resolve_all: str | None = None
        self._reporter: Reporter | None = None
        #: Takes what was done: action, path, whether on the local side (None: on both), bytes, error.
        self._on_deed: Callable[[str, str, bool | None, int, str | None], None] | None = None
        self._closing = Closing(self._MODE)
        self._stats: dict[str, Any] = dict.fromkeys(_COUNTERS, 0)
        self._stats.update(elap_secs=None, elap_str=None, result_code=None)

    def __del__(self) -> None:
        # As in release 4.1: who keeps a target, but not the synchronizer, finds it closed. Not one that another uses.
        if sys.is_finalizing():
            return
        for name in ("local", "remote"):
            target = getattr(self, name, None)  # The constructor may have failed.
            with contextlib.suppress(Exception):
                if target is not None and target.connected and target.is_unbound():
                    target.close()

    # --- What users call ---

    def get_info_strings(self) -> tuple[str, str]:
        """Returns the words of the header: what is done, and how the two targets relate.

        Raises:
            NotImplementedError: The base class does nothing that could be worded.
        """
        raise NotImplementedError

    def run(self) -> bool:
        """Opens both targets, synchronises them, and closes them.

        Returns:
            True. Problems with single files are counted, see `error_count()`.

        Raises:
            RuntimeError: Names clash; a mass deletion was stopped; a target is in use, be it by another run.
            ftplib.Error: A server refused something; the rest was done nevertheless.
            OSError: A server could not be reached; a file could not be written.
            KeyboardInterrupt: The user stopped the run. Nothing is torn.
        """
        process_options(self.options)  # They may have been changed since, or replaced.
        refuse_changed_tables(operation_map)
        refuse_overlap(self, (*ALWAYS_OMIT, TRASH_NAME, *self.options["exclude"]))
        if type(self)._match is BaseSynchronizer._match and self.verbose >= 1:
            doubt_patterns(self)
        hooks = overridden_hooks(self)
        with taken(self.local, self.remote), timed(self._stats):
            try:
                with bound(self):
                    tell_header(self)
                    open_targets(self.local, self.remote)
                    synchronise(self, hooks)
            finally:
                self.close()
        return True

    def close(self) -> None:
        """Closes both targets."""
        close_targets(self.local, self.remote)

    def get_stats(self) -> dict[str, Any]:
        """Returns the counters, live. They accumulate over repeated runs."""
        return self._stats

    def error_count(self) -> int:
        """Returns how many things went wrong."""
        return int(self._stats["errors"])

    def problem_count(self) -> int:
        """Returns how many conflicts were left alone, plus how many files could not be copied."""
        return int(self._stats["conflict_files_skipped"]) + int(self._stats["copy_errors"])

    # --- What a run wants to know ---

    def _has_own_filter(self) -> bool:
        """Tells whether the default of `_match()`, or what it asks, was replaced, be it in this module."""
        return is_overridden(self, "_match") or (match_path, ALWAYS_OMIT) != _FILTER

    def _only_tells(self) -> bool:
        """Tells whether nothing is to be changed: in a dry run, and where every handler is that of the base class."""
        return self.dry_run or all(
            name not in vars(self) and getattr(type(self), name) is getattr(BaseSynchronizer, name)
            for name in HANDLERS
        )

    # --- Hooks: what the core does unless they are overridden, for super() and for use in overrides ---

    @hook
    def _inc_stat(self, name: str, ofs: float = 1) -> None:
        """Adds to a counter. Called for all that the core has counted before any other hook is."""
        self._stats[name] = self._stats.get(name, 0) + ofs

    @hook
    def _before_sync(self, entry: _Resource) -> bool:
        """Called before an entry is looked at, and once more before a local folder is descended into.

        Returns:
            False to leave the entry alone. For a local entry that is the name, on both sides; for a remote one
            it counts only where the local side has no such name.
        """
        self._inc_stat("entries_seen")
        return True

    @hook
    def re_classify_pair(self, pair: EntryPair) -> Any:
        """Called after a pair was classified; may call `pair.override_operation()`.

        Returns:
            False to leave the pair alone.
        """
        default = self._relay().default_operation
        if default is not None:
            pair.override_operation(*default)
        return True

    @hook
    def _match(self, entry: _Resource) -> bool:
        """Tells whether an entry takes part."""
        return match_path(entry, self.options)

    def on_mismatch(self, pair: EntryPair) -> Any:
        """Called for a pair that does not take part."""
        self._log_action("skip", "mismatch", "?", pair.any_entry, min_level=4)

    def on_equal(self, pair: EntryPair) -> Any:
        """Called for a pair that is the same on both sides."""
        self._log_action("", "equal", "=", pair.any_entry, min_level=4)

    def on_copy_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be copied."""
        self._log_action("copy", str(pair.remote_classification), ">", pair.any_entry)

    def on_copy_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be copied."""
        self._log_action("copy", str(pair.local_classification), "<", pair.any_entry)

    def on_delete_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be deleted."""
        self._log_action("", "modified", "X< ", pair.any_entry)

    def on_delete_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be deleted."""
        self._log_action("", "modified", " >X", pair.any_entry)

    def on_need_compare(self, pair: EntryPair) -> Any:
        """Called when nothing tells which side is right."""
        self._log_action("", "different", "?", pair.any_entry, min_level=2)

    def on_conflict(self, pair: EntryPair) -> Any:
        """Called for a conflict."""
        self._log_action("skip", "conflict", "!", pair.any_entry, min_level=2)

    @hook
    def on_error(self, exc: Exception, pair: EntryPair) -> bool:
        """Called when a pair could not be dealt with.

        Returns:
            True to go on as if nothing had happened; else the exception ends the run.
        """
        (self._reporter or Reporter(self)).tell_error(exc, pair)
        return False

    # --- Steps: called by handlers, and by the core for each file and folder where they are overridden ---

    @hook
    def _sync_dir(self) -> Any:
        """Synchronises the folder that both targets are in, with everything in it.

        Raises:
            RuntimeError: It is not called from an override of itself.
        """
        if not self._relay().sync_folder():
            raise RuntimeError("_sync_dir() can only be called from an override of itself")

    @hook
    def _copy_file(self, src: _Target, dest: _Target, file_entry: FileEntry) -> Any:
        """Copies a file from the current folder of `src` to that of `dest`; in a dry run it is only counted.

        Raises:
            RuntimeError: `dest` is read-only.
        """
        assert isinstance(file_entry, FileEntry), f"_copy_file() copies files, not {file_entry!r}"
        self._refuse_read_only(dest)
        if not self._core_does(lambda relay: relay.copy(dest, file_entry)):
            _steps.copy_file(self, src, dest, file_entry)
        if self.dry_run:
            self._dry_run_action(f"copy file ({file_entry}, {src} --> {dest})")

    @hook
    def _copy_recursive(self, src: _Target, dest: _Target, dir_entry: DirectoryEntry) -> Any:
        """Copies a folder, with everything in it that takes part, to the current folder of `dest`.

        Raises:
            RuntimeError: `dest` is read-only.
        """
        assert isinstance(dir_entry, DirectoryEntry), f"_copy_recursive() copies folders, not {dir_entry!r}"
        self._refuse_read_only(dest)
        if not self._core_does(lambda relay: relay.copy(dest, dir_entry)):
            _steps.copy_folder(self, src, dest, dir_entry)
        if self.dry_run:
            self._dry_run_action(f"copy directory ({dir_entry}, {src} --> {dest})")

    @hook
    def _remove_file(self, file_entry: FileEntry) -> Any:
        """Deletes a file. What the core has in hand goes at the end of the run, once all deletions are known.

        Raises:
            RuntimeError: Its target is read-only.
        """
        assert isinstance(file_entry, FileEntry), f"_remove_file() removes files, not {file_entry!r}"
        self._remove(file_entry, f"delete file ({file_entry})")

    @hook
    def _remove_dir(self, dir_entry: DirectoryEntry) -> Any:
        """Deletes a folder with everything in it, as `_remove_file()` does.

        Raises:
            RuntimeError: Its target is read-only.
        """
        assert isinstance(dir_entry, DirectoryEntry), f"_remove_dir() removes folders, not {dir_entry!r}"
        self._remove(dir_entry, f"delete directory ({dir_entry})")

    def _remove(self, entry: _Resource, action: str) -> None:
        self._refuse_read_only(entry.target)
        if not self._core_does(lambda relay: relay.remove(entry)):
            _steps.remove(self, entry)
        if self.dry_run:
            self._dry_run_action(action)

    def _refuse_read_only(self, target: _Target) -> None:
        if target.readonly and not self.dry_run:
            raise RuntimeError(f"target is read-only: {target}")

    def _core_does(self, step: Callable[[HookRelay], bool]) -> bool:
        """Has the core do a step, if it has the entry in hand; returns whether it has."""
        return isinstance(self._reporter, HookRelay) and step(self._reporter)

    @hook
    def _dry_run_action(self, action: str) -> None:
        """Called in a dry run for everything that is not done; does nothing.

        Args:
            action: What is not done, for people.
        """

    @hook
    def _test_match_or_print(self, entry: _Resource) -> bool:
        """Tells whether an entry takes part, and writes a line if it does not."""
        if self._match(entry):
            return True
        self._log_action("skip", "unmatched", "-", entry, min_level=4)
        return False

    def _compare_file(self, local: FileEntry, remote: FileEntry) -> bool:
        """Compares two files of the current folder byte by byte, and writes the result.

        Returns:
            Whether they are equal.
        """
        return Reporter.tell_comparison(local, remote)

    def _print_pair_diff(self, pair: EntryPair) -> None:
        """Writes what is known about both sides of a conflict."""
        (self._reporter or Reporter(self)).tell_difference(pair)

    # --- Lines ---

    @hook
    def _log_action(
        self, action: str, status: str, symbol: str, entry: _Resource, min_level: int = 3
    ) -> None:
        """Writes the line of one entry, if the verbosity is `min_level` or more."""
        reporter = self._reporter or Reporter(self)
        reporter.write_line(action, status, symbol, entry.get_rel_path(), entry.is_dir(), min_level)

    @hook
    def _tick(self) -> None:
        """Shows how far the run is, where progress is to be shown."""
        if self._reporter is not None and self._reporter.shows_progress:
            self._reporter.progress.show()

    def _relay(self) -> HookRelay:
        if not isinstance(self._reporter, HookRelay):
            raise RuntimeError("handlers work only while run() does, called from an override")
        return self._reporter

    # --- Conflicts ---

    @hook
    def _interactive_resolve(self, pair: EntryPair) -> str:
        """Settles a conflict: by the strategy, or by asking the user until the answer can be used.

        Returns:
            `local`, `remote`, `old`, `new` or `skip`. A capital answer is kept in `resolve_all`.
        """
        return settle(self, pair)


class BiDirSynchronizer(BaseSynchronizer):
    """Copies changes in both directions, and deletions too."""

    #: Handlers of which the mode has its own, that does less.
    _RESTRAINED: ClassVar[tuple[str, ...]] = ()

    def get_info_strings(self) -> tuple[str, str]:
        """Returns the words of the header."""
        return ("synchronize", "with")

    @hook
    def on_mismatch(self, pair: EntryPair) -> Any:
        """Called for a pair that does not take part."""
        self._relay().leave_out(pair)

    @hook
    def on_equal(self, pair: EntryPair) -> Any:
        """Called for a pair that is the same on both sides."""
        self._relay().operate_on(pair, "equal")

    @hook
    def on_copy_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be copied; copies it."""
        if pair.local is None or self._test_match_or_print(pair.local):
            self._carry_out(pair, "copy_local")

    @hook
    def on_copy_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be copied; copies it."""
        if pair.remote is None or self._test_match_or_print(pair.remote):
            self._carry_out(pair, "copy_remote")

    @hook
    def on_delete_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be deleted; has it deleted at the end of the run."""
        self._carry_out(pair, "delete_local")

    @hook
    def on_delete_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be deleted; has it deleted at the end of the run."""
        self._carry_out(pair, "delete_remote")

    @hook
    def on_need_compare(self, pair: EntryPair) -> Any:
        """Called when nothing tells which side is right; compares, and calls the handler of what comes out."""
        self._relay().operate_on(pair, "need_compare")

    @hook
    def on_conflict(self, pair: EntryPair) -> Any:
        """Called for a conflict; settles it by the strategy, or asks."""
        if self._test_match_or_print(pair.any_entry):
            self._relay().operate_on(pair, "conflict")

    def _carry_out(self, pair: EntryPair, operation: str) -> None:
        """Does what an operation says, also where the mode would not: then somebody has asked this very class for it.

        Raises:
            RuntimeError: The side that would be changed is read-only.
        """
        if operation not in self._RESTRAINED:
            self._relay().operate_on(pair, operation)
        elif operation == "copy_local":
            self._copy(pair.local, self.local, self.remote, ">")
        elif operation == "copy_remote":
            self._copy(pair.remote, self.remote, self.local, "<")
        elif operation == "delete_local":
            self._delete(pair.local, "X< ")
        else:
            self._delete(pair.remote, " >X")

    def _copy(self, entry: Any, source: _Target, dest: _Target, symbol: str) -> None:
        self._log_action("copy", entry.classification, symbol, entry)
        (self._copy_recursive if entry.is_dir() else self._copy_file)(source, dest, entry)

    def _delete(self, entry: Any, symbol: str) -> None:
        self._log_action("delete", "missing", symbol, entry)
        (self._remove_dir if entry.is_dir() else self._remove_file)(entry)


class UploadSynchronizer(BiDirSynchronizer):
    """Makes the remote target follow the local one, which is never changed."""

    _MODE = "upload"
    _ACCEPTED_STRATEGIES = ("local", "skip", "ask")
    _RESTRAINED = ("copy_remote", "delete_local", "delete_remote")

    def get_info_strings(self) -> tuple[str, str]:
        """Returns the words of the header."""
        return ("upload", "to")

    @hook
    def on_copy_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry would be copied; it is not."""
        if pair.remote is None or self._test_match_or_print(pair.remote):
            self._relay().operate_on(pair, "copy_remote")

    @hook
    def on_delete_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be deleted; it is not."""
        self._relay().operate_on(pair, "delete_local")

    @hook
    def on_delete_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be deleted; with the option `delete` it is."""
        self._relay().operate_on(pair, "delete_remote")


class DownloadSynchronizer(BiDirSynchronizer):
    """Makes the local target follow the remote one, which is never changed."""

    _MODE = "download"
    _ACCEPTED_STRATEGIES = ("remote", "skip", "ask")
    _RESTRAINED = ("copy_local", "delete_local", "delete_remote")

    def get_info_strings(self) -> tuple[str, str]:
        """Returns the words of the header."""
        return ("download to", "from")

    @hook
    def on_copy_local(self, pair: EntryPair) -> Any:
        """Called when the local entry would be copied; it is not."""
        if pair.local is None or self._test_match_or_print(pair.local):
            self._relay().operate_on(pair, "copy_local")

    @hook
    def on_delete_local(self, pair: EntryPair) -> Any:
        """Called when the local entry is to be deleted; with the option `delete` it is."""
        self._relay().operate_on(pair, "delete_local")

    @hook
    def on_delete_remote(self, pair: EntryPair) -> Any:
        """Called when the remote entry is to be deleted; it is not."""
        self._relay().operate_on(pair, "delete_remote")
