"""What a transfer of an object, or of all objects below a key, has to do: decided from what both sides hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ftpsync._s3_errors import HashMismatchError, MissingObjectError, SyncError

__all__ = ["Excludes", "Listed", "below", "is_same", "local_files", "raise_first", "remove_others"]


@dataclass(frozen=True)
class Listed:
    """An object in a listing."""

    key: str
    size: int
    etag: str


class Excludes:
    """Regular expressions for what takes no part, and is not deleted either.

    They are searched in the path below the folder that is transferred, with a slash in front. Where the folder
    itself lies does not matter: the usual place for local copies has a hidden folder in its path.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def match(self, path: str) -> bool:
        """Tells whether a relative path is excluded."""
        return any(pattern.search(f"/{path}") for pattern in self._patterns)


def below(prefix: str, listed: Iterable[Listed], excludes: Excludes) -> Iterator[tuple[str, Listed]]:
    """Yields the relative path of each object below a prefix that takes part; markers of folders are left out.

    Raises:
        SyncError: A key cannot be the path of a local file.
    """
    for each in listed:
        path = each.key[len(prefix) :]
        if not path or path.endswith("/") or excludes.match(path):
            continue
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise SyncError(f"the key {each.key!r} cannot be the path of a local file; exclude it")
        yield path, each


@dataclass(frozen=True)
class LocalFiles:
    """The files below a folder that take part."""

    sizes: dict[str, int]
    """Relative paths with slashes, and bytes."""
    closed: set[str]
    """Folders that were not entered: links, and what cannot be read but is excluded."""

    def may_hold(self, path: str) -> bool:
        """Tells whether there is such a file, or may be in a folder that was not entered."""
        above = (str(folder) for folder in PurePosixPath(path).parents)
        return path in self.sizes or any(folder in self.closed for folder in above)


def local_files(folder: Path, excludes: Excludes) -> LocalFiles:
    """Returns the files below a folder that take part.

    Raises:
        OSError: A folder cannot be read: nobody knows what is in it.
    """
    found = LocalFiles({}, set())

    def refused(error: OSError) -> None:
        path = Path(error.filename).relative_to(folder).as_posix()
        if path == "." or not excludes.match(path):
            raise error
        found.closed.add(path)

    for place, folders, names in os.walk(folder, onerror=refused):
        inside = Path(place)
        links = (inside / name for name in folders if (inside / name).is_symlink())
        found.closed.update(link.relative_to(folder).as_posix() for link in links)
        for name in names:
            file = inside / name
            path = file.relative_to(folder).as_posix()
            if not excludes.match(path) and file.is_file():
                found.sizes[path] = file.stat().st_size
    return found


def is_same(bucket: Any, file: Path, listed: Listed, *, use_checksum: bool) -> bool:
    """Tells whether a local file is what an object holds: by size, then by checksum.

    The ETag of the listing is enough for most objects. One that was put together from parts is asked about, since
    only it knows the size of these. Where nothing tells, the two count as different.
    """
    if not file.is_file() or file.stat().st_size != listed.size:
        return False
    if not use_checksum:
        return True
    if re.fullmatch(r"[0-9a-f]{32}", listed.etag) and bucket.adds_up(file, listed.etag):
        return True
    found = bucket.find(listed.key)
    if found is None or found[3] is None:
        return False
    return bool(bucket.adds_up(file, found[3], found[4]))


def remove_others(folder: Path, kept: Iterable[str], excludes: Excludes) -> None:
    """Removes local files that are not among those to keep, and folders that are empty then. What is excluded stays."""
    wanted = set(kept)
    for path in local_files(folder, excludes).sizes:
        if path not in wanted:
            (folder / path).unlink()
    for place, _, _ in os.walk(folder, topdown=False):
        inside = Path(place)
        is_excluded = inside == folder or excludes.match(inside.relative_to(folder).as_posix())
        if not is_excluded and not any(inside.iterdir()):
            inside.rmdir()


def raise_first(what: str, outcomes: Iterable[tuple[str, BaseException | None]]) -> None:
    """Raises the first problem among the outcomes of a transfer."""
    for word, error in outcomes:
        if word == "ok":
            continue
        kind = {"corrupt": HashMismatchError, "missing": MissingObjectError}.get(word, SyncError)
        raise kind(f"{what} failed: {error}") from error
