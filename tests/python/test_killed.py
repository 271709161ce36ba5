"""The process is killed at a command of a run, for many commands; the next run ends as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effort import points
from folders import put
from servers import certificates
from small_servers import Small, ftp_server
from waiting import wait_for

# The server of the tests does not close the file of an upload whose client is dead.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Contents = dict[str, bytes | None]


def contents(root: Path) -> Contents:
    """What the user sees: no metadata, no lock."""
    found = {str(path.relative_to(root)): path for path in root.rglob("*")}
    return {
        name: None if path.is_dir() else path.read_bytes()
        for name, path in found.items()
        if not path.name.startswith(".pyftpsync-")
    }


def litter(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".pyftpsync-*") if path.name != ".pyftpsync-meta.json"]


class Stage:
    """A folder and a server that were in step once, and both were worked on since."""

    #: What the command line has to be told to trust the server.
    trusted: list[str] = []  # noqa: RUF012
    #: Files are written under their own names.
    inplace = False

    def __init__(self, folder: Path, server: Small) -> None:
        self.local, self.remote, self.kept = folder / "local", folder / "remote", folder / "kept"
        self.server = server
        self.heard = 0
        self.kill_at: int | None = None
        self.process: subprocess.Popen[str] | None = None
        for name in ["same", "mine", "theirs", "both", "gone-here", "gone-there", "keep1", "keep2", "keep3"]:
            put(self.local / name, f"old {name}", 500)
        put(self.local / "lost-there" / "a", "old", 500)
        put(self.local / "lost-here" / "b", "old", 500)
        assert self.run().returncode == 0
        self.edit()
        for side in ("local", "remote"):
            shutil.copytree(folder / side, self.kept / side)
        self.before = [contents(self.local), contents(self.remote)]

    def edit(self) -> None:
        put(self.local / "mine", "edited here", 100)
        put(self.local / "both", "edited here and there", 100)
        put(self.local / "new-here" / "file", "new here", 100)
        put(self.local / "large", "x" * 300_000, 100)
        (self.local / "gone-here").unlink()
        shutil.rmtree(self.local / "lost-here")
        put(self.remote / "theirs", "edited there", 50)
        put(self.remote / "both", "edited there and here", 50)
        put(self.remote / "new-there" / "file", "new there", 50)
        put(self.remote / "large-there", "y" * 300_000, 50)
        (self.remote / "gone-there").unlink()
        shutil.rmtree(self.remote / "lost-there")

    def rewind(self) -> None:
        for side in (self.local, self.remote):
            for path in side.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self.kept / side.name, side, dirs_exist_ok=True)

    def before_command(self, _: str) -> None:
        """Called by the server for each command; the process does not outlive the one that is meant."""
        if self.heard == self.kill_at and self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.heard += 1

    def let_time_pass(self) -> None:
        """Lets a lock that was never finished be some minutes old: so long it counts as one."""
        # What the dead process has sent is still to be carried out.
        wait_for(self.server.is_alone, "the notice of the server that its client is gone")
        lock = self.remote / ".pyftpsync-lock.json"
        if lock.is_file() and not lock.read_text().endswith("}"):
            some_minutes_ago = time.time() - 150
            os.utime(lock, (some_minutes_ago, some_minutes_ago))

    def run(self, kill_at: int | None = None) -> subprocess.CompletedProcess[str]:
        self.heard, self.kill_at = 0, kill_at
        command = [
            sys.executable,
            "-m",
            "ftpsync",
            "sync",
            str(self.local),
            self.server.url,
            "--resolve",
            "skip",
            "--connections",
            "4",
            *self.trusted,
            *(["--inplace"] if self.inplace else []),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )
        output = self.process.communicate(timeout=60)[0]
        if kill_at is not None:
            self.let_time_pass()
        return subprocess.CompletedProcess(command, self.process.returncode, output)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    for side in ("local", "remote", "proof"):
        (tmp_path / side).mkdir()
    stages: list[Stage] = []
    proof = certificates.make(tmp_path / "proof", "127.0.0.1") if request.param else None

    def before(command: str) -> None:
        if stages:
            stages[0].before_command(command)

    with ftp_server(tmp_path / "remote", before=before, certificate=proof.both if proof else None) as server:
        made = Stage.__new__(Stage)
        stages.append(made)
        made.heard, made.kill_at, made.process = 0, None, None
        made.trusted = ["--tls-ca", str(proof.authority)] if proof else []
        made.__init__(tmp_path, server)  # type: ignore[misc]
        yield made


def test_a_run_that_is_killed_at_any_command_does_no_harm(stage: Stage) -> None:
    is_killed_at_many(stage)


@pytest.mark.parametrize("stage", [False], indirect=True, ids=["plain"])
def test_what_a_killed_run_has_begun_in_place_is_made_whole_by_the_next(stage: Stage) -> None:
    stage.inplace = True
    is_killed_at_many(stage)


def is_killed_at_many(stage: Stage) -> None:
    undisturbed = stage.run()
    assert undisturbed.returncode == 0, undisturbed.stdout
    good = [contents(stage.local), contents(stage.remote)]
    count = stage.heard
    assert count > 50
    for number in points(count, 3 if stage.trusted else 8):
        stage.rewind()
        killed = stage.run(kill_at=number)
        assert killed.returncode in (0, -signal.SIGKILL)
        now = [contents(stage.local), contents(stage.remote)]
        # In place there is a time for each file in which only its beginning is there; the next run has to see that.
        for before, is_now, after in [] if stage.inplace else zip(stage.before, now, good, strict=True):
            for name in before.keys() | is_now.keys() | after.keys():
                states = [side.get(name, "absent") for side in (before, is_now, after)]
                assert states[1] in (states[0], states[2]), (
                    f"killed at {number}: {name} is neither old nor new"
                )
        again = stage.run()
        assert again.returncode == 0, f"killed at {number}: {again.stdout}"
        assert [contents(stage.local), contents(stage.remote)] == good, f"killed at {number}: {again.stdout}"
        assert again.stdout.count("CONFLICT") == undisturbed.stdout.count("CONFLICT") == 1
        assert not [name for name in litter(stage.local) + litter(stage.remote) if "tmp" not in name]


NAMES = [f"file{number:02}" for number in range(12)]


class Batch(Stage):
    """New files on both sides, which no metadata tells until the end: all of them lie in the root."""

    def __init__(self, folder: Path, server: Small) -> None:
        self.local, self.remote, self.kept = folder / "local", folder / "remote", folder / "kept"
        self.server = server
        for name in NAMES:
            put(self.local / f"up-{name}", f"sent {name} " * 20_000, 100)
            put(self.remote / f"down-{name}", f"fetched {name} " * 20_000, 50)
        put(self.local / "sub" / "file", "in a folder", 100)
        self.before = [contents(self.local), contents(self.remote)]

    def empty_trash(self, good: Contents) -> None:
        """Removes what lost: without times, a copy that the killed run has not heard of is met for the first time."""
        for run in self.local.glob(".pyftpsync-trash/*"):
            for path in run.rglob("*"):
                assert path.is_dir() or path.read_bytes() == good[path.relative_to(run).as_posix()]
        shutil.rmtree(self.local / ".pyftpsync-trash", ignore_errors=True)

    def passed(self, since: int = 0) -> tuple[list[str], list[str]]:
        """The files that were sent, and those that were fetched, by what the server was told."""
        commands = self.server.commands[since:]
        sent = [line.rpartition("-up-")[2] for line in commands if line.startswith("STOR") and "-up-" in line]
        fetched = [
            line.rpartition("/down-")[2] for line in commands if line.startswith("RETR") and "down-" in line
        ]
        return sent, fetched


@pytest.fixture(params=[(), ("MFMT", "MDTM", "SITE UTIME")], ids=["times", "no-times"])
def batch(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Batch]:
    for side in ("local", "remote"):
        (tmp_path / side).mkdir()
    stages: list[Batch] = []
    with ftp_server(
        tmp_path / "remote", without=request.param, before=lambda command: stages[0].before_command(command)
    ) as server:
        made = Batch.__new__(Batch)
        stages.append(made)
        made.heard, made.kill_at, made.process = 0, None, None
        made.__init__(tmp_path, server)  # type: ignore[misc]
        yield made


def test_a_rerun_sends_again_only_what_was_in_flight_and_leaves_nothing_behind(batch: Batch) -> None:
    shutil.copytree(batch.local, batch.kept / "local")
    shutil.copytree(batch.remote, batch.kept / "remote")
    assert batch.run().returncode == 0
    good = [contents(batch.local), contents(batch.remote)]
    remembered = memory(batch.local)
    for number in points(batch.heard, 5)[1:]:
        batch.rewind()
        killed = batch.run(kill_at=number)
        assert killed.returncode in (0, -signal.SIGKILL)
        finished = [
            {name[3:] for name in contents(batch.remote) if name.startswith("up-")},
            {name[5:] for name in contents(batch.local) if name.startswith("down-")},
        ]
        begun = len(batch.server.commands)
        again = batch.run()
        assert again.returncode == 0, f"killed at {number}: {again.stdout}"
        batch.empty_trash(good[0])
        assert [contents(batch.local), contents(batch.remote)] == good
        assert not litter(batch.local) + litter(batch.remote), f"killed at {number}"
        for folder, names in memory(batch.local).items():
            assert names == remembered[folder], f"killed at {number}: {folder}: {names ^ remembered[folder]}"
        sent, fetched = batch.passed(begun)
        # A name is there before the answer that tells the run so: at most one file for each connection.
        assert len(finished[0] & set(sent)) + len(finished[1] & set(fetched)) <= 4, f"killed at {number}"


@pytest.mark.parametrize("batch", [("MFMT", "MDTM", "SITE UTIME")], indirect=True)
def test_row_08_remote_metadata_is_the_old_or_the_new_one_wherever_a_run_is_killed(batch: Batch) -> None:
    assert batch.run().returncode == 0
    put(batch.local / "up-file00", "edited here", 10)
    put(batch.local / "new" / "file", "new here", 10)
    for side in (batch.local, batch.remote):
        shutil.copytree(side, batch.kept / side.name)
    begun = len(batch.server.commands)
    assert batch.run().returncode == 0
    meta = ".pyftpsync-meta.json"
    numbers = [
        number
        for number, command in enumerate(batch.server.commands[begun:])
        if command.startswith(("STOR", "SIZE", "RNFR", "RNTO")) and meta in command
    ]
    good = [contents(batch.local), contents(batch.remote)]
    names = {path: json.loads(path.read_text())["mtimes"].keys() for path in batch.remote.rglob(meta)}
    assert len(names) == 3 and len(numbers) > 6
    for number in [numbers[index] for index in points(len(numbers), 4)]:
        batch.rewind()
        old = {path: json.loads(path.read_text())["mtimes"].keys() for path in batch.remote.rglob(meta)}
        assert batch.run(kill_at=number).returncode in (0, -signal.SIGKILL)
        for path in batch.remote.rglob(meta):
            held = json.loads(path.read_text())["mtimes"].keys()
            assert held in (old.get(path), names[path]), f"killed at {number}: {path}"
        again = batch.run()
        assert again.returncode == 0, f"killed at {number}: {again.stdout}"
        batch.empty_trash(good[0])
        assert [contents(batch.local), contents(batch.remote)] == good, f"killed at {number}"
        heard = len(batch.server.commands)
        assert batch.run().returncode == 0
        assert not [line for line in batch.server.commands[heard:] if "-file" in line and "STOR" in line]


def memory(root: Path) -> dict[str, set[str]]:
    """Which names the metadata remembers, by folder."""
    found = {}
    for path in root.rglob(".pyftpsync-meta.json"):
        peers = json.loads(path.read_text())["peer_sync"]
        found[str(path.parent.relative_to(root))] = {name for peer in peers.values() for name in peer}
    return found
