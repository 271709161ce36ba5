"""Running servers and programs for the tests, each in a home of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import selectors
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from environments import Environment

SERVER = Path(__file__).with_name("ftp_server.py")
USER, PASSWORD = "joe", "secret"
DEADLINE = 900.0
TESTS = Path(__file__).parents[1] / "python"

#: What the tests need that only our environment has; some parts only with some versions of Python.
NEEDED = (
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "py",
    "exceptiongroup",
    "tomli",
)
NEEDED_FOR_SERVERS = ("pyftpdlib", "asyncore", "asynchat", "pyasyncore", "pyasynchat")
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


def run_tests(environment: Environment, pattern: str, folder: Path, chosen: str) -> dict[str, str]:
    """Runs tests of ours with a reference, which has no pytest of its own; returns `PASSED` or `FAILED` for each.

    Args:
        environment: The reference.
        pattern: Of the file names, in the folder of the tests that need nothing but names that all have.
        folder: To work in.
        chosen: Which tests, as for `pytest -k`.
    """
    library = folder / "library"
    library.mkdir()
    for name in NEEDED + NEEDED_FOR_SERVERS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and "site-packages" in spec.origin:
            origin = Path(spec.origin)
            found = origin.parent if origin.name == "__init__.py" else origin
            (library / found.name).symlink_to(found)
    settings = folder / "none.ini"
    settings.write_text("[pytest]\n")
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--noconftest", "-c", str(settings), "-k", chosen]
    files = [str(path) for path in sorted(TESTS.glob(pattern))]
    variables = {"PYTHONPATH": f"{library}{os.pathsep}{TESTS}"}
    ran = run_python(environment, ["-m", "pytest", *options, *files], folder / "home", variables)
    lines = re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(.*?)(?: - .*)?$", ran.stdout, re.MULTILINE)
    assert lines, ran.stdout[-3000:] + ran.stderr
    return {test: outcome for outcome, test in lines}
