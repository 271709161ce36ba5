"""Any two kinds of targets, in any order, with every synchronizer."""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from places import KINDS, Files, MakePlace, Place, maker
from servers import PyFtpdLib, Unavailable
from skipping import missing
from small_servers import READ_ONLY, ftp_server

MODES: dict[str, type[Any]] = {
    "sync": BiDirSynchronizer,
    "upload": UploadSynchronizer,
    "download": DownloadSynchronizer,
}
THEN = 1.6e9
FILES = {"a.txt": b"a", "d/b b.txt": b"bb", "d/e/\u00fc.bin": b"c" * 70_000, "empty": b"", "k": b"k"}


@pytest.fixture(scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakePlace]:
    with maker(tmp_path_factory.mktemp("places")) as make:
        yield make


@pytest.fixture(params=itertools.product(KINDS, KINDS), ids="-".join)
def pair(request: pytest.FixtureRequest, make_place: MakePlace) -> tuple[Place, Place]:
    try:
        one, other = (make_place(kind) for kind in request.param)
    except Unavailable as reason:
        missing(str(reason))
    return one, other


def run(mode: str, local: Place, remote: Place, **options: Any) -> dict[str, Any]:
    """Synchronises; returns the counters."""
    synchronizer = MODES[mode](local.target(), remote.target(), {"verbose": 0, **options})
    assert synchronizer.run() is True
    stats: dict[str, Any] = synchronizer.get_stats()
    assert stats["errors"] == 0
    return stats


def changes(stats: dict[str, Any]) -> tuple[int, int]:
    return stats["files_written"], stats["files_deleted"] + stats["dirs_deleted"]


def contents(place: Place) -> dict[str, bytes]:
    return {name: content for name, (content, _) in place.files().items()}


def assert_same_times(one: Files, other: Files) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name][1] == pytest.approx(other[name][1], abs=2.01), name


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_one_way_between_any_two_kinds(mode: str, pair: tuple[Place, Place]) -> None:
    source, goal = pair if mode == "upload" else reversed(pair)
    for name, content in FILES.items():
        source.put(name, content, THEN)
    assert changes(run(mode, *pair, dry_run=True)) == (3, 0), "what is in new folders is not looked at"
    assert goal.all_files() == {} and source.litter() == [], "a dry run changes nothing"
    before = source.files()
    assert changes(run(mode, *pair)) == (5, 0)
    assert contents(goal) == FILES
    assert_same_times(before, goal.files())
    assert changes(run(mode, *pair)) == (0, 0)

    source.remove("a.txt")
    source.put("d/b b.txt", b"edited", THEN + 60)
    goal.put("orphan", b"o", THEN)
    assert changes(run(mode, *pair, delete=True)) == (1, 2)
    expected = {name: content for name, content in FILES.items() if name != "a.txt"}
    assert contents(goal) == contents(source) == {**expected, "d/b b.txt": b"edited"}
    assert changes(run(mode, *pair, delete=True)) == (0, 0)
    assert source.litter() == goal.litter() == []


def test_both_ways_between_any_two_kinds(pair: tuple[Place, Place]) -> None:
    local, remote = pair
    for name, content in FILES.items():
        local.put(name, content, THEN)
    remote.put("theirs", b"t", THEN)
    assert changes(run("sync", *pair)) == (6, 0)
    assert contents(local) == contents(remote) == {**FILES, "theirs": b"t"}
    assert_same_times(local.files(), remote.files())
    assert changes(run("sync", *pair)) == (0, 0)

    local.put("a.txt", b"edited here", THEN + 60)
    remote.put("theirs", b"edited there", THEN + 60)
    local.remove("d/b b.txt")
    remote.remove("empty")
    local.put("d/new here", b"1", THEN)
    remote.put("d/e/new there", b"2", THEN)
    assert changes(run("sync", *pair)) == (4, 2)
    expected = {
        "a.txt": b"edited here",
        "theirs": b"edited there",
        "d/e/\u00fc.bin": FILES["d/e/\u00fc.bin"],
        "k": b"k",
        "d/new here": b"1",
        "d/e/new there": b"2",
    }
    assert contents(local) == contents(remote) == expected
    assert changes(run("sync", *pair)) == (0, 0)
    assert local.litter() == remote.litter() == []


class Broken(Exception):
    """What the tests break with."""


