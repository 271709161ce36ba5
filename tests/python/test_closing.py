"""The end of a run lists what the user has to look at, and nothing where there is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from folders import put
from ftpsync._closing import Closing
from small_servers import ftp_server


class World:
    """Two folders, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.local, self.remote = folder / "local", folder / "remote"
        self.local.mkdir()
        self.remote.mkdir()
        self.said = ""

    def run(
        self, *options: str, command: str = "sync", remote: str | None = None
    ) -> tuple[list[str], list[str]]:
        """What was said: the lines behind the statistics, and those of standard error."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ftpsync", command, str(self.local), remote or str(self.remote)),
                *("--resolve", "skip", *options),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        self.said = done.stdout
        lines = done.stdout.splitlines()
        end = next((index for index, line in enumerate(lines) if line.startswith("Wrote ")), len(lines) - 1)
        return lines[end + 1 :], done.stderr.splitlines()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_without_problems_ends_with_its_statistics(world: World) -> None:
    put(world.local / "a", "a")
    assert world.run() == ([], [])


@pytest.mark.parametrize(("command", "advice"), [("upload", "local"), ("download", "remote")])
def test_a_one_way_run_recommends_only_what_it_accepts(world: World, command: str, advice: str) -> None:
    put(world.local / "both", "old", 500)
    put(world.local / "other", "other", 500)
    world.run()
    put(world.local / "both", "edited here", 100)
    put(world.remote / "both", "edited there, too", 50)
    told, _ = world.run(command=command)
    assert told[0].startswith(f"1 conflict left alone; --resolve {advice} ") and told[1:] == ["  both"]
    assert world.run("--resolve", advice, command=command) == ([], [])


def test_conflicts_are_listed_with_what_to_do(world: World) -> None:
    put(world.local / "d/both", "old", 500)
    put(world.local / "other", "other", 500)
    world.run()
    put(world.local / "d/both", "edited here", 100)
    put(world.remote / "d/both", "edited there, too", 50)
    told, errors = world.run()
    assert told[0].startswith("1 conflict left alone; decide with --resolve ") and told[1:] == ["  d/both"]
    assert not errors
    assert world.run("-q") == ([], []), "who wants it quieter is told by the exit code"


def test_no_file_is_called_newer_that_is_not_newer_by_what_decides(world: World) -> None:
    put(world.local / "both", "old", 500)
    world.run()
    put(world.local / "both", "edited here", 100)
    os.utime(world.local / "both", (1.6e9, 1.6e9))
    put(world.remote / "both", "edited there, too")
    os.utime(world.remote / "both", (1.6e9 + 1.5, 1.6e9 + 1.5))
    world.run("--resolve", "new", "-v")
    assert "Cannot resolve using 'new' strategy" in world.said
    assert "bytes (larger)" in world.said


def test_no_file_is_called_newer_where_the_server_shows_days_only(world: World) -> None:
    put(world.local / "both", "here")
    put(world.remote / "both", "there, too", age=-9000)
    with ftp_server(world.remote, without=("MLSD", "MLST", "MDTM", "MFMT")) as server:
        world.run("--resolve", "new", "-v", "--no-keyring", remote=server.url)
    assert "Cannot resolve using 'new' strategy" in world.said
    assert "bytes (larger)" in world.said


def test_problems_are_listed_with_their_paths_at_every_verbosity(world: World) -> None:
    put(world.local / "clash", "a file")
    (world.remote / "clash").mkdir()
    put(world.local / "b", "b")
    for quiet in ([], ["-q"], ["-qqq"]):
        _, errors = world.run(*quiet)
        at = errors.index("1 problem in this run:")
        assert "clash" in errors[at + 1] and errors[at + 1].startswith("  ") and len(errors) == at + 2


def test_what_lost_at_the_first_contact_is_said_to_be_in_the_trash(world: World) -> None:
    put(world.local / "d/a", "newer", 10)
    put(world.remote / "d/a", "older", 500)
    told, _ = world.run()
    assert told[0].startswith("1 older file gave way")
    assert (world.local / told[1].strip()).read_text() == "older"


def test_a_dry_run_does_not_say_that_something_is_in_the_trash(world: World) -> None:
    put(world.local / "d/a", "newer", 10)
    put(world.remote / "d/a", "older", 500)
    world.run("-n")
    *_, told, place = world.said.splitlines()
    assert told.startswith("(DRY-RUN) 1 older file would give way") and " would be kept " in told
    assert place.endswith("/d/a") and not (world.local / place.strip()).exists()


def test_a_backup_that_lies_in_the_trash_is_no_file_that_gave_way_at_the_first_contact(world: World) -> None:
    backup = [".pyftpsync-trash/b", "--delete"]
    put(world.local / "a", "old", 500)
    put(world.local / "b", "other", 500)
    assert world.run("--backup-dir", *backup, command="upload") == ([], [])
    put(world.local / "a", "new", 10)
    assert world.run("--backup-dir", *backup, command="upload") == ([], [])
    (kept,) = (world.remote / ".pyftpsync-trash" / "b").glob("*/a")
    assert kept.read_text() == "old" and not (world.local / ".pyftpsync-trash").exists()


def test_many_of_a_kind_are_not_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    closing = Closing("sync")
    for number in range(77):
        closing.problems.add(f"file {number}")
    lines: list[str] = []
    monkeypatch.setattr("ftpsync._closing.write_error", lines.append)
    closing.tell(0)
    assert lines[0] == "77 problems in this run:" and lines[1] == "  file 0"
    assert lines[-1] == "  and 37 more, see above" and len(lines) == 42


def test_a_folder_that_lies_too_deep_is_named_and_the_rest_is_done(world: World) -> None:
    put(world.local / "a/b/c/f", "deep")
    put(world.local / "a/b/g", "less deep")
    for _ in range(2):
        said = "\n".join(line for lines in world.run("--max-depth", "2", command="upload") for line in lines)
        assert '"a/b/c": more than 2 folders within folders (--max-depth)' in said
        assert (world.remote / "a/b/g").exists() and not (world.remote / "a/b/c/f").exists()
    assert world.run(command="upload") == ([], [])
    assert (world.remote / "a/b/c/f").read_text() == "deep"
