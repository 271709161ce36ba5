"""A local folder and one on a real server, and runs of the command line on them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from servers import Server, openssh

META = {".pyftpsync-meta.json", ".pyftpsync-lock.json"}
LONG_AGO = 1_577_934_245  # 2020-01-02 03:04:05 UTC


def bodies(root: Path) -> dict[str, bytes]:
    """Returns the files of a tree with their bytes; empty folders are keys that end with a slash."""
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                found[f"{name}/"] = b""
        elif path.name not in META:
            found[name] = path.read_bytes()
    return found


def times(root: Path) -> dict[str, int]:
    return {name: int((root / name).stat().st_mtime) for name in bodies(root) if not name.endswith("/")}


def identities(root: Path) -> dict[str, tuple[int, int]]:
    """Tells every file apart from a rewritten one, even with the same bytes and time."""
    stats = {name: (root / name).stat() for name in bodies(root)}
    return {name: (stat.st_ino, stat.st_ctime_ns) for name, stat in stats.items()}


def write(root: Path, name: str, body: str | bytes = b"body", age: int = 0) -> Path:
    """Writes a file that is `age` seconds older than most files of the tests."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    os.utime(path, (LONG_AGO - age, LONG_AGO - age))
    return path


@dataclass(frozen=True)
class World:
    """A local folder and a folder on a running server."""

    local: Path
    server: Server
    home: Path

    @property
    def remote(self) -> Path:
        return self.server.root / "site"

    @property
    def url(self) -> str:
        return f"{self.server.url}site"

    def run(
        self, command: str, *options: str, url: str | None = None, code: int | None = 0, answers: str = ""
    ) -> Result:
        """Runs the command line without prompts for credentials, and checks its exit code (None: any)."""
        words = [sys.executable, "-m", "ftpsync", command, str(self.local), url or self.url]
        words += ["--no-prompt", "--no-keyring", "--no-netrc", *options]
        if self.server.ca and "--tls-ca" not in options and "--no-verify-tls" not in options:
            words += ["--tls-ca", str(self.server.ca)]
        environment = {**os.environ, "HOME": str(self.home), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        done = subprocess.run(
            words,
            input=answers,
            capture_output=True,
            encoding="utf-8",
            env=environment,
            cwd=self.home,
            timeout=120,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert code in (None, done.returncode), f"{words[3:]}\n{result}\n{self.server.output()[-3000:]}"
        return result

    def bystand(self) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
        return identities(self.local), identities(self.remote)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def make_world(server: Server, tmp_path: Path) -> World:
    world = World(tmp_path / "local", server, tmp_path / "home")
    for folder in (world.local, world.remote, world.home):
        folder.mkdir(parents=True)
    openssh.make_known(server, world.home)
    return world


def assert_clear_error(result: Result, pattern: str) -> None:
    """One line that names the cause, no traceback, and no password."""
    assert "Traceback" not in result.err + result.out, result
    assert "s3cret" not in result.err + result.out, result
    # A refused login is announced the way it always was, for whoever looks for it, before the run gives up.
    announced = ("ERROR:", "Could not login to ")
    # And what went wrong with single files is listed once more.
    told = re.sub(r"(?m)^\d+ problems? in this run:\n(  \S.*\n)+", "", result.err)
    lines = [line for line in told.splitlines() if line.strip() and not line.startswith(announced)]
    lines += re.findall(r"^ERROR: .+", result.err, re.MULTILINE)
    assert len(lines) == 1, result
    assert re.search(pattern, result.err, re.IGNORECASE), result
