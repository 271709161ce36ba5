"""What all targets have in common: the base class, also of targets that are written elsewhere."""

from __future__ import annotations

import codecs
import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ftpsync.metadata import DirMetadata
from ftpsync.resources import FileEntry, _Resource
from ftpsync.util import to_bytes, to_native, write

if TYPE_CHECKING:
    from typing_extensions import Self

Predicate = Callable[[_Resource], Any]
Callback = Callable[[bytes], Any]

#: How the name of a file that is still being written begins; the core uses the same. Never listed, never
#: synchronised.
_TEMP_PREFIX = ".pyftpsync-tmp-"


def _get_encoding_opt(
    synchronizer: Any, extra_opts: dict[str, Any] | None, default: str | None
) -> str | None:
    """Returns the normalised name of the encoding that `extra_opts` asks for, else the default.

    Args:
        synchronizer: Not used; a target is made before it is bound.
        extra_opts: May have the key `encoding`.
        default: Any name that `codecs` knows, or None.

    Raises:
        LookupError: There is no such encoding.
        TypeError: Its name is no text.
    """
    if extra_opts is not None and not isinstance(extra_opts, dict):
        raise TypeError(f"extra_opts must be a dict or None, not {extra_opts!r}")
    encoding = (extra_opts or {}).get("encoding") or default
    if encoding and not isinstance(encoding, str):
        raise TypeError(f"option encoding must be str, not {type(encoding).__name__}: {encoding!r}")
    return codecs.lookup(encoding).name if encoding else None


