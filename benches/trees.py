"""The trees of the benchmark: always the same bytes for the same seed, and a comparison byte for byte."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SEED = 20240229
# A fixed second in the past: every file gets a time of its own that all servers can keep.
EPOCH = 1_600_000_000
IGNORED = {".pyftpsync-meta.json", ".pyftpsync-lock.json"}


def small(root: Path, count: int = 2000, folders: int = 100) -> None:
    """Writes files of 1 to 8 KiB, spread over nested folders."""
    source = random.Random(SEED)
    # Four branches with folders up to four levels deep.
    places = [root]
    for number in range(1, folders):
        parent = places[0] if number < 5 else source.choice(places[1:][-40:])
        deep = len(parent.relative_to(root).parts) >= 4
        places.append((root if deep else parent) / f"folder{number:03}")
    for number in range(count):
        size = source.randint(1024, 8192)
        _write(places[number % folders] / f"file{number:04}.dat", source.randbytes(size), EPOCH + number)


def large(root: Path, count: int = 2, size: int = 256 * 1024 * 1024) -> None:
    """Writes large files that no layer can compress."""
    source = random.Random(SEED + 1)
    block = 1024 * 1024
    for number in range(count):
        root.mkdir(parents=True, exist_ok=True)
        path = root / f"large{number}.bin"
        with path.open("wb") as file:
            for _ in range(size // block):
                file.write(source.randbytes(block))
        os.utime(path, (EPOCH + number, EPOCH + number))


def single(root: Path, size: int = 512 * 1024 * 1024) -> None:
    """Writes one large file."""
    large(root, count=1, size=size)


def site(root: Path, count: int = 1500) -> None:
    """Writes a web site: pages, styles, scripts and pictures with the sizes such files have."""
    source = random.Random(SEED + 2)
    words = [bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 9))) for _ in range(800)]
    sections = ["", *(f"section{number:02}" for number in range(25))]
    for number in range(count):
        section, share = source.choice(sections), source.random()
        if share < 0.45:
            name, body = (
                f"page{number:04}.html",
                b" ".join(source.choices(words, k=source.randint(100, 5000))),
            )
        elif share < 0.55:
            name, body = (
                f"css/style{number:04}.css",
                b" ".join(source.choices(words, k=source.randint(50, 3000))),
            )
        elif share < 0.65:
            name, body = (
                f"js/code{number:04}.js",
                b" ".join(source.choices(words, k=source.randint(50, 9000))),
            )
        else:
            name, body = f"img/photo{number:04}.jpg", source.randbytes(int(source.lognormvariate(10.3, 1.0)))
        _write(root / section / name, body, EPOCH + number)


def _write(path: Path, body: bytes, time: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (time, time))


def change_one(root: Path) -> None:
    """Gives one file of a tree another body, size and time."""
    path = files(root)[len(files(root)) // 2]
    _write(root / path, b"changed " * 500, EPOCH + 10_000_000)


def remove_half(root: Path) -> None:
    """Removes every other file of a tree."""
    for path in files(root)[::2]:
        (root / path).unlink()


def copy(source: Path, to: Path) -> None:
    """Copies a tree with its times."""
    shutil.copytree(source, to, dirs_exist_ok=True)


def files(root: Path) -> list[Path]:
    """Lists the files of a tree, relative and sorted, without those that pyftpsync keeps for itself."""
    found = (
        Path(folder, name) for folder, _, names in os.walk(root) for name in names if name not in IGNORED
    )
    return sorted(path.relative_to(root) for path in found)


@dataclass(frozen=True)
class Comparison:
    """How a tree compares with the one it should equal."""

    problem: str | None
    """The first difference in names or bytes."""
    count: int
    times: int
    """The number of files that have the right time, to the second."""


def compare(wanted: Path, got: Path) -> Comparison:
    """Compares names and bytes of all files; times are counted, not judged."""
    left, right = files(wanted), files(got)
    if left != right:
        lost, extra = sorted(set(left) - set(right)), sorted(set(right) - set(left))
        example = f"e.g. {(lost or extra)[0]}"
        return Comparison(f"{len(lost)} files missing, {len(extra)} too many, {example}", len(left), 0)
    times = 0
    for path in left:
        if not _same_bytes(wanted / path, got / path):
            return Comparison(f"{path} differs", len(left), times)
        times += int((wanted / path).stat().st_mtime) == int((got / path).stat().st_mtime)
    return Comparison(None, len(left), times)


def _same_bytes(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        while block := one.read(1 << 20):
            if other.read(1 << 20) != block:
                return False
    return True


MAKERS: dict[str, Callable[..., None]] = {"small": small, "single": single, "large": large, "site": site}


def written(root: Path) -> dict[Path, tuple[int, int, int]]:
    """Describes the files of a tree so that any rewriting shows, even one with the same bytes."""
    stats = {path: (root / path).stat() for path in files(root)}
    return {path: (stat.st_ino, stat.st_size, stat.st_ctime_ns) for path, stat in stats.items()}
