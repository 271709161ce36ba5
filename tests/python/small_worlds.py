"""Two folders, and what is done with them: made of names only that pyftpsync 4.1 has as well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftpsync import util
from ftpsync.metadata import DirMetadata
from ftpsync.targets import FsTarget

META, LOCK = DirMetadata.META_FILE_NAME, DirMetadata.LOCK_FILE_NAME
TRASH = ".pyftpsync-trash"
THEN = 1_577_934_245

Sides = tuple[Path, Path]


@contextmanager
def printing(monkeypatch: Any, home: Path) -> Iterator[None]:
    """Lines are printed, and the home is a folder of the test."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("PYFTPSYNC_COMPAT", raising=False)
    previous = util.set_pyftpsync_logger(None)
    try:
        yield
    finally:
        util.set_pyftpsync_logger(previous)


def make_sides(folder: Path) -> Sides:
    local, remote = folder / "local", folder / "remote"
    local.mkdir()
    remote.mkdir()
    return local, remote


def put(root: Path, name: str, body: str = "body", age: float = 0) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, encoding="utf-8")
    os.utime(path, (THEN - age, THEN - age))
    return path


def fill(root: Path, names: str) -> None:
    for name in names.split():
        put(root, name)


def names(root: Path) -> set[str]:
    """The files of a tree, without those that the package keeps for itself."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    return {name for name in found if not name.endswith((META, LOCK)) and not name.startswith(TRASH)}


def run(kind: type[Any], sides: Sides, **options: Any) -> dict[str, Any]:
    """Synchronises two local folders and returns the statistics."""
    return synchronise(kind, FsTarget(str(sides[0])), FsTarget(str(sides[1])), **options)


def synchronise(kind: type[Any], local: Any, remote: Any, **options: Any) -> dict[str, Any]:
    synchronizer = kind(local, remote, {"verbose": 3, "no_color": True, "resolve": "skip", **options})
    synchronizer.run()
    stats: dict[str, Any] = synchronizer.get_stats()
    return stats


def command_line(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ftpsync.pyftpsync", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
