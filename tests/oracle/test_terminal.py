"""What people see on a terminal: colours, erased line ends and progress, byte by byte as 4.1.0 writes them."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from environments import Environment
from running import DEADLINE, run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")

START = 1_600_000_000
PROGRESS = re.compile(r"\x1b\[2K|[^\n]*?Touched \d+/\d+ entries in \d+ directories\.\.\.[^\r\n]*\r")


def put(side: Path, name: str, body: str = "body", mtime: float = START) -> None:
    (side / name).parent.mkdir(parents=True, exist_ok=True)
    (side / name).write_text(body)
    os.utime(side / name, (mtime, mtime))


def on_terminal(environment: Environment, home: Path, *arguments: str, answers: str = "") -> str:
    """Runs the command line on a terminal and returns all that was written to it."""
    main, terminal = pty.openpty()
    left_out = {"NO_COLOR"} if environment.name == "ours" else {"NO_COLOR", "PYTHONPATH"}
    variables = {name: value for name, value in os.environ.items() if name not in left_out}
    variables |= {"HOME": str(home), "TERM": "xterm", "TZ": "UTC", "COLUMNS": "80"}
    command = [str(environment.python), "-m", "ftpsync.pyftpsync", *arguments]
    try:
        with subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=subprocess.STDOUT, cwd=home, env=variables
        ) as process:
            os.close(terminal)
            os.write(main, answers.encode())
            written = b""
            until = time.monotonic() + DEADLINE
            while time.monotonic() < until:
                if select.select([main], [], [], 0.1)[0]:
                    try:
                        written += os.read(main, 65536)
                    except OSError:  # Linux says so when the other end was closed.
                        break
                elif process.poll() is not None:
                    break
            process.kill()
    finally:
        os.close(main)
    return written.decode().replace("\r\n", "\n")


def subprocess_output(environment: Environment, home: Path, *arguments: str) -> str:
    ran = run_python(environment, ["-m", "ftpsync.pyftpsync", *arguments], home)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def lines(text: str, folder: Path) -> list[str]:
    """The lines without progress, in an order of their own."""
    text = PROGRESS.sub("", text).replace(str(folder), "<folder>")
    text = re.sub(r"Elap: [\d.]+ sec", "Elap: <time>", text)
    # What is listed at the end has no counterpart.
    listed = (
        r"(?m)^(\(DRY-RUN\) )?\d+ (conflicts? left alone|older files? (gave|would give) way).*\n(  \S.*\n)+"
    )
    text = re.sub(listed, "", text)
    # colorama resets the colours at exit, on a line of its own.
    return sorted(line for line in text.splitlines() if line != "\x1b[0m")


def prepare(local: Path, remote: Path) -> None:
    """Files for every line that there is, once `remember` has run between the two halves."""
    for name in ("same", "keep1", "keep2", "keep3", "gone here", "gone there", "edited here", "edited there"):
        put(local, name)
    for name in (
        "both edited",
        "edited here, gone there",
        "gone here, edited there",
        "folder/x",
        "old folder/x",
    ):
        put(local, name)


def change(local: Path, remote: Path) -> None:
    put(local, "new here")
    put(remote, "new there")
    put(local, "new folder/y")
    put(local, "left out.bak")
    (local / "gone here").unlink()
    (remote / "gone there").unlink()
    put(local, "edited here", "edited", START + 100)
    put(remote, "edited there", "edited", START + 100)
    put(local, "both edited", "here", START + 100)
    put(remote, "both edited", "there!", START + 200)
    put(local, "edited here, gone there", "edited", START + 100)
    (remote / "edited here, gone there").unlink()
    put(remote, "gone here, edited there", "edited", START + 100)
    (local / "gone here, edited there").unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "--resolve", "skip", "-v"),
        ("sync", "--resolve", "local", "-v"),
        ("sync", "--resolve", "remote"),
        ("sync", "--resolve", "skip", "-v", "--no-color"),
        ("sync", "--resolve", "skip", "-n"),
        ("upload", "--resolve", "skip", "-v"),
        ("upload", "--resolve", "local", "--delete", "--delete-unmatched"),
        ("download", "--resolve", "skip", "-v"),
        ("download", "--resolve", "remote", "--force", "--delete"),
        ("sync", "--resolve", "skip", "-q"),
    ],
    ids=" ".join,
)
def test_lines_on_a_terminal(
    tmp_path: Path, ours: Environment, reference_41: Environment, arguments: tuple[str, ...]
) -> None:
    shown = []
    for environment in (reference_41, ours):
        folder = tmp_path / environment.name
        local, remote, home = folder / "local", folder / "remote", folder / "home"
        for path in (local, remote, home):
            path.mkdir(parents=True)
        prepare(local, remote)
        places = [str(local), str(remote), "-x", "*.bak"]
        on_terminal(environment, home, "sync", *places)
        change(local, remote)
        shown.append(on_terminal(environment, home, *arguments, *places))
    theirs, here = (
        lines(text, tmp_path / e.name) for text, e in zip(shown, (reference_41, ours), strict=True)
    )
    assert any("\x1b[0K" in line for line in theirs) or "-q" in arguments, shown[0]
    assert any("\x1b[3" in line or "\x1b[9" in line for line in theirs) != bool(
        {"--no-color", "-q"} & set(arguments)
    )
    assert [line for line in here if line not in theirs] == []
    assert [line for line in theirs if line not in here] == []


def test_progress_is_shown_on_a_terminal(
    tmp_path: Path, ours: Environment, reference_41: Environment
) -> None:
    shapes = []
    for environment in (reference_41, ours):
        folder = tmp_path / environment.name
        local, remote, home = folder / "local", folder / "remote", folder / "home"
        for path in (local, remote, home):
            path.mkdir(parents=True)
        put(local, "a")
        put(local, "sub/b")
        text = on_terminal(environment, home, "upload", str(local), str(remote), "-n")
        found = re.findall(r"([^\n\r]*Touched )\d+/\d+( entries in )\d+( directories\.\.\.\r)", text)
        shapes.append(set(found))
        assert "\r" not in subprocess_output(environment, home, "upload", str(local), str(remote), "-n")
    assert shapes[0] == shapes[1] != set()
