"""Names that a target folds into one, that are no text, that are too long, and that would steer a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import servers
from rough import Sides, contents
from server_worlds import make_world
from servers import Kind
from servers.base import StartServer
from small_servers import ftp_server

TWINS = {"case": ("A.txt", "a.txt"), "unicode": ("\u00e4.txt", "a\u0308.txt")}
FOLDS = {"case": str.lower, "unicode": lambda name: unicodedata.normalize("NFC", name)}


@pytest.mark.parametrize("verb", ["upload", "sync"])
@pytest.mark.parametrize("what", ["case", "unicode"])
def test_rows_37_and_38_twins_on_a_server_that_takes_them_for_one_are_told_and_not_overwritten(
    sides: Sides, what: str, verb: str
) -> None:
    one, other = TWINS[what]
    (sides.local / one).write_text("one")
    (sides.local / other).write_text("the other")
    bodies = {one: b"one", other: b"the other", "mine": b"mine"}
    with ftp_server(sides.remote, folds=FOLDS[what]) as server:
        for options in ((), ("--case", "strict")):
            done = sides.run(verb, server.url, "--connections", "4", *options)
            told = done.stdout + done.stderr
            assert done.returncode == 1, told
            assert one in told or other in told, told
            assert "Traceback" not in told
            assert {name: body for name, body in contents(sides.local).items() if name != "theirs"} == bodies
            for name, body in contents(sides.remote).items():
                assert name == "theirs" or body == bodies[name], "one of them, whole, under its own name"
        first = [path.read_bytes() for path in sides.remote.glob("*.txt")]
        assert len(first) <= 1
        # However often it is tried, nothing is exchanged for its twin.
        for _ in range(2):
            sides.run(verb, server.url, "--case", "strict", "--connections", "1")
        assert [path.read_bytes() for path in sides.remote.glob("*.txt")] == first
        assert {name: body for name, body in contents(sides.local).items() if name != "theirs"} == bodies


def test_row_37_names_that_differ_in_case_are_a_conflict_that_overwrites_neither(sides: Sides) -> None:
    (sides.local / "A.txt").write_text("here")
    (sides.remote / "a.txt").write_text("there, and longer")
    with ftp_server(sides.remote) as server:
        done = sides.run("sync", server.url)
    assert done.returncode == 1 and "A.txt" in done.stderr and "a.txt" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert contents(sides.local)["A.txt"] == b"here"
    assert contents(sides.remote)["a.txt"] == b"there, and longer"


@pytest.mark.parametrize("kind", servers.EVERY, ids=lambda kind: kind.name)
def test_row_38_two_forms_of_a_name_are_two_files(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    composed, decomposed = TWINS["unicode"]
    (world.local / composed).write_text("composed")
    (world.local / decomposed).write_text("decomposed")
    (world.remote / "e\u0301").write_text("theirs")
    (world.local / "\u00e9").write_text("mine")
    for _ in range(2):
        world.run("sync")
        expected = {composed: b"composed", decomposed: b"decomposed", "e\u0301": b"theirs", "\u00e9": b"mine"}
        assert contents(world.local) == contents(world.remote) == expected


@pytest.mark.parametrize("kind", servers.EVERY, ids=lambda kind: kind.name)
def test_row_39_a_local_name_that_is_no_text_arrives_with_its_bytes_or_is_told(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    name = b"caf\xe9 \xff"
    (world.local / os.fsdecode(name)).write_text("content")
    (world.local / "fine").write_text("fine")
    done = world.run("sync", code=None)
    assert "Traceback" not in done.err
    there = {
        path: (world.remote / os.fsdecode(path)).read_bytes()
        for path in os.listdir(os.fsencode(world.remote))
    }
    there = {path: body for path, body in there.items() if not path.startswith(b".pyftpsync")}
    assert there[b"fine"] == b"fine"
    if done.code == 0:
        assert there == {b"fine": b"fine", name: b"content"}, done
    else:
        assert there == {b"fine": b"fine"} and "caf" in done.err, done
    again = world.run("sync", code=done.code)
    assert "caf" in again.err or done.code == 0
    assert (world.local / os.fsdecode(name)).read_text() == "content"
    assert len(contents(world.local)) == 2, "it does not come back under another name"


@pytest.mark.parametrize("kind", servers.EVERY, ids=lambda kind: kind.name)
def test_row_42_names_as_long_as_they_may_be_go_there_and_back(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    longest = {"up" + "x" * 249 + ".txt": b"up", "\u00e4" * 127: b"umlauts", "z" * 255: b"y" * 2_000_000}
    for name, body in longest.items():
        (world.local / name).write_bytes(body)
    (world.remote / ("d" * 255)).write_text("down")
    world.run("sync")
    assert contents(world.local) == contents(world.remote) == {**longest, "d" * 255: b"down"}
    for side in (world.local, world.remote):
        (side / ("z" * 255)).write_bytes(b"edited" * 500_000 if side is world.local else b"y" * 2_000_000)
    world.run("upload", "--force")
    assert contents(world.remote)["z" * 255] == b"edited" * 500_000


def test_row_42_what_lies_deeper_than_a_path_may_be_long_is_copied_or_told(sides: Sides) -> None:
    step = "n" * 200
    handle = os.open(sides.local, os.O_RDONLY)
    for _ in range(25):
        os.mkdir(step, dir_fd=handle)
        deeper = os.open(step, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    file = os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=handle)
    os.write(file, b"deep")
    os.close(file)
    with ftp_server(sides.remote) as server:
        done = sides.run("upload", server.url)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode == 1 and step in told, told[-500:]
    assert (sides.remote / "mine").read_text() == "mine", "the others go on"
    assert os.stat("deep", dir_fd=handle).st_size == 4
    os.close(handle)


def on_a_terminal(command: list[str]) -> bytes:
    """What a program writes when a person looks at it."""
    main, other = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=other, stderr=other):
        os.close(other)
        shown = b""
        while select.select([main], [], [], 30)[0]:
            try:
                piece = os.read(main, 65536)
            except OSError:  # the end of a terminal
                break
            if not piece:
                break
            shown += piece
    os.close(main)
    return shown


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def test_row_96_escape_sequences_in_names_and_replies_reach_no_terminal(sides: Sides) -> None:
    (sides.local / f"up{EVIL}").write_text("x")
    (sides.local / f"refused{EVIL}").write_text("x")
    (sides.remote / f"down{EVIL}").write_text("x")
    (sides.remote / f"folder{EVIL}").mkdir()
    (sides.remote / f"folder{EVIL}" / "file").write_text("x")
    with ftp_server(sides.remote, refuses={"RNTO": f"551 no {EVIL}"}) as server:
        for verb, *options in (
            ["sync", "-vvvv"],
            ["sync", "-v"],
            ["upload", "--progress"],
            ["tree", "--files"],
        ):
            if verb == "tree":
                command = [sys.executable, "-m", "ftpsync", "tree", *options, str(sides.local)]
            else:
                command = sides.command(verb, server.url, *options)
            shown = on_a_terminal(command)
            assert b"up" in shown
            for raw in (b"\x1b]", b"\x07", b"\x1b[2J", "\x9b".encode(), b"owned\x07"):
                assert raw not in shown, (verb, options, shown)
            assert b"033" in shown or b"x1b" in shown or b"^[" in shown, shown


@pytest.mark.parametrize("url", ["{url}", "{url}missing/", "ftp://joe:wrong@127.0.0.1:{port}/"])
def test_row_96_whatever_the_server_says_steers_no_terminal(sides: Sides, url: str) -> None:
    (sides.remote / f"down{EVIL}").write_text("x")
    with ftp_server(sides.remote, adds=f" {EVIL}") as server:
        place = url.format(url=server.url, port=server.port)
        commands = [
            sides.command("sync", place, "-vvvvv", "--no-prompt"),
            sides.command("sync", place),
            *(
                [sys.executable, "-m", "ftpsync", word, place, "--no-prompt"]
                for word in ("doctor", "scan", "tree")
            ),
        ]
        told = [on_a_terminal(command) for command in (commands if url == "{url}" else commands[:3])]
        assert any(b"owned" in shown for shown in told), "nothing of what the server says is shown"
        for command, shown in zip(commands, told, strict=False):
            assert len(shown) > 20
            for raw in (b"\x1b]", b"\x07", b"\x1b[2J", "\x9b".encode(), b"owned\x07"):
                assert raw not in shown, (command, shown)
