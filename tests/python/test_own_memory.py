"""What a folder remembers goes where the folder goes: it must not be taken for the memory of another one."""

from __future__ import annotations

import ftplib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from folders import put, texts
from ftpsync.metadata import DirMetadata
from ftpsync.resources import EntryPair
from ftpsync.synchronizers import BiDirSynchronizer, UploadSynchronizer
from small_servers import ftp_server
from test_reliability import run

Sides = tuple[Path, Path]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    for number in range(20):
        put(tmp_path / "local" / "other" / str(number), "x")
    return tmp_path / "local", tmp_path / "remote"


@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
def test_a_folder_that_takes_the_name_of_another_one_keeps_what_is_in_it(
    sides: Sides, kind: type[BiDirSynchronizer]
) -> None:
    local, remote = sides
    for number in range(4):
        put(local / "a" / f"old {number}", "old")
        put(local / "b" / f"new {number}", "new")
    run(kind, local, str(remote))
    shutil.rmtree(local / "a")
    (local / "b").rename(local / "a")
    for _ in range(2):
        run(kind, local, str(remote), delete=True)
        for side in sides:
            held = texts(side)
            assert {held.get(f"a/new {number}") for number in range(4)} == {"new"}
            assert not any(name.startswith("b/") for name in held)


def test_files_of_the_same_names_are_not_judged_by_the_memory_of_another_folder(sides: Sides) -> None:
    local, remote = sides
    put(local / "a" / "index.html", "the page of a")
    put(local / "b" / "index.html", "b's")
    run(BiDirSynchronizer, local, str(remote))
    shutil.rmtree(local / "a")
    (local / "b").rename(local / "a")
    run(BiDirSynchronizer, local, str(remote), resolve="skip")
    assert (local / "a" / "index.html").read_text() == "b's"


def test_files_that_come_back_with_their_folder_from_a_backup_stay(sides: Sides) -> None:
    local, remote = sides
    for number in range(6):
        put(local / "d" / str(number), "photo")
    run(BiDirSynchronizer, local, str(remote))
    shutil.copytree(local / "d", local.parent / "backup")
    for number in range(3):
        (local / "d" / str(number)).unlink()
    run(BiDirSynchronizer, local, str(remote))
    assert not (remote / "d" / "0").exists()
    shutil.rmtree(local / "d")
    shutil.copytree(local.parent / "backup", local / "d")
    run(BiDirSynchronizer, local, str(remote))
    for side in sides:
        assert {f"d/{number}" for number in range(6)} <= texts(side).keys()


@pytest.mark.parametrize("name", ["a real folder", "the real folder", "real"])
@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
def test_a_link_to_a_folder_of_the_tree_has_a_memory_of_its_own(
    sides: Sides, kind: type[BiDirSynchronizer], name: str
) -> None:
    local, remote = sides
    put(local / name / "a", "old")
    put(local / name / "gone later", "x")
    (local / "link").symlink_to(name)
    run(kind, local, str(remote))
    put(local / name / "a", "edited", -100)
    put(local / name / "new", "new")
    for copied in (4, 0):
        stats = run(kind, local, str(remote)).get_stats()
        assert stats["files_written"] == copied
        for folder in (local / name, remote / name, remote / "link"):
            assert texts(folder) == {"a": "edited", "gone later": "x", "new": "new"}
    (local / name / "gone later").unlink()
    run(kind, local, str(remote), delete=True)
    for folder in (local / name, remote / name, remote / "link"):
        assert texts(folder) == {"a": "edited", "new": "new"}


def test_an_edit_behind_a_link_of_the_same_size_within_two_seconds_is_seen(sides: Sides) -> None:
    local, remote = sides
    put(local / "real" / "a", "old")
    (local / "link").symlink_to("real")
    run(BiDirSynchronizer, local, str(remote))
    put(local / "real" / "a", "new", -1)
    for copied in (2, 0):
        assert run(BiDirSynchronizer, local, str(remote)).get_stats()["files_written"] == copied
        assert [(remote / folder / "a").read_text() for folder in ("real", "link")] == ["new", "new"]


