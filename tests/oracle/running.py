"""Running servers and programs for the tests, each in a home of its own."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from environments import Environment

SERVER = Path(__file__).with_name("ftp_server.py")
USER, PASSWORD = "joe", "secret"
DEADLINE = 60.0
RESERVED = (".pyftpsync-meta.json", ".pyftpsync-lock.json")


@contextmanager
def ftp_server(environment: Environment, root: Path, *options: str) -> Iterator[int]:
    """Serves a folder to joe (password secret) and gives the port."""
    command = [str(environment.python), "-I", str(SERVER), str(root), *options]
    log = (root.parent / "server.log").open("ab")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        yield int(_first_line(server))
    finally:
        server.terminate()
        try:
            server.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout:
            server.stdout.close()
        log.close()


def _first_line(server: subprocess.Popen[bytes]) -> bytes:
    assert server.stdout
    with selectors.DefaultSelector() as ready:
        ready.register(server.stdout, selectors.EVENT_READ)
        assert ready.select(DEADLINE), "the FTP server did not come up"
    line = server.stdout.readline()
    assert line.strip(), f"the FTP server ended with {server.wait(DEADLINE)}"
    return line


def run_python(
    environment: Environment, args: Sequence[str], home: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the Python of an environment where no netrc, keyring or configuration of the user is found."""
    home.mkdir(exist_ok=True)
    variables = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" or environment.name == "ours"
    }
    variables |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYTHONIOENCODING": "utf-8",
        "TZ": "UTC",
        **(more or {}),
    }
    return subprocess.run(
        [str(environment.python), *args],
        cwd=home,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )


def contents(root: Path) -> dict[str, bytes]:
    """The files below a folder, those of the program aside."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in RESERVED
    }
