"""The same folder and server, synchronised in turn by 4.1, ours and 3.1, with edits in between.

What counts: after each run both sides are what a person expects, nobody sees a conflict where there is none,
and everybody can read the records that the others leave.

Two things limit what is edited when. The reference does not write the record of a folder whose last change
is a removal on the server (D5), so it is never made to remove something on the server where something else
happens. And ours does not delete on the word of a foreign record alone: a file that only the previous run
of another implementation knows may outlive its removal, on the one side where it still is, until the next
run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from environments import Environment
from running import PASSWORD, RESERVED, USER, contents, ftp_server, run_python

TURNS = ("4.1", "ours", "3.1", "ours", "4.1", "3.1", "ours", "ours", "4.1")
ANCHORS = 12


@dataclass
class Place:
    """A local folder, the folder of a server, and what both should hold."""

    local: Path
    remote: Path
    home: Path
    port: int
    expected: dict[str, bytes] = field(default_factory=dict)
    #: Removed from one side while only the reference had a record: path -> the side that still has it.
    undecided: dict[str, Path] = field(default_factory=dict)

    def write(self, side: Path, path: str, body: str, mtime: float) -> None:
        full = side / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(body)
        os.utime(full, (mtime, mtime))
        self.expected[path] = body.encode()

    def remove(self, side: Path, path: str, undecided: bool = False) -> None:
        (side / path).unlink()
        del self.expected[path]
        if undecided:
            self.undecided[path] = self.remote if side is self.local else self.local

    def sync(self, environment: Environment) -> str:
        """Runs the command line program and returns all that it printed."""
        url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/site"
        quiet = ["--no-prompt", "--no-keyring", "--no-netrc", "--no-color"]
        args = ["-m", "ftpsync.pyftpsync", "sync", str(self.local), url, "--resolve", "skip", *quiet]
        ran = run_python(environment, args, self.home)
        said = f"{environment.name}:\n{ran.stdout}\n{ran.stderr}"
        assert ran.returncode == 0, said
        return said


@pytest.fixture
def turns(ours: Environment, reference_41: Environment, reference_31: Environment) -> dict[str, Environment]:
    return {"ours": ours, "4.1": reference_41, "3.1": reference_31}


@pytest.fixture(params=["sets times", "keeps times in its meta file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, reference_41: Environment) -> Iterator[Place]:
    served = tmp_path / "served"
    (served / "site").mkdir(parents=True)
    (tmp_path / "local").mkdir()
    options = [] if request.param == "sets times" else ["--no-mfmt"]
    with ftp_server(reference_41, served, *options) as port:
        yield Place(tmp_path / "local", served / "site", tmp_path / "home", port)


def test_taking_turns(place: Place, turns: dict[str, Environment]) -> None:
    start = time.time() - 100_000
    for number in range(ANCHORS):
        for folder in ("", "sub/"):
            place.write(place.local, f"{folder}anchor{number}", f"anchor {number}", start)
        place.write(place.local, f"gone/{number}", "to go", start)
    place.write(place.local, "edited-here", "0", start)
    place.write(place.remote, "edited-there", "0", start)
    for number, who in enumerate(TURNS):
        edit(place, number)
        said = place.sync(turns[who])
        check(place, who, said)
    for who in ("ours", "4.1", "3.1", "ours"):
        before = contents(place.local), contents(place.remote)
        said = place.sync(turns[who])
        check(place, who, said)
        assert (contents(place.local), contents(place.remote)) == before, said
        assert "Wrote 0/" in said, said


def edit(place: Place, turn: int) -> None:
    """The changes before a turn: new files, edits and removals on both sides."""
    mine = TURNS[turn] == "ours"
    then = time.time() - 50_000 + 1000 * turn
    later = time.time() + 1000 * (turn + 1)
    place.write(place.local, "edited-here", f"here {turn}", then)
    # A server that does not set times is believed to have changed a file when it tells a later time.
    place.write(place.remote, "edited-there", f"there {turn}", later)
    for folder in ("", "sub/", f"new{turn}/"):
        for name in ("a", "b", "c"):
            place.write(place.local, f"{folder}local-{name}{turn}", f"local {name} {turn}", then)
            place.write(place.remote, f"{folder}remote-{name}{turn}", f"remote {name} {turn}", later)
    for age, name in ((1, "a"), (2, "b")):
        if turn < age:
            continue
        # Of what was made since the last turn of ours only the reference has a record.
        unknown = mine and "ours" not in TURNS[turn - age : turn]
        for folder in ("", "sub/"):
            place.remove(place.remote, f"{folder}local-{name}{turn - age}", unknown)
            if mine and (not unknown or TURNS[turn + 1] == "ours"):
                place.remove(place.local, f"{folder}remote-{name}{turn - age}", unknown)
    if turn >= 1:
        place.remove(place.local, f"gone/{turn}", mine and "ours" not in TURNS[:turn])


def check(place: Place, who: str, said: str) -> None:
    assert "CONFLICT" not in said, said
    local, remote = contents(place.local), contents(place.remote)
    for path, side in place.undecided.items():
        # Ours may wait with the deletion, but the side that lost the file must not get it back.
        if who == "ours":
            (local if side is place.local else remote).pop(path, None)
    place.undecided.clear()
    assert local == place.expected, f"local side after {said}"
    assert remote == place.expected, f"remote side after {said}"
    assert not list(place.remote.rglob(RESERVED[1])), f"a lock file is left after {said}"
    for side in (place.local, place.remote):
        for meta in side.rglob(RESERVED[0]):
            assert json.loads(meta.read_text(encoding="utf-8"))["_file_version"] == 3, meta


def test_a_foreign_record_alone_deletes_nothing_but_the_next_run_does(
    place: Place, turns: dict[str, Environment]
) -> None:
    """What only 4.1 remembers is not deleted by our first run; our second has a record of its own."""
    start = time.time() - 1000
    for name in ("keep", "other", "third", "gone-here", "gone-there"):
        place.write(place.local, name, name, start)
    place.sync(turns["4.1"])
    place.remove(place.local, "gone-here")
    place.remove(place.remote, "gone-there")
    first = place.sync(turns["ours"])
    assert "CONFLICT" not in first, first
    assert not (place.local / "gone-here").exists(), f"what was removed came back: {first}"
    assert not (place.remote / "gone-there").exists(), f"what was removed came back: {first}"
    assert (place.remote / "gone-here").exists(), f"deleted on the word of a foreign record: {first}"
    assert (place.local / "gone-there").exists(), f"deleted on the word of a foreign record: {first}"
    assert "gone-here" in first and "gone-there" in first, f"nothing is said of what waits: {first}"
    assert first.count("The next run can tell.") == 1, f"nobody says why it waits: {first}"
    second = place.sync(turns["ours"])
    assert contents(place.local) == contents(place.remote) == place.expected, second


def test_each_reads_the_times_that_another_left_on_the_server(
    place: Place, turns: dict[str, Environment]
) -> None:
    """A second run by another implementation, without a record of its own, finds nothing to do."""
    old = time.time() - 500_000
    for first, second in (("4.1", "ours"), ("ours", "4.1"), ("3.1", "ours"), ("ours", "3.1")):
        place.write(place.local, f"{first} before {second}", "x", old)
        place.sync(turns[first])
        for meta in place.local.rglob(RESERVED[0]):
            meta.unlink()
        said = place.sync(turns[second])
        assert "Wrote 0/" in said, said
        assert contents(place.local) == contents(place.remote) == place.expected, said
