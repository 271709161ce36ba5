"""Between the core and a target that is written in Python: verbs by path, for a target that has a current folder.

The core takes `FsTarget` and `FTPTarget` as a whole, natively. Every other kind of target, and a subclass or instance
of those two that replaces one of the verbs below, is called for every file through a `TargetBridge`. All calls come
from the thread of `run()`.
"""

from __future__ import annotations

import contextlib
import io
import json
import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ftpsync._server_target import ServerTarget
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata
from ftpsync.resources import _Resource
from ftpsync.s3_target import S3Target
from ftpsync.sftp_target import SFTPTarget
from ftpsync.targets import FsTarget, _Target

if TYPE_CHECKING:
    from ftpsync._core import Body

__all__ = ["TargetBridge", "is_native", "relative", "replaces"]

#: Methods that the core performs natively; a target that replaces one of them is called instead.
_VERBS: Final = (
    "check_write",
    "copy_to_file",
    "cwd",
    "flush_meta",
    "get_dir",
    "get_id",
    "get_sync_info",
    "mkdir",
    "open_readable",
    "open_writable",
    "pop_meta",
    "push_meta",
    "read_text",
    "remove_file",
    "remove_sync_info",
    "rmdir",
    "set_mtime",
    "set_sync_info",
    "write_file",
    "write_text",
)

#: The verbs as this package defines them: also somebody who patches the class itself is noticed.
_BUILT_IN: Final = {
    kind: {name: getattr(kind, name) for name in _VERBS}
    for kind in (FsTarget, ServerTarget, FTPTarget, SFTPTarget, S3Target, _Target)
}

#: Folders whose entries and metadata are kept at hand.
_FOLDERS_KEPT: Final = 64

#: Bytes that a target is given at a time.
_BLOCK: Final = 256 * 1024

#: What the core is told about an entry: name, whether it is a folder, size, time, time as listed, identity.
_Fields = tuple[str, bool, "int | None", "float | None", "float | None", "str | None"]


def is_native(target: _Target) -> bool:
    """Tells whether the core can take a target as a whole: it is a built-in one, and no verb of it was replaced."""
    kind = next((kind for kind in type(target).__mro__ if kind in _BUILT_IN), _Target)
    return kind is not _Target and not any(_is_replaced(target, kind, name) for name in _VERBS)


def replaces(target: _Target, name: str) -> bool:
    """Tells whether a target has a verb of its own, in the place of that of the class it is built on."""
    kind = next((kind for kind in type(target).__mro__ if kind in _BUILT_IN), _Target)
    return _is_replaced(target, kind, name)


def _is_replaced(target: _Target, kind: type[_Target], name: str) -> bool:
    return name in vars(target) or getattr(type(target), name) is not _BUILT_IN[kind][name]