def cut(
    sides: Sides, is_enough: Callable[[], bool], *options: str, by: signal.Signals = signal.SIGINT
) -> None:
    """Ends a run in the middle, as Ctrl+C does or harder, as soon as something can be seen."""
    local, remote = sides
    process = subprocess.Popen(
        [sys.executable, "-m", "ftpsync", "sync", str(local), str(remote), "--no-prompt", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not is_enough():
        time.sleep(0.001)
    process.send_signal(by)
    assert process.wait(30) == (3 if by == signal.SIGINT else -by), "the run was over before it was cut"


@pytest.mark.parametrize("was_there_before", [False, True])
def test_a_folder_that_was_fetched_in_part_and_then_removed_takes_nothing_else_with_it(
    sides: Sides, was_there_before: bool
) -> None:
    local, remote = sides
    if not was_there_before:
        shutil.rmtree(local / "other")
        put(local / "other", "x")
    films = [remote / "d" / f"film {number}" for number in range(12)]

    def shoot() -> None:
        for film in films:
            put(film, "")
            # Holes cost nothing on the disk, and time when they are copied.
            os.truncate(film, 150_000_000)
            os.utime(film, (1.6e9, 1.6e9))

    if was_there_before:
        shoot()
    run(BiDirSynchronizer, local, str(remote))
    if was_there_before:
        for side in sides:
            shutil.rmtree(side / "d")
        run(BiDirSynchronizer, local, str(remote))
    shoot()
    cut(sides, lambda: any(local.glob("d/film*")))
    fetched = {path.name for path in local.glob("d/film*")}
    shutil.rmtree(local / "d")
    run(BiDirSynchronizer, local, str(remote), resolve="skip", allow_mass_delete=True)
    assert {film.name for film in films if film.exists()} >= {film.name for film in films} - fetched


def test_files_put_back_after_their_deletion_was_interrupted_stay(sides: Sides) -> None:
    local, remote = sides
    for number in range(10_000):
        put(local / "d" / f"photo {number}", "x")
    run(BiDirSynchronizer, local, str(remote))
    trash = local.parent / "trash"
    trash.mkdir()
    for number in range(4_500):
        (local / "d" / f"photo {number}").rename(trash / f"photo {number}")
    # To list the folder takes longer than to delete a part of it.
    some = [remote / "d" / f"photo {number}" for number in range(0, 4_500, 90)]
    cut(sides, lambda: sum(not path.exists() for path in some) > 12)
    assert len(list((remote / "d").glob("photo*"))) < 9_500
    for path in trash.iterdir():
        path.rename(local / "d" / path.name)
    run(BiDirSynchronizer, local, str(remote))
    for side in sides:
        assert len(list((side / "d").glob("photo*"))) == 10_000


def test_files_put_back_where_an_interrupted_run_has_deleted_them_stay(sides: Sides) -> None:
    local, remote = sides
    for number in range(10_000):
        put(local / "d" / f"photo {number}", "x")
    run(BiDirSynchronizer, local, str(remote))
    backup = local.parent / "backup"
    shutil.copytree(remote / "d", backup)
    for number in range(4_500):
        (local / "d" / f"photo {number}").unlink()
    # To list the folder takes longer than to delete a part of it.
    some = [remote / "d" / f"photo {number}" for number in range(0, 4_500, 90)]
    cut(sides, lambda: sum(not path.exists() for path in some) > 12, by=signal.SIGKILL)
    deleted = [path for path in backup.glob("photo*") if not (remote / "d" / path.name).exists()]
    assert 500 < len(deleted) < 4_500
    for path in deleted:
        shutil.copy2(path, remote / "d" / path.name)
    run(BiDirSynchronizer, local, str(remote), allow_mass_delete=True)
    for side in sides:
        assert {path.name for path in deleted} <= {path.name for path in (side / "d").iterdir()}
        assert len(list((side / "d").glob("photo*"))) == 5_500 + len(deleted)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(("verb", "number"), [("DELE", 3), ("DELE", 8), ("RMD", 1), ("RMD", 2)])
def test_a_folder_put_back_after_its_deletion_on_a_server_was_cut_off_stays(
    sides: Sides, verb: str, number: int, by: signal.Signals
) -> None:
    local, remote = sides
    for name in ("d", "d/e"):
        for file in range(4):
            put(local / name / str(file), "photo")
    running: list[subprocess.Popen[bytes]] = []
    heard: list[str] = []

    def cut_off(command: str) -> None:
        heard.append(command.split()[0])
        if running and heard.count(verb) == number:
            # The server carries the command out, and nobody hears of it.
            process = running.pop()
            process.send_signal(by)
            process.wait(30)

    with ftp_server(remote, before=cut_off) as server:
        command = [sys.executable, "-m", "ftpsync", "sync", str(local), server.url, "--no-prompt"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.copytree(local / "d", local.parent / "backup")
        shutil.rmtree(local / "d")
        heard.clear()
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        running[0].wait(60)
        assert not running, "the run was over before it was cut"
        shutil.copytree(local.parent / "backup", local / "d")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for side in sides:
        assert sum(name.startswith("d/") for name in texts(side)) == 8


def test_a_file_put_back_into_a_folder_that_stays_for_a_conflict_stays(sides: Sides) -> None:
    local, remote = sides
    for name in ("moved", "edited", "third"):
        put(local / "d" / name, name)
    run(BiDirSynchronizer, local, str(remote))
    shutil.rmtree(remote / "d")
    trash = (local / "d" / "moved").rename(local.parent / "trash")
    put(local / "d" / "edited", "edited again")
    run(BiDirSynchronizer, local, str(remote), resolve="skip")
    trash.rename(local / "d" / "moved")
    run(BiDirSynchronizer, local, str(remote), resolve="skip")
    assert (local / "d" / "moved").read_text() == "moved"


def test_a_folder_that_gets_a_file_before_it_is_deleted_remembers_its_other_peers(sides: Sides) -> None:
    local, remote = sides
    second = local.parent / "second"
    second.mkdir()
    for name in ("one", "two"):
        put(local / "d" / name, name)
    for peer in (remote, second):
        run(BiDirSynchronizer, local, str(peer))
    shutil.rmtree(remote / "d")

    class Meanwhile(BiDirSynchronizer):
        def on_equal(self, pair: EntryPair) -> None:
            if pair.any_entry.name == "19":
                put(local / "d" / "new", "new")
            super().on_equal(pair)

    with pytest.raises(Exception, match="not empty"):
        run(Meanwhile, local, str(remote))
    assert texts(local / "d").keys() == {"new"}
    run(BiDirSynchronizer, local, str(second))
    for side in (local, second):
        assert texts(side / "d").keys() == {"new"}


def test_what_a_killed_run_has_cut_off_is_known_until_a_run_has_looked_at_it(sides: Sides) -> None:
    local, remote = sides
    put(local / "d" / "big", "")
    os.truncate(local / "d" / "big", 800_000_000)
    os.utime(local / "d" / "big", (1.6e9, 1.6e9))
    stump = remote / "d" / "big"
    cut(sides, lambda: stump.exists() and stump.stat().st_size > 0, "--inplace", by=signal.SIGKILL)
    assert stump.stat().st_size < 800_000_000
    run(BiDirSynchronizer, local, str(remote), exclude=["d"])
    run(BiDirSynchronizer, local, str(remote), resolve="new")
    for side in sides:
        assert (side / "d" / "big").stat().st_size == 800_000_000


@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
def test_a_root_that_holds_only_what_is_left_out_counts_as_empty(
    sides: Sides, kind: type[BiDirSynchronizer]
) -> None:
    local, remote = sides
    for number in range(3):
        put(local / str(number), "x")
    run(kind, local, str(remote))
    shutil.rmtree(local / "other")
    for number in range(3):
        (local / str(number)).unlink()
    put(local / "lost+found" / "x", "x")
    with pytest.raises(RuntimeError, match="local side is empty"):
        run(kind, local, str(remote), delete=True, exclude=["lost+found"])
    assert len(texts(remote)) == 23


def test_what_two_runs_keep_in_the_same_second_lies_apart(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, remote = sides
    monkeypatch.setattr(time, "strftime", lambda *_: "now")
    for version in ("1", "2", "3"):
        put(local / "f", version, -100 * int(version))
        run(BiDirSynchronizer, local, str(remote), backup_dir="kept")
    kept = [path.read_text() for path in (remote / "kept").rglob("f")]
    assert sorted(kept) == ["1", "2"]


@pytest.mark.parametrize("refused", ["STOR", "MKD"])
def test_the_old_name_of_a_file_that_could_not_be_copied_under_its_new_one_stays(
    sides: Sides, refused: str
) -> None:
    local, remote = sides
    put(local / "old name", "the only one on the server")
    put(local / "useless", "")
    refusals: dict[str, str] = {}
    with ftp_server(remote, refuses=refusals) as server:
        run(UploadSynchronizer, local, server.url)
        (local / "folder").mkdir()
        new = "new name" if refused == "STOR" else "folder/new name"
        (local / "old name").rename(local / new)
        (local / "useless").unlink()
        refusals[refused] = "550 No."
        with pytest.raises((OSError, ftplib.Error)):
            run(UploadSynchronizer, local, server.url, delete=True, no_lock=True)
        assert "old name" in texts(remote)
        assert ("useless" in texts(remote)) == (refused == "MKD")
        refusals.clear()
        run(UploadSynchronizer, local, server.url, delete=True)
    assert texts(remote) == texts(local)


@pytest.mark.parametrize("pretty", [False, True])
def test_runs_of_one_folder_with_two_others_at_the_same_time_both_remember(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretty: bool
) -> None:
    local, remote = sides
    second = tmp_path / "second"
    second.mkdir()
    monkeypatch.setattr(DirMetadata, "PRETTY", pretty)
    for name in ("a", "b", "d/a", "d/b"):
        put(local / name, "old")
    for other in (remote, second):
        run(BiDirSynchronizer, local, str(other))

    class Meanwhile(BiDirSynchronizer):
        has_run = False

        def on_copy_local(self, pair: EntryPair) -> object:
            if not self.has_run:
                self.has_run = True
                run(BiDirSynchronizer, local, str(second))
            return super().on_copy_local(pair)

    for number in (1, 2):
        for name in ("a", "d/a", f"new {number}", f"d/new {number}"):
            put(local / name, f"edit {number}", -100 * number)
        run(Meanwhile, local, str(remote))
        (local / "d" / f"new {number}").unlink()
        for other in (remote, second):
            stats = run(BiDirSynchronizer, local, str(other)).get_stats()
            assert (stats["conflict_files"], stats["files_deleted"]) == (0, 1)
            assert texts(other) == texts(local)
