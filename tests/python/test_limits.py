"""How long a connection is waited for, and how much memory a large tree takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from small_servers import ftp_server

#: Runs the tool as a child of a small process: its peak would otherwise begin with that of the tests.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "ftpsync", *sys.argv[1:]], capture_output=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak // 1024 if sys.platform == "darwin" else peak)
sys.exit(done.returncode and done.stderr.decode())
"""
#: More for a tree of 5000 files than for one of 50 (KiB). It was 4 MiB when this was written.
CEILING = 20 * 1024


@contextmanager
def address_that_does_not_answer() -> Iterator[int]:
    """Yields a port of loopback whose queue is full, so that nobody gets an answer, not even a refusal."""
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(64):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.3)
            try:
                waiting.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            pytest.fail("the queue has no end")
        yield port


@pytest.mark.parametrize("option", ["--timeout", "--connect-timeout"])
@pytest.mark.parametrize("command", ["upload", "doctor"])
def test_a_connection_that_is_never_made_is_given_up(command: str, option: str, tmp_path: Path) -> None:
    with address_that_does_not_answer() as port:
        url = f"ftp://joe:geheim99@127.0.0.1:{port}/"
        words = [sys.executable, "-m", "ftpsync", command, *([str(tmp_path)] if command == "upload" else [])]
        begun = time.monotonic()
        done = subprocess.run(
            [*words, url, "--no-prompt", "--no-netrc", option, "1"],
            capture_output=True,
            encoding="utf-8",
            timeout=50,
            check=False,
        )
        took = time.monotonic() - begun
    assert done.returncode == 1, done
    assert done.stderr.strip() == f'ERROR: could not connect to "127.0.0.1:{port}": timed out', done
    assert 1 <= took < 20, took


def make_tree(root: Path, count: int) -> Path:
    for number in range(count):
        file = root / f"folder{number // 100:02}" / f"file{number:04}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        os.utime(file, (1.6e9, 1.6e9))
    return root


def peak(*words: str) -> int:
    """Returns the most memory (KiB) that a run takes."""
    command = [sys.executable, "-c", MEASURED, *words, "--no-prompt", "--no-netrc"]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=100).stdout)


def test_a_hundred_times_as_many_files_take_little_more_memory(tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {"copied": [], "compared": []}
    for count in (50, 5000):
        here, there = (make_tree(tmp_path / f"{side}{count}", count) for side in ("here", "there"))
        empty = tmp_path / f"empty{count}"
        empty.mkdir()
        peaks["copied"].append(peak("upload", str(here), str(empty)))
        assert sum(path.is_file() for path in empty.rglob("file*")) == count
        with ftp_server(there) as server:
            peaks["compared"].append(peak("sync", str(here), server.url))
            assert sum(command.startswith("MLSD") for command in server.commands) == 1 + max(1, count // 100)
            assert not [command for command in server.commands if command.startswith(("RETR", "STOR file"))]
    for few, many in peaks.values():
        assert many - few < CEILING, peaks