class _Target:
    """Base of all targets, and of third-party ones.

    Attributes:
        root_dir: The folder that is synchronised, without a slash at the end (except `/` itself).
        extra_opts: Options of this target alone.
        readonly: Every change is refused. Reset by `close()`.
        dry_run: The run only rehearses; metadata is not written.
        connected: `open()` was called.
        host: Name of the server, if any.
        synchronizer, peer: Who uses the target and with which other one, while `run()` lasts.
        cur_dir: The current folder, absolute; None before `open()`.
        server_time_ofs: Seconds that the clock of the server is ahead, if known.
        mtime_compare_eps: Seconds by which equal times may differ.
        cur_dir_meta: Metadata of the current folder, set by `get_dir()`.
        meta_stack: For `push_meta()` and `pop_meta()`.
        encoding: Of file names.
        support_set_time: Whether `set_mtime()` changes the file itself; set by subclasses.
        save_mode, case_sensitive: Not used.
    """

    DEFAULT_BLOCKSIZE: ClassVar[int] = 16 * 1024

    encoding: str | None
    support_set_time: bool
    connected = False  # Also when a constructor fails half-way: __del__ asks.
    _is_in_run = False

    def __init__(self, root_dir: str, extra_opts: dict[str, Any] | None) -> None:
        assert isinstance(root_dir, str), f"root_dir must be str, not {type(root_dir).__name__}"
        self._rlock = threading.RLock()
        self.root_dir = (root_dir.rstrip("/") or "/") if root_dir else root_dir
        self.extra_opts: dict[str, Any] = extra_opts or {}
        self.readonly = False
        self.dry_run = False
        self.host: str | None = None
        self.synchronizer: Any = None
        self.peer: Any = None
        self.cur_dir: str | None = None
        self.connected = False
        self.save_mode = True
        self.case_sensitive: bool | None = None
        self.server_time_ofs: float | None = None
        self.mtime_compare_eps = FileEntry.EPS_TIME
        if getattr(self, "encoding", None) is None:
            self.encoding = _get_encoding_opt(None, self.extra_opts, None)
        self.cur_dir_meta: DirMetadata | None = DirMetadata(self)
        self.meta_stack: list[DirMetadata | None] = []

    def __del__(self) -> None:
        # At exit the modules that close() needs may be gone, and an error here would only be printed.
        if self.connected and not sys.is_finalizing():
            with contextlib.suppress(Exception):
                self.close()

    # --- Who am I ---

    def get_base_name(self) -> str:
        """Returns how the target is shown: a path, or a URL without user and password."""
        return self.root_dir

    def get_id(self) -> str:
        """Returns the key under which peers remember this target."""
        return self.root_dir

    def _memory_key(self) -> str:
        """Returns the key under which peers remember this target: where `get_id()` tells too little, another one."""
        return self.get_id()

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]] | None:
        """Returns what holds the folder, and the names on the way to it; None if that is not known."""
        return None

    def _native_target(self) -> Any:
        """Returns the target as the core takes it as a whole; None if it cannot."""
        return getattr(self, "_native", None)

    def _uses_tls(self) -> bool:
        """Tells whether options about TLS are about this side."""
        return False

    def is_unbound(self) -> bool:
        """Tells whether no synchronizer uses the target at the moment."""
        return self.synchronizer is None

    def is_local(self) -> bool:
        """Tells whether this is the local side of the running synchronisation.

        Raises:
            RuntimeError: The target takes part in none.
        """
        if self.synchronizer is None:
            raise RuntimeError("Unbound target: no synchronizer uses it, see is_remote(or_unbound=True).")
        return self.synchronizer.local is self

    def is_remote(self, or_unbound: bool = False) -> bool:
        """Tells whether this is the remote side of the running synchronisation.

        Args:
            or_unbound: The answer for a target that takes part in none is True instead of an error.

        Raises:
            RuntimeError: The target takes part in none, and `or_unbound` is False.
        """
        if or_unbound and self.is_unbound():
            return True
        return not self.is_local()

    # --- Options ---

    def get_options_dict(self) -> dict[str, Any]:
        """Returns the options of the synchronizer overlaid with those of the target, as a new dict."""
        options: dict[str, Any] = {}
        if self.synchronizer is not None:
            options.update(self.synchronizer.options)
        options.update(self.extra_opts)
        return options

    def get_option(self, key: str, default: Any = None) -> Any:
        """Returns an option of the target, else of the synchronizer, else the default."""
        if key in self.extra_opts:
            return self.extra_opts[key]
        if self.synchronizer is not None:
            return self.synchronizer.options.get(key, default)
        return default

    def _verbose(self) -> int:
        verbose = self.get_option("verbose", 3)
        return 3 if verbose is None else int(verbose)

    # --- Life ---

    def open(self) -> None:
        """Makes the target ready for use.

        Raises:
            RuntimeError: It is open already, or another thread uses it.
        """
        if self.connected:
            raise RuntimeError(f"Target already open: {self}.  ")
        if not self._rlock.acquire(blocking=False):
            raise RuntimeError(f"Could not acquire _Target lock on open: another thread uses {self}.")
        self.connected = True

    def __enter__(self) -> Self:
        """Opens the target, unless it is open already; the end of the `with` block closes it."""
        if not self.connected:
            self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell_closing(self) -> None:
        if self._verbose() >= 5:
            write(f"Closing target {self}.")

    def close(self) -> None:
        """Ends the use of the target. Harmless when it is not open."""
        if not self.connected:
            return
        self._tell_closing()
        self.connected = False
        self.readonly = False
        try:
            self._rlock.release()
        except (
            RuntimeError
        ):  # Closed by another thread (or the garbage collector) than the one that opened it.
            self._rlock = threading.RLock()

    def check_write(self, name: str) -> None:
        """Makes sure that `name` may be changed.

        Raises:
            RuntimeError: The target is read-only. Metadata and lock files are exempt.
        """
        if self.readonly and name not in (DirMetadata.META_FILE_NAME, DirMetadata.LOCK_FILE_NAME):
            raise RuntimeError(f"Target is read-only: {self} + {name}.")

    # --- Navigation ---

    def cwd(self, dir_name: str) -> str | None:
        """Changes the current folder and returns it. Abstract."""
        raise NotImplementedError

    @contextlib.contextmanager
    def enter_subdir(self, name: str) -> Iterator[None]:
        """Is in the sub folder `name` for the length of a `with` block."""
        self.cwd(name)
        try:
            yield
        finally:
            self.cwd("..")

    def push_meta(self) -> None:
        """Puts the metadata of the current folder aside."""
        self.meta_stack.append(self.cur_dir_meta)
        self.cur_dir_meta = None

    def pop_meta(self) -> None:
        """Takes back what `push_meta()` put aside."""
        self.cur_dir_meta = self.meta_stack.pop()

    def flush_meta(self) -> None:
        """Writes the metadata of the current folder, if it was changed."""
        if self.cur_dir_meta is not None:
            self.cur_dir_meta.flush()

    def pwd(self, *args: Any) -> str | None:
        """Returns the current folder. Abstract."""
        raise NotImplementedError

    # --- Folders ---

    def mkdir(self, dir_name: str) -> None:
        """Makes a folder. Abstract."""
        raise NotImplementedError

    def rmdir(self, dir_name: str) -> None:
        """Removes a folder and everything in it. Abstract."""
        raise NotImplementedError

    def get_dir(self) -> list[Any]:
        """Lists the current folder and sets `cur_dir_meta`. Abstract."""
        raise NotImplementedError

    def _names(self) -> list[str]:
        """Returns every name in the current folder, metadata and lock files included. Abstract."""
        raise NotImplementedError

    def walk(self, pred: Predicate | None = None, recursive: bool = True) -> Iterator[Any]:
        """Yields the entries below the current folder, each one before what is in it.

        The current folder of the target changes while this runs; it is that of the entry which was yielded
        last.

        Args:
            pred: Called with every entry; `False` (not just something empty) leaves out the entry and all
                below it.
            recursive: Go into sub folders.
        """
        for entry in list(self.get_dir()):
            if pred is not None and pred(entry) is False:
                continue
            yield entry
            if recursive and entry.is_dir():
                with self.enter_subdir(entry.name):
                    yield from self.walk(pred, recursive)

    def walk_tree(
        self,
        sort: bool = True,
        files: bool = False,
        pred: Predicate | None = None,
        _prefixes: list[str] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yields `(prefix, entry)` for a drawing of the tree.

        Args:
            sort: Files first, then by name regardless of case; else in the order of the listing.
            files: Show files, not only folders.
            pred: As for `walk()`.
        """
        prefixes = _prefixes or []
        entries = [
            entry
            for entry in self.get_dir()
            if (files or entry.is_dir()) and not (pred is not None and pred(entry) is False)
        ]
        if sort:
            entries.sort(key=lambda entry: (entry.is_dir(), entry.name.lower()))
        for entry in entries:
            is_last = entry is entries[-1]
            yield "".join(prefixes) + (" `- " if is_last else " +- "), entry
            if entry.is_dir():
                with self.enter_subdir(entry.name):
                    below = [*prefixes, "    " if is_last else " |  "]
                    yield from self.walk_tree(sort, files, pred, below)

    # --- Files ---

    def open_readable(self, name: str) -> Any:
        """Opens a file of the current folder for reading bytes; a context manager. Abstract."""
        raise NotImplementedError

    def open_writable(self, name: str) -> Any:
        """Opens a file of the current folder for writing bytes; a context manager. Abstract."""
        raise NotImplementedError

    def read_text(self, name: str) -> str:
        """Returns the content of a UTF-8 file of the current folder."""
        with self.open_readable(name) as stream:
            return to_native(stream.read(), "utf-8")

    def copy_to_file(self, name: str, fp_dest: Any, callback: Callback | None = None) -> None:
        """Copies a file of the current folder into `fp_dest`, telling `callback` each block. Abstract."""
        raise NotImplementedError

    def write_file(
        self,
        name: str,
        fp_src: Any,
        blocksize: int = DEFAULT_BLOCKSIZE,
        callback: Callback | None = None,
    ) -> None:
        """Writes `fp_src` to a file of the current folder, telling `callback` each block. Abstract."""
        raise NotImplementedError

    def write_text(self, name: str, s: str) -> None:
        """Writes a str to a UTF-8 file of the current folder."""
        with io.BytesIO(to_bytes(s, "utf-8")) as stream:
            self.write_file(name, stream)

    def remove_file(self, name: str) -> None:
        """Removes a file of the current folder, and what is remembered of it. Abstract."""
        raise NotImplementedError

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        """Sets (or remembers) the modification time of a file of the current folder. Abstract.

        Args:
            name: Name in the current folder.
            mtime: Seconds since the epoch.
            size: Bytes; kept beside the time, so that a later change of the file is noticed.
        """
        raise NotImplementedError

    # --- What the last run remembers ---

    def get_sync_info(self, name: str | None, key: str | None = None) -> Any:
        """Returns what the last run of this pair of targets remembers of a name in the current folder.

        Args:
            name: The name; None for all of the folder.
            key: One part of it: `m`, `s` or `u`.

        Returns:
            The record (or part), or None if there is none.

        Raises:
            RuntimeError: The target takes part in no synchronisation.
        """
        local, remote = (self, self.peer) if self.is_local() else (self.peer, self)
        if local.cur_dir_meta is None:
            return None
        known = local.cur_dir_meta._remembers(remote)
        if name is None:
            return known
        record = known.get(name) if known else None
        return record.get(key) if record and key else record

    def set_sync_info(self, name: str, mtime: float | None, size: int | None) -> None:
        """Remembers, on the local side, that a name of the current folder is now the same on both.

        Raises:
            RuntimeError: The target takes part in no synchronisation.
        """
        local = self if self.is_local() else self.peer
        if local.cur_dir_meta is not None:
            local.cur_dir_meta.set_sync_info(name, mtime, size)

    def remove_sync_info(self, name: str) -> None:
        """Forgets, on the local side, a name of the current folder.

        Raises:
            RuntimeError: The target takes part in no synchronisation.
        """
        local = self if self.is_local() else self.peer
        if local.cur_dir_meta is not None:
            local.cur_dir_meta.remove(name)
