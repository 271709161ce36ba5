"""Processes that are short of memory and of file handles, and whose reader goes away."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from rough import Sides
from small_servers import Small

# The server of the tests does not close the files of a client that is gone.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

META = ".pyftpsync-meta.json"


@pytest.fixture
def sides(sides: Sides) -> Sides:
    for number in range(60):
        for side, what in ((sides.local, "up"), (sides.remote, "down")):
            folder = side / f"folder {number % 6}"
            folder.mkdir(exist_ok=True)
            (folder / f"{what}{number}").write_text(f"{what} {number}")
    return sides


def nothing_is_half(sides: Sides, before: list[dict[str, bytes]]) -> None:
    """Every file is one that was there before, on one side or the other."""
    known = {**before[0], **before[1]}
    for side in sides.contents():
        assert {name: known.get(name) for name in side} == side


def is_in_step(sides: Sides, url: str) -> None:
    again = sides.run("sync", url, "--break-lock")
    assert again.returncode == 0, again.stdout + again.stderr
    local, remote = sides.contents()
    assert local == remote and len(local) == 122


@pytest.mark.parametrize("handles", [20, 32])
def test_row_14_with_few_file_handles_a_run_does_what_it_can_and_says_the_rest(
    sides: Sides, server: Small, handles: int
) -> None:
    before = sides.contents()
    done = sides.run("sync", server.url, "--connections", "8", limits={resource.RLIMIT_NOFILE: handles})
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr, done.stderr
    if done.returncode == 1:
        assert "open files" in done.stderr, done.stderr
    nothing_is_half(sides, before)
    is_in_step(sides, server.url)


def test_row_14_with_little_memory_nothing_is_half_or_lost(sides: Sides, server: Small) -> None:
    (sides.remote / "large").write_bytes(b"y" * 20_000_000)
    before = sides.contents()
    ended = set()
    for megabytes in (700, 350, 200):
        limits = {resource.RLIMIT_AS: megabytes << 20}
        done = sides.run("sync", server.url, "--connections", "4", "--break-lock", limits=limits)
        ended.add(done.returncode)
        assert "panicked" not in done.stderr, done.stderr
        # A Python that has no room to start tells so in its own way; a run that has begun ends in good order.
        assert done.returncode in (0, 1, 127) or "memory" in done.stderr.lower(), (
            done.returncode,
            done.stderr,
        )
        nothing_is_half(sides, before)
    assert 0 in ended, "with enough it works"
    assert sides.run("sync", server.url, "--break-lock").returncode == 0
    local, remote = sides.contents()
    assert local == remote and len(local["large"]) == 20_000_000


@pytest.mark.parametrize("verbosity", ["-v", "-vvv"])
def test_row_15_a_reader_that_goes_away_leaves_everything_in_good_order(
    sides: Sides, server: Small, verbosity: str
) -> None:
    before = sides.contents()
    command = sides.command("sync", server.url, verbosity)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode in (0, 1), errors
    assert "Traceback" not in errors and "Exception ignored" not in errors, errors
    nothing_is_half(sides, before)
    for meta in sides.local.rglob(META):
        json.loads(meta.read_text())
    assert not (sides.remote / ".pyftpsync-lock.json").exists(), "the lock is removed"
    assert sides.litter() == []
    is_in_step(sides, server.url)


def test_row_16_an_error_of_python_inside_a_run_comes_out_as_itself_and_nothing_aborts(
    sides: Sides, server: Small
) -> None:
    code = (
        "import sys\n"
        "from ftpsync.synchronizers import BiDirSynchronizer\n"
        "from ftpsync.targets import make_target\n"
        "class Stopping(BiDirSynchronizer):\n"
        "    def on_copy_local(self, pair):\n"
        "        super().on_copy_local(pair)\n"
        "        raise KeyboardInterrupt\n"
        "try:\n"
        "    Stopping(make_target(sys.argv[1]), make_target(sys.argv[2]), {'verbose': 0}).run()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    before = sides.contents()
    words = [sys.executable, "-c", code, str(sides.local), server.url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    nothing_is_half(sides, before)
    is_in_step(sides, server.url)


def test_with_standard_input_closed_conflicts_are_left_alone_and_the_rest_goes_on(
    sides: Sides, server: Small
) -> None:
    (sides.local / "both").write_text("here")
    (sides.remote / "both").write_text("there!")
    command = [*sides.command("sync", server.url, "--resolve", "ask"), "--timeout", "10"]
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    done = subprocess.run(shell, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 1 and "There is nobody to ask about conflicts" in done.stderr, done.stderr
    local, remote = sides.contents()
    assert (local.pop("both"), remote.pop("both")) == (b"here", b"there!")
    assert local == remote and len(local) == 122