class BreakingSource(io.BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 0:
            raise Broken
        return super().read(min(70_000, size if size is not None and size >= 0 else 70_000))


@pytest.mark.parametrize("goal_kind", KINDS)
def test_a_source_that_breaks_in_the_middle_leaves_the_old_file(
    goal_kind: str, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, goal = make_place("python"), make_place(goal_kind)
    source.put("a", b"old", THEN)
    run("upload", source, goal)
    source.put("a", b"n" * 200_000, THEN + 60)
    source.put("b", b"n" * 200_000, THEN)
    target = source.target()
    monkeypatch.setattr(target, "open_readable", lambda name: BreakingSource(b"n" * 200_000))
    with pytest.raises(Broken):
        UploadSynchronizer(target, goal.target(), {"verbose": 0}).run()
    assert contents(goal) == {"a": b"old"}
    assert goal.litter() == []
    monkeypatch.undo()
    assert changes(run("upload", source, goal)) == (2, 0)
    assert contents(goal) == contents(source)


class BreakingGoal(io.BytesIO):
    """A file that cannot be written to its end."""

    def write(self, block: Any, /) -> int:
        raise Broken


@pytest.mark.parametrize("source_kind", KINDS)
def test_a_goal_that_breaks_in_the_middle_can_be_filled_later(
    source_kind: str, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, goal = make_place(source_kind), make_place("python")
    source.put("a", b"n" * 200_000, THEN)
    target = goal.target()

    def write_file(name: str, fp_src: Any, *_: Any, **__: Any) -> None:
        fp_src.read(1000)
        raise Broken

    monkeypatch.setattr(target, "write_file", write_file)
    monkeypatch.setattr(target, "open_writable", lambda name: BreakingGoal())
    with pytest.raises(Broken):
        UploadSynchronizer(source.target(), target, {"verbose": 0}).run()
    assert goal.files() == {}
    monkeypatch.undo()
    assert changes(run("upload", source, goal)) == (1, 0)
    assert contents(goal) == contents(source)


def command(*words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ftpsync", *words, "--no-verify-host-keys"],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


LARGE = bytes(range(256)) * 4096 * 20  # 20 MiB


@pytest.mark.parametrize(
    ("one", "other"),
    [("local", "sftp"), ("sftp", "ftp"), ("ftp", "s3"), ("s3", "local")],
    ids=str,
)
def test_a_run_killed_in_the_middle_of_a_file_leaves_the_old_one(
    one: str, other: str, make_place: MakePlace
) -> None:
    source, goal = make_place(one), make_place(other)
    goal.put("large", b"old", THEN)
    source.put("large", LARGE, THEN + 60)
    # A folder of this computer is named first.
    verb, *places = ("download", goal, source) if other == "local" else ("upload", source, goal)
    words = [verb, *(place.url for place in places), "--force", "--no-verify-host-keys", "--no-prompt"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ftpsync", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while process.poll() is None and not goal.is_being_written():
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL, "it was over before it was killed"
    assert contents(goal) == {"large": b"old"}
    command(verb, *(place.url for place in places), "--force", "--no-prompt")
    assert contents(goal) == {"large": LARGE}


def test_no_copy_of_a_file_is_kept_on_this_computer(
    make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on what the process may write to any file does not matter between two servers."""
    source, goal = make_place("ftp"), make_place("sftp")
    source.put("large", LARGE, THEN)
    words = [sys.executable, "-m", "ftpsync", "upload", source.url, goal.url, "--no-verify-host-keys"]
    limited = f"ulimit -f 64; exec {shlex.join(words)}"
    subprocess.run(["sh", "-c", limited], check=True, capture_output=True, timeout=60, cwd=tmp_path)
    assert contents(goal) == {"large": LARGE}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("connections", [2, 3])
def test_both_sides_share_the_few_connections_of_one_server(connections: int, tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / "one" / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "other").mkdir()
    with PyFtpdLib(connections=connections).start(tmp_path) as server:
        told = command("upload", f"{server.url}one", f"{server.url}other")
    assert "Wrote 30/0 files" in told and "errors: 0" in told
    assert len(list((tmp_path / "other").rglob("f*"))) == 30


@pytest.mark.parametrize("held", ["local", "remote"])
def test_a_lock_on_either_server_stops_a_run_that_changes_it(held: str, make_place: MakePlace) -> None:
    places = {"local": make_place("sftp"), "remote": make_place("ftp")}
    places["local"].put("a", b"a", THEN)
    lock = {"lock_time": time.time(), "lock_holder": {"host": "elsewhere", "pid": 1}}
    places[held].put(".pyftpsync-lock.json", json.dumps(lock).encode(), time.time())
    with pytest.raises(RuntimeError, match="lock"):
        run("sync", places["local"], places["remote"])
    free = "remote" if held == "local" else "local"
    assert places[free].litter() == [] and places["remote"].files() == {}
    if held == "local":
        run("upload", places["local"], places["remote"])  # It only reads there.
        assert contents(places["remote"]) == {"a": b"a"}


def test_a_source_that_may_only_be_read_is_copied(make_place: MakePlace, tmp_path: Path) -> None:
    source, goal = tmp_path / "source", make_place("sftp")
    (source / "d").mkdir(parents=True)
    (source / "a").write_text("a")
    (source / "d" / "b").write_text("b")
    with ftp_server(source, rights=READ_ONLY) as server:
        told = command("upload", server.url, goal.url)
        assert told.count("Nothing is remembered on the side that is only read") == 1
        assert contents(goal) == {"a": b"a", "d/b": b"b"}
        assert "Wrote 0/2 files" in command("upload", server.url, goal.url)


class TestCommandLine:
    """`pyftpsync` with any two places."""

    def test_a_server_is_synchronised_with_another(self, make_place: MakePlace) -> None:
        one, other = make_place("sftp"), make_place("s3")
        one.put("d/a", b"a", THEN)
        told = command("sync", one.url, other.url)
        assert f"Synchronize sftp://127.0.0.1{one.folder}" in told and "COPY UNMODIFIED   >  [d]" in told
        assert "s3cret" not in told
        assert contents(other) == {"d/a": b"a"}

    def test_a_folder_is_copied_into_one_that_is_made(self, make_place: MakePlace, tmp_path: Path) -> None:
        source, goal = make_place("local"), tmp_path / "new" / "folder"
        source.put("a", b"a", THEN)
        assert "is not a directory" in command("upload", source.url, str(goal), code=1)
        for verb in ("upload", "sync"):
            told = command(verb, source.url, str(goal), "--create-folder", "--dry-run")
            assert f"{goal}: this folder is not there; it would be created" in told
            assert "Wrote 1/1 files" in told and f"to {goal}" in told.replace("with", "to"), told
        assert not goal.parent.exists()
        command("upload", source.url, str(goal), "--create-folder")
        assert (goal / "a").read_bytes() == b"a"

    @pytest.mark.parametrize("kind", ["ftp", "sftp", "s3"])
    def test_a_dry_run_shows_what_would_be_in_a_folder_that_is_not_there(
        self, kind: str, make_place: MakePlace
    ) -> None:
        source, goal = make_place("local"), make_place(kind)
        source.put("a", b"a", THEN)
        goal.put("b", b"b", THEN)
        before = goal.all_files()
        place, mark, query = goal.url.partition("?")
        url = f"{place}/new/folder{mark}{query}"
        assert "--create-folder" in command("upload", source.url, url, "--dry-run", code=1)
        for verb in ("upload", "sync"):
            told = command(verb, source.url, url, "--create-folder", "--dry-run")
            assert "it would be created" in told and "Wrote 1/1 files" in told, told
            assert re.search(r"^\(DRY-RUN\) COPY \w+ +>  a$", told, re.MULTILINE), told
        assert goal.all_files() == before and source.all_files().keys() == {"a"}

    def test_folders_of_one_server_are_different_places(self, make_place: MakePlace) -> None:
        one, other = make_place("ftp"), make_place("ftp")
        one.put("a", b"a", THEN)
        command("upload", one.url, f"{other.url}/new/folder", "--create-folder")
        assert contents(other) == {"new/folder/a": b"a"}

    def test_a_missing_server_folder_on_the_local_side_is_made_too(self, make_place: MakePlace) -> None:
        one, other = make_place("ftp"), make_place("sftp")
        other.put("a", b"a", THEN)
        command("sync", f"{one.url}/new", other.url, "--create-folder")
        assert contents(one) == {"new/a": b"a"}
        assert "Could not change" in command(
            "upload", f"{one.url}/newer", other.url, "--create-folder", code=1
        )

    def test_folders_are_compared_by_content_and_without_memory(self, make_place: MakePlace) -> None:
        one, other = make_place("local"), make_place("local")
        one.put("a", b"a", THEN)
        other.put("a", b"a", THEN + 60)
        told = command("upload", one.url, other.url, "--checksum", "--stateless")
        assert "SET TIME          >  a" in told and "Wrote 0/1 files" in told
        assert one.all_files() == other.all_files() == {"a": (b"a", THEN)}
        assert "invalid option stateless" in command("sync", one.url, other.url, "--stateless", code=2)

    def test_a_task_may_name_two_servers(
        self, make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = make_place("ftp"), make_place("sftp")
        one.put("a", b"a", THEN)
        task = {"command": "upload", "local": one.url, "remote": other.url, "no_verify_host_keys": True}
        (tmp_path / "pyftpsync.yaml").write_text(json.dumps({"default_task": "t", "tasks": {"t": task}}))
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path)
        command("run")
        assert contents(other) == {"a": b"a"}
        monkeypatch.chdir(tmp_path / "sub")
        told = command("run", "--here", code=2)
        assert "the local side of the task is no folder of this computer" in told and "s3cret" not in told


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "python"])
def test_a_place_is_not_synchronised_with_itself(kind: str, make_place: MakePlace) -> None:
    place = make_place(kind)
    place.put("d/a", b"a", THEN)
    with pytest.raises(ValueError, match="the same folder"):
        run("sync", place, place)
    inner = place.inner("d")
    with pytest.raises(ValueError, match="one side is inside the other"):
        run("sync", place, inner)
    with pytest.raises(ValueError, match="one side is inside the other"):
        run("upload", inner, place)
    assert place.all_files().keys() == {"d/a"}
    run("upload", place, inner, exclude="d")
    assert contents(place) == {"d/a": b"a"}
