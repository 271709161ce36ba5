"""Folders on the disk, as tests fill and read them."""

from __future__ import annotations

import os
from pathlib import Path


def put(path: Path, text: str, age: int = 0) -> Path:
    """Writes a file that is `age` seconds older than most files of the tests, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1.6e9 - age, 1.6e9 - age))
    return path


def texts(root: Path) -> dict[str, str]:
    """The files that the user has there, without those of the tool and of its trash."""
    files = ((path, path.relative_to(root).as_posix()) for path in root.rglob("*") if path.is_file())
    return {name: path.read_text() for path, name in files if ".pyftpsync-" not in name}


def tree(root: Path) -> dict[str, str | None]:
    """The files that the user has there, and the folders as names without a text."""
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if not path.name.startswith(".pyftpsync-")
    }
