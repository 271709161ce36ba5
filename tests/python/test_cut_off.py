"""Runs that are killed or stopped in the middle of a file, and runs that find less than there was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rough import Sides, contents, nobody, stumps
from small_servers import Small, ftp_server
from waiting import wait_for

# The server of the tests does not close the file of an upload whose client is dead.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

#: More than the slow server takes before it first holds back: what it may have in two seconds, and a block for each.
LARGE = b"0123456789abcdef" * 60_000
#: The slow server is silent for more than a second at times.
PATIENT = ("--timeout", "10")


@pytest.fixture
def slow(sides: Sides) -> Iterator[Small]:
    with ftp_server(sides.remote, bytes_per_second=256 * 1024) as small:
        yield small


def started(sides: Sides, verb: str, url: str, *options: str) -> subprocess.Popen[str]:
    command = sides.command(verb, url, *PATIENT, *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begun(sides: Sides, verb: str, url: str, target: Path) -> subprocess.Popen[str]:
    """A run in the middle of a large file."""
    process = started(sides, verb, url)
    wait_for(lambda: stumps(target))
    return process


def left_with_a_stump(sides: Sides, verb: str, server: Small, *options: str) -> Path:
    """Kills a run in the middle of a large file that it writes under its own name. Returns what it has left of it.

    From then on the server is a fast one.
    """
    source, target = (sides.local, sides.remote) if verb == "upload" else (sides.remote, sides.local)
    (source / "large").write_bytes(LARGE)
    # Of an hour ago: what the dead run has written is newer.
    os.utime(source / "large", (time.time() - 3600,) * 2)
    stump = target / "large"
    with started(sides, verb, server.url, *options) as process:
        wait_for(lambda: stump.exists() and stump.read_bytes()[:1] == LARGE[:1])
        process.kill()
        process.communicate()
    content = stump.read_bytes()
    assert 0 < len(content) < len(LARGE) and LARGE.startswith(content)
    server.hurry()
    return stump


@pytest.mark.parametrize("is_new", [False, True], ids=["over a file", "new"])
@pytest.mark.parametrize("verb", ["upload", "download"])
def test_rows_01_to_04_a_kill_in_the_middle_of_a_file_costs_neither_content(
    sides: Sides, slow: Small, verb: str, is_new: bool
) -> None:
    source, target = (sides.local, sides.remote) if verb == "upload" else (sides.remote, sides.local)
    if not is_new:
        (source / "large").write_bytes(b"old")
        os.utime(source / "large", (1.6e9, 1.6e9))
        assert sides.run("sync", slow.url, *PATIENT).returncode == 0
    (source / "large").write_bytes(LARGE)
    before = contents(target)
    with begun(sides, verb, slow.url, target) as process:
        process.kill()
        process.communicate()
    slow.hurry()
    now = contents(target)
    assert now.get("large") == (None if is_new else b"old")
    assert {name: body for name, body in now.items() if name in before} == before
    # The next one may be of the kind to which a stump would look like news.
    again = sides.run("sync", slow.url, *PATIENT)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "conflict" not in again.stdout.lower(), again.stdout
    local, remote = sides.contents()
    assert local == remote == {"mine": b"mine", "theirs": b"theirs", "large": LARGE}
    assert sides.litter() == []
    assert not (sides.remote / ".pyftpsync-lock.json").exists()


@pytest.fixture(params=["--inplace", "cannot rename"])
def writes_in_place(request: pytest.FixtureRequest, sides: Sides) -> Iterator[tuple[Small, list[str]]]:
    """A slow server to which files are written under their own names, and the options for that."""
    refuses = {} if request.param == "--inplace" else dict.fromkeys(("RNFR", "RNTO"), "502 Not implemented.")
    with ftp_server(sides.remote, bytes_per_second=256 * 1024, refuses=refuses) as small:
        yield small, [] if refuses else ["--inplace"]


@pytest.mark.parametrize("resolve", ["ask", "new"])
@pytest.mark.parametrize("is_new", [False, True], ids=["over a file", "new"])
def test_row_01_what_a_dead_upload_has_left_under_the_name_itself_is_no_edit(
    sides: Sides, writes_in_place: tuple[Small, list[str]], is_new: bool, resolve: str
) -> None:
    server, options = writes_in_place
    if not is_new:
        (sides.local / "large").write_bytes(b"old")
        os.utime(sides.local / "large", (1.6e9, 1.6e9))
        assert sides.run("sync", server.url, *PATIENT, *options).returncode == 0
    stump = left_with_a_stump(sides, "upload", server, *options)
    # Nobody is to get the beginning in place of the whole, not even who insists.
    down = sides.run("download", server.url, "--force", *PATIENT, *options)
    assert down.returncode == 1 and "only the beginning" in down.stderr, down.stdout + down.stderr
    assert (sides.local / "large").read_bytes() == LARGE
    rehearsed = sides.run("sync", server.url, "--dry-run", "--resolve", resolve, *PATIENT, *options)
    assert rehearsed.returncode == 0 and "conflict" not in rehearsed.stdout.lower(), rehearsed.stdout
    assert len(stump.read_bytes()) < len(LARGE)
    again = sides.run("sync", server.url, "--resolve", resolve, *PATIENT, *options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "conflict" not in again.stdout.lower() and "only the beginning of it" in again.stdout, again.stdout
    local, remote = sides.contents()
    assert local == remote == {"mine": b"mine", "theirs": b"theirs", "large": LARGE}
    assert sides.litter() == []


@pytest.mark.parametrize("is_new", [False, True], ids=["over a file", "new"])
def test_row_01_what_a_dead_download_has_left_under_the_name_itself_is_no_edit(
    sides: Sides, slow: Small, is_new: bool
) -> None:
    if not is_new:
        (sides.remote / "large").write_bytes(b"old")
        os.utime(sides.remote / "large", (1.6e9, 1.6e9))
        assert sides.run("sync", slow.url, *PATIENT).returncode == 0
    left_with_a_stump(sides, "download", slow, "--inplace")
    up = sides.run("upload", slow.url, "--force", "--inplace", *PATIENT)
    assert up.returncode == 1 and "only the beginning" in up.stderr, up.stdout + up.stderr
    assert (sides.remote / "large").read_bytes() == LARGE
    again = sides.run("sync", slow.url, "--resolve", "new", "--inplace", *PATIENT)
    assert again.returncode == 0, again.stdout + again.stderr
    local, remote = sides.contents()
    assert local == remote == {"mine": b"mine", "theirs": b"theirs", "large": LARGE}
    assert sides.litter() == []


def test_row_01_an_edit_after_a_dead_upload_is_an_edit(sides: Sides, slow: Small) -> None:
    (sides.local / "large").write_bytes(b"old")
    os.utime(sides.local / "large", (1.6e9, 1.6e9))
    assert sides.run("sync", slow.url, *PATIENT).returncode == 0
    stump = left_with_a_stump(sides, "upload", slow, "--inplace")
    edited = stump.read_bytes()[:-1] + b"!"
    stump.write_bytes(edited)
    again = sides.run("sync", slow.url, "--resolve", "skip", *PATIENT)
    assert "conflict" in again.stdout.lower(), again.stdout
    assert (sides.local / "large").read_bytes() == LARGE and stump.read_bytes() == edited


def test_row_01_what_a_dead_upload_has_left_counts_only_until_the_file_was_synchronised(
    sides: Sides, slow: Small
) -> None:
    left_with_a_stump(sides, "upload", slow, "--inplace")
    [journal] = sides.local.glob(".pyftpsync-tmp-*.journal")
    told = journal.read_bytes()
    assert sides.run("sync", slow.url, *PATIENT).returncode == 0
    # As if that run had been cut short as well, behind this file.
    journal.write_bytes(told)
    (sides.remote / "large").write_bytes(b"")
    again = sides.run("sync", slow.url, *PATIENT)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (sides.local / "large").read_bytes() == (sides.remote / "large").read_bytes() == b""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_row_05_an_upload_that_is_stopped_leaves_neither_stump_nor_lock(
    sides: Sides, slow: Small, how: signal.Signals
) -> None:
    (sides.local / "large").write_bytes(LARGE)
    (sides.remote / "large").write_bytes(b"old")
    os.utime(sides.remote / "large", (1.6e9, 1.6e9))
    with begun(sides, "upload", slow.url, sides.remote) as process:
        wait_for(lambda: (sides.remote / "mine").exists())
        started = time.monotonic()
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 15
    assert process.returncode == 3 and "Traceback" not in errors, errors
    assert (sides.remote / "large").read_bytes() == b"old"
    assert not (sides.remote / ".pyftpsync-lock.json").exists()
    heard = len(slow.commands)
    assert sides.run("upload", slow.url, *PATIENT).returncode == 0
    assert (sides.remote / "large").read_bytes() == LARGE
    assert sides.litter() == []
    sent = [line for line in slow.commands[heard:] if line.startswith("STOR") and "-mine" in line]
    assert sent == [], "what was finished is remembered"


@pytest.mark.parametrize("verb", ["upload", "sync"])
def test_row_21_a_file_that_may_not_be_read_gets_no_empty_twin_on_the_server(
    sides: Sides, server: Small, verb: str
) -> None:
    (sides.local / "closed").write_text("secret")
    (sides.local / "closed").chmod(0)
    for _ in range(2):
        done = sides.run(verb, server.url, launcher=nobody(sides))
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Could not copy closed: permission denied" in done.stderr
    assert contents(sides.remote) == {"mine": b"mine", "theirs": b"theirs"}
    assert sides.litter() == []


def empty(folder: Path, keeps_memory: bool) -> None:
    for path in folder.iterdir():
        if not (keeps_memory and path.name.startswith(".pyftpsync-")):
            path.unlink()


@pytest.mark.parametrize("keeps_memory", [True, False], ids=["emptied", "unmounted"])
@pytest.mark.parametrize(
    ("verb", "options"), [("sync", ()), ("upload", ("--delete",))], ids=["sync", "upload"]
)
def test_row_23_a_local_folder_that_is_suddenly_empty_deletes_nothing(
    sides: Sides, server: Small, verb: str, options: tuple[str, ...], keeps_memory: bool
) -> None:
    for number in range(5):
        (sides.local / f"file{number}").write_text("x")
    assert sides.run("sync", server.url).returncode == 0
    before = contents(sides.remote)
    empty(sides.local, keeps_memory)
    done = sides.run(verb, server.url, *options)
    assert contents(sides.remote) == before, done.stdout
    if verb == "sync" and not keeps_memory:
        # Nothing tells that the folder ever held anything: all of it comes.
        assert done.returncode == 0 and contents(sides.local) == before
        return
    assert done.returncode == 1, done.stdout
    assert "--allow-mass-delete" in done.stderr, done.stderr
    assert re.search(r"DELETE MISSING.*The DELETE lines above were not carried out", done.stdout, re.S), (
        done.stdout
    )
    assert sides.run(verb, server.url, *options, "--allow-mass-delete").returncode == 0
    assert contents(sides.remote) == {}