class TargetBridge:
    """A target that is written in Python, as the core sees it.

    Args:
        target: The target, open.
        peer: The target on the other side; it decides how files are handed over.

    Attributes:
        id, legacy_id: The keys under which peers remember the target.
        base_name: How it is shown.
        sets_mtime: Whether `set_mtime()` changes the file itself.
        removes_trees: Whether a folder of which nothing stays is to go by one `rmdir()`, which the target
            replaces, and not file by file.
    """

    def __init__(self, target: _Target, peer: _Target) -> None:
        self.target = target
        self.id = self.legacy_id = str(target.get_id())
        if isinstance(target, ServerTarget) and not _is_replaced(target, ServerTarget, "get_id"):
            self.id = str(target._native.id)
        self.base_name = str(target.get_base_name())
        self.sets_mtime = bool(getattr(target, "support_set_time", False))
        self.removes_trees = replaces(target, "rmdir") and not replaces(target, "remove_file")
        # As releases before did: what comes from a server is streamed into the file, all else is read by the target.
        self._is_pushed = isinstance(target, FTPTarget) and not isinstance(peer, FTPTarget)
        self.has_writer = isinstance(peer, FTPTarget) and not isinstance(target, FTPTarget)
        self._here, self._left_at = "", target.cur_dir
        self._entries: dict[str, dict[str, _Resource]] = {}
        self._metas: dict[str, DirMetadata | None] = {}

    # --- Called by the core ---

    def list(self, folder: str) -> tuple[list[_Fields], str | None]:
        """Lists a folder; returns its entries, and its metadata as a text if there is any."""
        self.go(folder)
        entries = [entry for entry in self.target.get_dir() if entry.name != DirMetadata.META_FILE_NAME]
        self._keep(folder, {entry.name: entry for entry in entries})
        meta = self.target.cur_dir_meta
        document = None
        if meta is not None and (meta.was_read or meta.list or meta.peer_sync):
            document = json.dumps({"_file_version": DirMetadata.VERSION, **meta.dir})
        return [_fields(entry) for entry in entries], document

    def store_meta(self, folder: str, text: str | None) -> None:
        """Has the target keep the metadata of a folder, or forget it."""
        self.go(folder)
        meta = DirMetadata(self.target)
        meta._adopt(json.loads(text) if text is not None else {"mtimes": {}, "peer_sync": {}})
        meta.modified_list = meta.modified_sync = True
        self.target.cur_dir_meta = self._metas[folder] = meta
        if text is not None:
            self.target.flush_meta()
        else:
            with contextlib.suppress(FileNotFoundError):
                self.target.remove_file(DirMetadata.META_FILE_NAME)

    def open_readable(self, path: str) -> _Source:
        """Opens a file for reading."""
        name = self._go_to(path)
        if self._is_pushed and _is_replaced(self.target, FTPTarget, "copy_to_file"):
            spool = _spool()
            self.target.copy_to_file(name, spool, callback=_ignore)
            spool.seek(0)
            return _Source(spool, self, self._here)
        return _Source(self.target.open_readable(name), self, self._here)

    def write(self, path: str, body: Body, size: int | None, mtime: float | None) -> bool:
        """Has the target write a file; returns whether it keeps the time on the file itself."""
        name = self._go_to(path)
        stream = io.BufferedReader(_Stream(body), _BLOCK)
        ways = [self._give_to_writer, self._have_written]
        first, second = ways if self.has_writer else reversed(ways)
        try:
            first(name, stream)
        except NotImplementedError:  # A target need not offer both.
            second(name, stream)
        was_kept = mtime is not None and self._set_mtime(name, mtime, size)
        self._if_replaced("set_sync_info", name, mtime, size)
        return was_kept

    def mkdir(self, path: str) -> None:
        """Makes a folder; one that is there already is fine."""
        name = self._go_to(path)
        try:
            self.target.mkdir(name)
        except Exception:
            if not any(entry.name == name and entry.is_dir() for entry in self.target.get_dir()):
                raise
        self._if_replaced("set_sync_info", name, None, None)

    def remove_file(self, path: str) -> None:
        """Removes a file."""
        name = self._go_to(path)
        self.target.remove_file(name)
        self._if_replaced("remove_sync_info", name)

    def remove_dir(self, path: str) -> None:
        """Removes a folder that holds nothing but metadata."""
        name = self._go_to(path)
        self.target.rmdir(name)
        self._if_replaced("remove_sync_info", name)
        self._metas.pop(path, None)
        self._entries.pop(path, None)

    def remove_tree(
        self,
        path: str,
        files: Sequence[tuple[str, tuple[int | None, float | None] | None]],
        folders: Sequence[str],
    ) -> bool:
        """Removes a folder with everything in it, by one call of the target.

        Args:
            path: The folder.
            files: What may go with it: paths, each with size and time as listed if they matter.
            folders: All folders in it, itself among them.

        Returns:
            False, and nothing was done, if it holds anything else.
        """
        known: dict[str, Any] = dict(files)
        try:
            if not all(self._holds_only(folder, known, folders) for folder in folders):
                return False
        except FileNotFoundError:
            return False
        name = self._go_to(path)
        self.target.rmdir(name)
        self._if_replaced("remove_sync_info", name)
        for folder in folders:
            self._metas.pop(folder, None)
            self._entries.pop(folder, None)
        return True

    def set_mtime(self, path: str, mtime: float) -> bool:
        """Sets the time of a file; returns whether the target keeps it on the file itself."""
        return self._set_mtime(self._go_to(path), mtime, None)

    # --- For hooks and prompts ---

    def go(self, folder: str) -> None:
        """Makes a folder (relative to the root) the current one of the target."""
        if self.target.cur_dir != self._left_at:  # Somebody else has moved it.
            self._here = relative(self.target.cur_dir, self.target.root_dir)
        if folder == self._here:
            return
        here, there = _parts(self._here), _parts(folder)
        common = len(posixpath.commonprefix([here, there]))
        for _ in here[common:]:
            self.target.cwd("..")
        for name in there[common:]:
            self.target.cwd(name)
        self._here, self._left_at = folder, self.target.cur_dir
        if folder not in self._metas:
            self._metas[folder] = DirMetadata(self.target)
            self._trim()
        self.target.cur_dir_meta = self._metas[folder]

    def entry(self, folder: str, name: str) -> _Resource | None:
        """Returns the object that the target listed, as long as it is at hand."""
        return self._entries.get(folder, {}).get(name)

    def memory(self, folder: str) -> DirMetadata | None:
        """Returns what the target remembers of a folder, as long as it is at hand."""
        return self._metas.get(folder)

    # --- Helpers of this class ---

    def _holds_only(self, folder: str, files: dict[str, Any], folders: Sequence[str]) -> bool:
        """Tells whether a folder holds nothing but these files, as listed, these folders, and metadata."""
        self.go(folder)
        for entry in self.target.get_dir():
            path = f"{folder}/{entry.name}"
            if entry.is_dir():
                if path not in folders:
                    return False
            elif entry.name != DirMetadata.META_FILE_NAME and not _is_as_listed(entry, path, files):
                return False
        return True

    def _go_to(self, path: str) -> str:
        """Goes to the folder of a path; returns the name in it."""
        folder, _, name = path.rpartition("/")
        self.go(folder)
        return name

    def _give_to_writer(self, name: str, stream: io.BufferedReader[Any]) -> None:
        with self.target.open_writable(name) as writer:
            while block := stream.read(_BLOCK):
                writer.write(block)

    def _have_written(self, name: str, stream: io.BufferedReader[Any]) -> None:
        self.target.write_file(name, stream, callback=_ignore)

    def _set_mtime(self, name: str, mtime: float, size: int | None) -> bool:
        try:
            self.target.set_mtime(name, mtime, size)
        except NotImplementedError:
            return False
        if isinstance(self.target, ServerTarget):  # The server may be able to, and only it knows.
            meta = self.target.cur_dir_meta
            return meta is not None and name not in meta.list
        return self.sets_mtime

    def _if_replaced(self, method: str, *args: Any) -> None:
        """Calls a method about the memory of the last run, which the core keeps, if somebody wants to listen in."""
        if getattr(type(self.target), method) is not getattr(_Target, method) or method in vars(self.target):
            getattr(self.target, method)(*args)

    def _keep(self, folder: str, entries: dict[str, _Resource]) -> None:
        self._entries[folder] = entries
        self._metas[folder] = self.target.cur_dir_meta
        self._trim()

    def _trim(self) -> None:
        while len(self._entries) > _FOLDERS_KEPT:
            del self._entries[next(iter(self._entries))]
        while len(self._metas) > _FOLDERS_KEPT:
            del self._metas[next(iter(self._metas))]


