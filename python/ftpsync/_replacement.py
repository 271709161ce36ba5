"""A file of this computer that is written beside the one it replaces, and put in its place when all went well."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from types import TracebackType
from typing import Any

from ftpsync._base_target import _TEMP_PREFIX

__all__ = ["Replacement"]


def _hand_on(old: os.stat_result, path: str) -> None:
    """Gives a new file group, mode and owner of the one that it replaces, as far as that is allowed."""
    mode = old.st_mode & 0o7777
    if sys.platform == "win32":
        os.chmod(path, mode)
        return
    new = os.stat(path)
    if new.st_gid != old.st_gid:
        try:
            os.chown(path, -1, old.st_gid)
        except OSError:
            # Who is in the new group was one of the others before, and the other way round: both get what both had.
            both = mode >> 3 & mode & 0o7
            mode = mode & 0o5700 | both << 3 | both
    if new.st_uid != old.st_uid:
        os.chmod(path, mode & ~0o4000)
        with contextlib.suppress(OSError):
            os.chown(path, old.st_uid, -1)
            os.chmod(path, mode)  # Again: a change of the owner takes bits away.
    else:
        os.chmod(path, mode)


class Replacement(io.BufferedWriter):
    """Writes a file under a temporary name beside it, and puts it in place when all went well.

    The first `flush()` by hand puts it in place as well: who flushes wants others to see what is there by now.
    """

    def __init__(self, path: str) -> None:
        self._is_closing = False
        self._is_placed = False
        # Behind a link the real file is meant; replacing the link would cut it off.
        self._path = os.path.realpath(path)
        self._temp = os.path.join(os.path.dirname(self._path), _TEMP_PREFIX + os.urandom(8).hex())
        try:
            old = os.stat(self._path)
        except FileNotFoundError:
            old = None
        # A new file gets what the umask leaves; a replaced one keeps its permissions, and is never readable
        # by more people in between.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(self._temp, flags, 0o666 if old is None else 0o600)
        except OSError as exc:  # The user knows the file by its own name.
            raise OSError(exc.errno, exc.strerror, path) from None
        try:
            if old is not None:
                _hand_on(old, self._temp)
            raw: Any = io.FileIO(handle, "wb")
            raw.name = path
            super().__init__(raw)
        except BaseException:
            os.close(handle)
            self._discard()
            raise

    def flush(self) -> None:
        super().flush()
        if not self._is_closing:  # The close() of the base class flushes, too.
            with contextlib.suppress(OSError):  # Windows renames no open file: it has to wait for close().
                self._place()

    def close(self) -> None:
        if self.closed:
            return
        self._is_closing = True
        try:
            super().close()
            self._place()
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
        self._is_closing = True
        with contextlib.suppress(OSError):
            super().close()
        self._discard()

    def __del__(self) -> None:
        # `open_writable(name).write(data)`: whoever forgets the stream, or leaves the program, means the file.
        with contextlib.suppress(Exception):  # ValueError if the constructor failed.
            self.close()

    def _place(self) -> None:
        if not self._is_placed:
            os.replace(self._temp, self._path)
            self._is_placed = True

    def _discard(self) -> None:
        if not self._is_placed:
            with contextlib.suppress(OSError):
                os.unlink(self._temp)
