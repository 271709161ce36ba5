"""Single steps by hand: one file or folder, copied or deleted with the verbs of the targets.

The core does this faster and remembers it better. This is for code that calls the step methods of a synchronizer for
entries that the core has not put in its hands, for example from a `_sync_dir()` of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ftpsync._errors import harmless, printable
from ftpsync._lines import write_error
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata

if TYPE_CHECKING:
    from ftpsync._base_target import _Target
    from ftpsync.resources import _Resource
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["copy_file", "copy_folder", "remove"]


def copy_file(synchronizer: BaseSynchronizer, src: _Target, dest: _Target, entry: _Resource) -> None:
    """Copies a file from the current folder of one target to that of the other, and counts."""
    way = "upload" if dest is synchronizer.remote else "download"
    for name in ("files_written", "entries_touched", f"{way}_files_written"):
        synchronizer._inc_stat(name)
    synchronizer._tick()
    if synchronizer.dry_run:
        return

    def count(block: bytes) -> None:
        synchronizer._inc_stat("bytes_written", len(block))
        synchronizer._inc_stat(f"{way}_bytes_written", len(block))

    started = time.time()
    is_pushed = isinstance(src, FTPTarget) and not isinstance(dest, FTPTarget)
    try:
        opened = dest.open_writable(entry.name) if is_pushed else src.open_readable(entry.name)
    except Exception as exc:
        synchronizer._inc_stat("errors")
        synchronizer._inc_stat("copy_errors")
        if not synchronizer.ignore_copy_errors:
            raise
        write_error(harmless(f"Could not copy {printable(entry.name)}: {exc}"))
        return
    with opened as stream:
        if is_pushed:
            src.copy_to_file(entry.name, stream, callback=count)
        else:
            dest.write_file(entry.name, stream, callback=count)
    if entry.mtime is not None:
        dest.set_mtime(entry.name, entry.mtime, entry.size)
    dest.set_sync_info(entry.name, entry.mtime, entry.size)
    for name in ("write_time", f"{way}_write_time"):
        synchronizer._stats[name] = synchronizer._stats.get(name, 0.0) + time.time() - started


def copy_folder(synchronizer: BaseSynchronizer, src: _Target, dest: _Target, entry: _Resource) -> None:
    """Copies a folder, with everything in it that takes part, and counts. Each step goes through the synchronizer."""
    synchronizer._inc_stat("entries_touched")
    synchronizer._inc_stat("dirs_created")
    synchronizer._tick()
    if synchronizer.dry_run:
        return
    dest.set_sync_info(entry.name, None, None)
    src.push_meta()
    dest.push_meta()
    src.cwd(entry.name)
    dest.mkdir(entry.name)
    dest.cwd(entry.name)
    dest.cur_dir_meta = DirMetadata(dest)
    for inner in src.get_dir():
        if not synchronizer._match(inner):
            continue
        synchronizer._inc_stat("entries_seen")
        if inner.is_dir():
            synchronizer._copy_recursive(src, dest, inner)
        else:
            synchronizer._copy_file(src, dest, inner)
    src.flush_meta()
    dest.flush_meta()
    src.cwd("..")
    dest.cwd("..")
    src.pop_meta()
    dest.pop_meta()


def remove(synchronizer: BaseSynchronizer, entry: _Resource) -> None:
    """Deletes a file, or a folder with everything in it, and counts."""
    synchronizer._inc_stat("entries_touched")
    synchronizer._inc_stat("dirs_deleted" if entry.is_dir() else "files_deleted")
    if synchronizer.dry_run:
        return
    if entry.is_dir():
        entry.target.rmdir(entry.name)
    else:
        entry.target.remove_file(entry.name)
    entry.target.remove_sync_info(entry.name)
    entry.was_deleted = True
