"""Fetches programs from Debian into a cache folder, without installing them.

A program is downloaded together with the shared libraries that this machine lacks, unpacked into a folder
of its own and used through ``LD_LIBRARY_PATH``. Nothing outside the cache changes, except that root
refreshes the package lists when they are missing or stale.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
TIMEOUT = 300.0


class Unavailable(Exception):
    """Says why something cannot run on this machine."""


def cache() -> Path:
    """Names the folder for downloads: ``FTPSYNC_SERVER_CACHE``, or ``.cache/servers`` in the checkout."""
    chosen = os.environ.get("FTPSYNC_SERVER_CACHE")
    return Path(chosen).resolve() if chosen else CHECKOUT / ".cache" / "servers"


def unpacked(*packages: str) -> Path:
    """Returns the folder that holds the unpacked packages and their missing libraries.

    The first name is the name of the folder. Any number of processes may ask at once: one downloads, and the
    folder appears by a rename, so that it is there only when it is complete.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable(f"{packages[0]} is fetched with apt-get, which this machine does not have")
    system = platform.freedesktop_os_release()
    home = cache() / f"{system['ID']}-{system.get('VERSION_ID', 'rolling')}-{platform.machine()}"
    folder = home / packages[0]
    if folder.is_dir():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / ".lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as scratch:
                tree = _fetch(packages, Path(scratch))
                tree.rename(folder)
    return folder


def library_path(*folders: Path) -> str:
    """Lists the folders with shared libraries below unpacked packages, as ``LD_LIBRARY_PATH`` wants them."""
    found = {library.parent for folder in folders for library in folder.rglob("lib*.so*")}
    return ":".join(sorted(map(str, found)))


def check_libraries(program: Path, *folders: Path) -> None:
    """Fails with the names of the shared libraries that a program would miss."""
    linked = _run(["ldd", str(program)], LD_LIBRARY_PATH=library_path(*folders))
    missing = [line.split()[0] for line in linked.stdout.splitlines() if "not found" in line]
    if missing:
        raise Unavailable(f"{program.name} misses {', '.join(missing)}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets one process at a time do something."""
    import fcntl  # not on Windows, where nothing gets this far

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(packages: tuple[str, ...], scratch: Path) -> Path:
    downloads, tree = scratch / "downloads", scratch / "tree"
    downloads.mkdir()
    if not _download(packages, downloads) and not (_refresh() and _download(packages, downloads)):
        hint = "" if os.geteuid() == 0 else "; try again after `sudo apt-get update`"
        raise Unavailable(f"apt-get cannot download {', '.join(packages)}{hint}")
    for archive in sorted(downloads.glob("*.deb")):
        _run(["dpkg", "-x", str(archive), str(tree)], check=True)
    return tree


def _download(packages: tuple[str, ...], into: Path) -> bool:
    libraries = _missing_libraries(packages)
    if libraries is None:
        return False
    got = _run(["apt-get", "download", "-q", *packages, *libraries], cwd=into)
    return got.returncode == 0


def _missing_libraries(packages: tuple[str, ...]) -> list[str] | None:
    """Asks what an installation would add; None when the package lists do not know the packages."""
    plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
    if plan.returncode != 0:
        return None
    # "Inst name (new ...)" is an addition; "Inst name [old] (new ...)" an update, which is not needed here.
    added = [line.split() for line in plan.stdout.splitlines() if line.startswith("Inst ")]
    fresh = [words[1] for words in added if not words[2].startswith("[")]
    return [name for name in fresh if name.startswith("lib") and name not in packages]


def _refresh() -> bool:
    return os.geteuid() == 0 and _run(["apt-get", "update", "-q"]).returncode == 0


def _run(
    command: list[str], *, cwd: Path | None = None, check: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C", **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=check,
    )
