"""The reference implementation, installed from PyPI into environments of its own.

Both packages are imported as `ftpsync`, so they can never share an environment. The environments live under
`.cache/` of the checkout, are made once, and are made whole or not at all: a marker written last says that an
environment is complete, and a lock lets several test processes start at the same time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
COMPLETE = "complete.txt"
DEADLINE = 900.0
STALE_LOCK = 900.0


class Unavailable(Exception):
    """An environment could not be made (no network, no wheel for this Python, ...)."""


@dataclass(frozen=True)
class Environment:
    """One Python environment that can `import ftpsync`."""

    name: str
    python: Path


#: release -> what to install. 4.1.0 also runs the test servers, hence the TLS part of pyftpdlib.
REQUIREMENTS = {
    "4.1.0": ["pyftpsync==4.1.0", "pyftpdlib", "PyOpenSSL", "setuptools<80"],
    "3.1.0": ["pyftpsync==3.1.0", "setuptools<80"],
    "s3lync": ["s3lync==0.4.2"],
}

#: release -> where its tests are in its source distribution, and the digest of that.
SOURCES = {
    "4.1.0": ("tests", "f6c739e1f1afd479d141f55e904b709f04af74705594355af19ad78f93854743"),
    "3.1.0": ("test", "8d6a5fb98c3ef90743e71f2ee7bdd5404b7392660b4bf8565fbeb90f1a44821c"),
}


def reference(release: str) -> Environment:
    """Returns the environment of a reference release, making it the first time.

    Raises `Unavailable` when it cannot be made; the caller decides whether that is a skip or a failure.
    """
    return _environment(release, "ftpsync.synchronizers")


def s3lync() -> Environment:
    """Returns the environment of s3lync, making it the first time. Raises as `reference` does."""
    return _environment("s3lync", "s3lync")


def upstream_tests(release: str) -> Path:
    """Returns the folder with the tests of a release, fetching it the first time. Raises as `reference` does."""
    home = CACHE / f"tests-{release}"
    if not home.is_dir():
        python = reference(release).python
        with _Lock(CACHE / f"tests-{release}.lock"):
            if not home.is_dir():
                _fetch_tests(release, python, home)
    return home


def _fetch_tests(release: str, python: Path, home: Path) -> None:
    folder, digest = SOURCES[release]
    with tempfile.TemporaryDirectory(prefix=f"tests-{release}-", dir=CACHE) as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"pyftpsync=={release} --hash=sha256:{digest}\n", encoding="utf-8")
        # `--no-binary :all:` would build the tools that pip asks for the metadata, too: that takes ages.
        options = ["--quiet", "--no-deps", "--no-binary", "pyftpsync", "--dest", scratch]
        _must_run([str(python), "-m", "pip", "download", *options, "--requirement", str(wanted)])
        unpacked = Path(scratch, folder)
        unpacked.mkdir()
        with tarfile.open(Path(scratch, f"pyftpsync-{release}.tar.gz")) as archive:
            for member in archive:
                path = Path(member.name)
                file = archive.extractfile(member) if path.parent.name == folder else None
                if file is not None and path.suffix == ".py":
                    (unpacked / path.name).write_bytes(file.read())
        unpacked.rename(home)


def _environment(release: str, module: str) -> Environment:
    home = CACHE / f"oracle-{release}"
    wanted = "\n".join([*REQUIREMENTS[release], sys.version])
    if not _is_complete(home, wanted):
        CACHE.mkdir(exist_ok=True)
        with _Lock(CACHE / f"oracle-{release}.lock"):
            if not _is_complete(home, wanted):
                _make(home, wanted, REQUIREMENTS[release], module)
    return Environment(release, _python_of(home))


def subject() -> Environment:
    """Returns the environment under test: the Python that runs pytest.

    `ORACLE_SUBJECT` names another interpreter, for example that of the other reference release, to see what
    the harness itself reports.
    """
    return Environment("ours", Path(os.environ.get("ORACLE_SUBJECT", sys.executable)))


def _is_complete(home: Path, wanted: str) -> bool:
    marker = home / COMPLETE
    return marker.is_file() and marker.read_text(encoding="utf-8") == wanted


def _python_of(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(home: Path, wanted: str, requirements: list[str], module: str) -> None:
    # Scripts of an environment carry its path, so it is built in place; the marker comes last.
    if home.exists():
        shutil.rmtree(home)
    _must_run([sys.executable, "-m", "venv", str(home)])
    _must_run([str(_python_of(home)), "-m", "pip", "install", "--quiet", *requirements])
    _must_run([str(_python_of(home)), "-c", f"import {module}"])
    (home / COMPLETE).write_text(wanted, encoding="utf-8")


def _must_run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}:\n{done.stderr[-2000:]}")


class _Lock:
    """A lock between processes: the one that could create the file holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        give_up = time.monotonic() + DEADLINE
        while True:
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                return
            except FileExistsError:
                self._remove_when_stale()
            if time.monotonic() > give_up:
                raise Unavailable(f"{self.path} is held by another process; remove it if there is none")
            time.sleep(0.2)

    def __exit__(self, *exc_info: object) -> None:
        self.path.unlink(missing_ok=True)

    def _remove_when_stale(self) -> None:
        try:
            if time.time() - self.path.stat().st_mtime > STALE_LOCK:
                self.path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