class _Source:
    """A file that the core reads. Hooks may lead the target elsewhere in between: it is read in its own folder."""

    def __init__(self, opened: Any, bridge: TargetBridge, folder: str) -> None:
        self._bridge, self._folder = bridge, folder
        self._opened = opened
        self._stream = opened.__enter__() if hasattr(opened, "__enter__") else opened

    def read(self, limit: int) -> bytes:
        self._bridge.go(self._folder)
        block: bytes = self._stream.read(limit)
        return block

    def close(self) -> None:
        try:
            self._bridge.go(self._folder)
        finally:
            if hasattr(self._opened, "__exit__"):
                self._opened.__exit__(None, None, None)
            elif hasattr(self._opened, "close"):
                self._opened.close()


class _Stream(io.RawIOBase):
    """What the core sends, as a file."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._body.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _spool() -> Any:
    from tempfile import SpooledTemporaryFile

    return SpooledTemporaryFile(max_size=FTPTarget.MAX_SPOOL_MEM)


def _ignore(_: bytes) -> None:
    """Counting is the core's business."""


def _is_as_listed(entry: _Resource, path: str, files: dict[str, Any]) -> bool:
    if path not in files:
        return False
    if files[path] is None:
        return True
    size, mtime = files[path]
    now = getattr(entry, "mtime_org", entry.mtime)
    is_same_time = now is mtime if now is None or mtime is None else abs(now - mtime) < 0.001
    return bool(entry.size == size and is_same_time)


def _fields(entry: _Resource) -> _Fields:
    unique = None if entry.unique is None else str(entry.unique)
    mtime_org = getattr(entry, "mtime_org", entry.mtime)
    return entry.name, entry.is_dir(), entry.size, entry.mtime, mtime_org, unique


def relative(folder: str | None, root: str) -> str:
    """The path of a folder of a target below its root; empty for the root itself."""
    path = posixpath.relpath(folder or root, root)
    return "" if path == "." else path


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []
