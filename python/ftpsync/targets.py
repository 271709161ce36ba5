"""Places that hold a tree of files, as Python sees them: the base class, local folders, and URLs to targets.

A synchroniser hands built-in targets to the native core as a whole. The methods here are for code that uses a
target by hand, and for subclasses: a class that overrides a verb, or implements its own kind of target, is
called for every entry.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, ClassVar

from ftpsync._errors import harmless
from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, FileEntry, _Resource
from ftpsync.util import emulates_31, is_native, to_bytes, to_native, to_unicode, write

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "DirMetadata",
    "DirectoryEntry",
    "FileEntry",
    "FsTarget",
    "_Target",
    "_get_encoding_opt",
    "is_native",
    "make_target",
    "to_bytes",
    "to_native",
    "to_unicode",
    "write",
]

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
    """
    if extra_opts is not None and not isinstance(extra_opts, dict):
        raise TypeError(f"extra_opts must be a dict or None, not {extra_opts!r}")
    encoding = (extra_opts or {}).get("encoding") or default
    return codecs.lookup(encoding).name if encoding else None


def _check_server(host: object, port: object, timeout: object, **texts: object) -> None:
    """Makes sure that host, port and timeout of a server are usable, and that user and password are texts.

    Raises:
        TypeError: One of them is not of its type.
        ValueError: One of them is out of range.
    """
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {host!r}")
    if not host:
        raise ValueError("host must not be empty")
    for name, value, kinds in (("port", port, int), ("timeout", timeout, (int, float))):
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise TypeError(f"{name} must be a number or None, not {value!r}")
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a str or None, not of type {type(value).__name__}")
    if isinstance(port, int) and not 0 <= port <= 65535:
        raise ValueError(f"port must be a number up to 65535, not {port}")
    if isinstance(timeout, (int, float)) and not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")


def _without_login(text: str) -> str:
    """Masks what may be a user with a password, in a text that was meant to be a URL."""
    login, _, rest = text.rpartition("@")
    return f"***@{rest}" if ":" in login else text


#: Schemes of URLs that `make_target()` knows.
_SCHEMES = ("ftp", "ftps", "sftp", "s3")


def is_url(place: str) -> bool:
    """Tells whether a text is the URL of a server or bucket, as `make_target()` reads it, and not a local path."""
    return place.partition(":")[0].lower() in _SCHEMES and ":" in place


def make_target(url: str, extra_opts: dict[str, Any] | None = None) -> _Target:
    """Makes a target from a URL or a path.

    Args:
        url: `ftp://user:password@host:port/path`, the same with `ftps` or `sftp`, `s3://bucket/path`, or a local
            folder. User and password may be percent-encoded.
        extra_opts: Options of this target alone; they win over those of the synchronizer.

    Returns:
        A target that is not open yet. `username` and `password` may still be set.

    Raises:
        ValueError: The local folder does not exist, or the URL is not usable.
    """
    from urllib.parse import unquote, urlparse

    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {url!r}")
    parts = urlparse(url, allow_fragments=False)
    scheme = parts.scheme.lower()
    if scheme == "s3":
        from ftpsync.s3_target import S3Target

        return S3Target.from_url(url, extra_opts)
    if scheme not in _SCHEMES:
        if parts.netloc and "@" in parts.netloc:
            # A mistyped scheme: the text holds a password that must not be shown.
            shown = url.replace(parts.netloc.rpartition("@")[0], "***")
            raise ValueError(f"{shown} is not a directory. (Known schemes: ftp, ftps, s3, sftp.)")
        if _without_login(url) != url and not os.path.isdir(os.path.expanduser(url)):
            shown = _without_login(url)
            raise ValueError(f"{shown} is not a directory. (Known schemes: ftp, ftps, s3, sftp.)")
        if "://" in url and not os.path.isdir(os.path.expanduser(url)):
            raise ValueError(f"{url} is not a directory. (Known schemes: ftp, ftps, s3, sftp.)")
        return FsTarget(url, extra_opts)
    if not parts.hostname:
        shown = f"{scheme}://{_without_login(parts.path)}"
        raise ValueError(f"{shown!r} names no host: expected {scheme}://host/path.")
    hint = "(If that is no host but a user: '/', '?' and '#' in a password must be percent-encoded.)"
    try:
        port = parts.port or 0
    except ValueError:
        # Its words show what stands there, which may be a password.
        raise ValueError(
            f"The port of {scheme}://{parts.hostname} is not a number up to 65535. {hint}"
        ) from None
    if parts.path and not parts.path.startswith("/"):
        raise ValueError(f"After {scheme}://{parts.hostname} must come a '/'. {hint}")
    username, password = parts.username, parts.password
    if not emulates_31():
        username = unquote(username) if username is not None else None
        password = unquote(password) if password is not None else None
    if scheme == "sftp":
        from ftpsync.sftp_target import SFTPTarget

        return SFTPTarget(
            parts.path,
            parts.hostname,
            port,
            username=username,
            password=password,
            timeout=None,
            extra_opts=extra_opts,
        )

    from ftpsync.ftp_target import FTPTarget

    return FTPTarget(
        parts.path,
        parts.hostname,
        port,
        username=username,
        password=password,
        tls=scheme == "ftps",
        timeout=None,
        extra_opts=extra_opts,
    )


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


class FsTarget(_Target):
    """A folder of the local file system.

    Args:
        root_dir: The folder; `~` is expanded and the path made absolute.
        extra_opts: Options of this target alone.

    Raises:
        ValueError: There is no such folder.
    """

    DEFAULT_BLOCKSIZE: ClassVar[int] = 16 * 1024

    #: The native target while open.
    _native: Any = None

    def __init__(self, root_dir: str, extra_opts: dict[str, Any] | None = None) -> None:
        self.encoding = _get_encoding_opt(None, extra_opts, sys.getfilesystemencoding())
        root_dir = os.path.abspath(os.path.expanduser(root_dir))
        if not os.path.isdir(root_dir):
            hint = " (It is a file.)" if os.path.exists(root_dir) else ""
            raise ValueError(f"{root_dir} is not a directory.{hint}")
        super().__init__(root_dir, extra_opts)
        self.support_set_time = True

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]]:
        drive, path = os.path.splitdrive(os.path.normcase(os.path.realpath(self.root_dir)))
        return ("disk", drive), [name for name in path.split(os.sep) if name]

    def __str__(self) -> str:
        cur_dir = os.path.relpath(self.cur_dir, self.root_dir) if self.cur_dir else "."
        return f"<FS:{self.root_dir} + {cur_dir}>"

    def open(self) -> None:
        """Makes the target ready for use, at its root.

        Raises:
            RuntimeError: It is open already, or another thread uses it.
        """
        super().open()
        try:
            from ftpsync import _core

            links = str(self.get_option("links") or "inside")
            self._native = _core.Target.local(self.root_dir, links, bool(self.get_option("verify", False)))
        except BaseException:
            super().close()
            raise
        self.cur_dir = self.root_dir

    def close(self) -> None:
        """Ends the use of the target. Harmless when it is not open."""
        super().close()
        self._native = None

    def _path(self, name: str) -> str:
        return os.path.join(self.cur_dir or self.root_dir, name)

    def cwd(self, dir_name: str) -> str:
        """Changes the current folder and returns it; that it exists is not checked.

        Raises:
            RuntimeError: It is outside the root.
        """
        path = os.path.normpath(self._path(dir_name))
        if not _is_below(path, self.root_dir):
            raise RuntimeError(f"Tried to navigate outside root {self.root_dir!r}: {path!r}.")
        self.cur_dir_meta = None
        self.cur_dir = path
        return path

    def pwd(self, *args: Any) -> str | None:
        """Returns the current folder."""
        return self.cur_dir

    def mkdir(self, dir_name: str) -> None:
        """Makes a folder.

        Raises:
            OSError: It could not be made, or exists.
        """
        self.check_write(dir_name)
        os.mkdir(self._path(dir_name))

    def rmdir(self, dir_name: str) -> None:
        """Removes a folder and everything in it; of a link only the link.

        Raises:
            OSError: Something could not be removed.
        """
        self.check_write(dir_name)
        path = self._path(dir_name)
        if os.path.islink(path):
            os.unlink(path)
        else:
            import shutil

            shutil.rmtree(path)

    def get_dir(self) -> list[FileEntry | DirectoryEntry]:
        """Lists the files and folders of the current folder, and reads its metadata.

        Links count as what they lead to. Dangling ones, those that lead outside the root or back to a folder
        above them, and everything that is neither file nor folder are left out (shown at verbosity 4).

        Raises:
            OSError: The folder cannot be listed.
            IncompatibleMetadataVersionError: Its metadata is of another version.
        """
        folder = self.cur_dir or self.root_dir
        self.cur_dir_meta = DirMetadata(self)
        entries: list[FileEntry | DirectoryEntry] = []
        with os.scandir(folder) as listing:
            for found in listing:
                if found.name == DirMetadata.META_FILE_NAME:
                    self.cur_dir_meta.read()
                    continue
                if found.name.startswith(_TEMP_PREFIX):
                    continue
                entry = self._entry(folder, found)
                if entry is not None:
                    entries.append(entry)
        return entries

    def _names(self) -> list[str]:
        return os.listdir(self.cur_dir or self.root_dir)

    def _entry(self, folder: str, found: os.DirEntry[str]) -> FileEntry | DirectoryEntry | None:
        try:
            stat = found.stat()  # Follows links.
        except FileNotFoundError:
            self._leave_out(found, "leads nowhere" if found.is_symlink() else "vanished")
            return None
        if found.is_symlink():
            real = os.path.realpath(found.path)
            if not _is_below(real, os.path.realpath(self.root_dir)):
                self._leave_out(found, "is a link that leads outside the root")
                return None
            if found.is_dir() and _is_below(os.path.realpath(folder), real):
                self._leave_out(found, "is a link to a folder above it")
                return None
        kind: type[FileEntry | DirectoryEntry]
        if found.is_file():
            kind = FileEntry
        elif found.is_dir():
            kind = DirectoryEntry
        else:
            self._leave_out(found, "is neither a file nor a folder")
            return None
        return kind(self, folder, found.name, stat.st_size, stat.st_mtime, str(stat.st_ino))

    def _leave_out(self, found: os.DirEntry[str], why: str) -> None:
        if self._verbose() >= 4:
            write(harmless(f"Ignoring {found.path}: it {why}."))

    def open_readable(self, name: str) -> IO[bytes]:
        """Opens a file of the current folder for reading bytes.

        Raises:
            OSError: It cannot be opened.
        """
        return open(self._path(name), "rb")

    def open_writable(self, name: str) -> IO[bytes]:
        """Opens a file of the current folder for writing bytes.

        What was there stays until the stream is closed, and after an exception inside a `with` block.

        Raises:
            OSError: It cannot be written.
        """
        self.check_write(name)
        return _Replacement(self._path(name))

    def write_file(
        self,
        name: str,
        fp_src: Any,
        blocksize: int = DEFAULT_BLOCKSIZE,
        callback: Callback | None = None,
    ) -> None:
        """Writes what `fp_src` holds to a file of the current folder; `callback` gets each block afterwards.

        Raises:
            OSError: It cannot be written. What was there stays.
        """
        with self.open_writable(name) as stream:
            while block := fp_src.read(blocksize):
                stream.write(block)
                if callback is not None:
                    callback(block)

    def copy_to_file(self, name: str, fp_dest: Any, callback: Callback | None = None) -> None:
        """Copies a file of the current folder into `fp_dest`; `callback` gets each block afterwards.

        Raises:
            OSError: It cannot be read.
        """
        with self.open_readable(name) as stream:
            while block := stream.read(self.DEFAULT_BLOCKSIZE):
                fp_dest.write(block)
                if callback is not None:
                    callback(block)

    def remove_file(self, name: str) -> None:
        """Removes a file of the current folder; of a link only the link.

        Raises:
            OSError: It could not be removed.
        """
        self.check_write(name)
        os.remove(self._path(name))
        if self.cur_dir_meta is not None:
            self.cur_dir_meta.remove(name)

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        """Sets the modification time of a file of the current folder; the time of the last access stays.

        Args:
            name: Name in the current folder.
            mtime: Seconds since the epoch.
            size: Not needed here.

        Raises:
            OSError: It could not be set.
        """
        self.check_write(name)
        path = self._path(name)
        os.utime(path, (os.stat(path).st_atime, mtime))


class _Replacement(io.BufferedWriter):
    """Writes a file under a temporary name beside it, and puts it in place when all went well."""

    def __init__(self, path: str) -> None:
        # Behind a link the real file is meant; replacing the link would cut it off.
        self._path = os.path.realpath(path)
        self._temp = os.path.join(os.path.dirname(self._path), _TEMP_PREFIX + os.urandom(8).hex())
        try:
            mode = os.stat(self._path).st_mode & 0o7777
        except FileNotFoundError:
            mode = None
        # A new file gets what the umask leaves; a replaced one keeps its permissions, and is never readable
        # by more people in between.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(self._temp, flags, 0o666 if mode is None else 0o600)
        except OSError as exc:  # The user knows the file by its own name.
            raise OSError(exc.errno, exc.strerror, path) from None
        try:
            if mode is not None:
                os.chmod(self._temp, mode)
            super().__init__(io.FileIO(handle, "wb"))
        except BaseException:
            os.close(handle)
            self._discard()
            raise

    def close(self) -> None:
        if self.closed:
            return
        try:
            super().close()
            os.replace(self._temp, self._path)
        except BaseException:
            self._discard()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None or self.closed:
            self.close()
            return
        with contextlib.suppress(OSError):
            super().close()
        self._discard()

    def __del__(self) -> None:
        # Forgotten without close(): whether it is complete is unknown, so it does not replace anything.
        with contextlib.suppress(Exception):  # ValueError if the constructor failed.
            if not self.closed:
                super().close()
                self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._temp)


def _is_below(path: str, root: str) -> bool:
    """Tells whether `path` is `root` or inside it, by parts: `/data-old` is not inside `/data`."""
    try:
        return os.path.commonpath([path, root]) == os.path.normpath(root)
    except ValueError:  # Different drives.
        return False
