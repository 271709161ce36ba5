"""What a run replaces or removes is kept: in the trash, in a backup folder, or under a second name."""

from __future__ import annotations

import ftplib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from folders import put, texts
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import make_target
from small_servers import ftp_server

TRASH = ".pyftpsync-trash"


class World:
    """Two folders; the remote one is reached as itself, or through a server."""

    def __init__(self, local: Path, remote: Path, url: str) -> None:
        self.local, self.remote, self.url = local, remote, url

    def run(self, kind: type[Any] = BiDirSynchronizer, **options: Any) -> dict[str, Any]:
        synchronizer = kind(make_target(str(self.local)), make_target(self.url), {"verbose": 0, **options})
        synchronizer.run()
        stats: dict[str, Any] = synchronizer.get_stats()
        return stats

    def idle(self, kind: type[Any] = BiDirSynchronizer, **options: Any) -> bool:
        stats = self.run(kind, **options)
        return not (stats["entries_touched"] or stats["conflict_files"] or stats["errors"])


@pytest.fixture(params=["folder", "server"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    local, remote = tmp_path / "local", tmp_path / "remote"
    if request.param == "folder":
        yield World(local, remote, str(remote))
        return
    with ftp_server(remote) as server:
        yield World(local, remote, server.url)


def kept(folder: Path) -> dict[str, str]:
    """What lies in the folders of the runs below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(Path(*path.relative_to(folder).parts[1:])): path.read_text() for path in files}


def test_row_100_what_loses_at_the_first_contact_is_in_the_trash(world: World) -> None:
    put(world.local / "d/newer here", "new", 10)
    put(world.remote / "d/newer here", "older", 20)
    put(world.local / "newer there", "older", 20)
    put(world.remote / "newer there", "new", 10)
    put(world.local / "same", "same")
    put(world.remote / "same", "same")
    world.run(dry_run=True)
    assert not (world.local / TRASH).exists()
    world.run()
    assert texts(world.local) == texts(world.remote)
    assert kept(world.local / TRASH) == {"d/newer here": "older", "newer there": "older"}
    assert not (world.remote / TRASH).exists()
    assert world.idle()
    put(world.local / "same", "edited", -10)
    put(world.remote / "newer there", "edited", -10)
    world.run()
    assert len(kept(world.local / TRASH)) == 2, "only what meets for the first time"


def test_trash_can_be_done_without(world: World) -> None:
    put(world.local / "a", "older", 20)
    put(world.remote / "a", "new", 10)
    world.run(no_trash=True)
    assert texts(world.local) == {"a": "new"}
    assert not (world.local / TRASH).exists()


@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer])
def test_a_trash_that_is_there_is_never_synchronised_nor_deleted(world: World, kind: type[Any]) -> None:
    source, target = (
        (world.local, world.remote) if kind is UploadSynchronizer else (world.remote, world.local)
    )
    put(source / "a", "a")
    put(source / TRASH / "then" / "b", "b")
    put(target / TRASH / "then" / "c", "c")
    world.run(kind, delete=True, delete_unmatched=True)
    assert kept(source / TRASH) == {"b": "b"}
    assert kept(target / TRASH) == {"c": "c"}


def test_what_takes_the_place_of_what_is_kept_is_as_private(tmp_path: Path) -> None:
    backed, trashed = (
        World(tmp_path / name / "local", tmp_path / name / "remote", str(tmp_path / name / "remote"))
        for name in ("backed", "trashed")
    )
    put(backed.local / "a", "new", 10)
    put(backed.remote / "a", "secret", 20).chmod(0o600)
    backed.run(UploadSynchronizer, force=True, backup_dir="old")
    assert (backed.remote / "a").stat().st_mode & 0o777 == 0o600
    put(trashed.local / "b", "mine", 20).chmod(0o600)
    put(trashed.remote / "b", "theirs, newer", 10)
    trashed.run()
    assert kept(trashed.local / TRASH) == {"b": "mine"}
    assert (trashed.local / "b").stat().st_mode & 0o777 == 0o600


def test_a_backup_folder_gets_what_is_overwritten_or_deleted_on_its_side(world: World) -> None:
    for name in ("a", "b", "c", "d/e", "d/f", "g"):
        put(world.local / name, name)
    world.run(backup_dir="old/copies")
    assert not (world.local / "old").exists()
    assert not (world.remote / "old").exists(), "nothing was replaced"
    put(world.local / "a", "a, edited here", -10)
    put(world.remote / "b", "b, edited there", -10)
    (world.local / "c").unlink()
    (world.remote / "g").unlink()
    (world.local / "d/e").unlink()
    (world.local / "d/f").unlink()
    (world.local / "d/.pyftpsync-meta.json").unlink()
    (world.local / "d").rmdir()
    world.run(backup_dir="old/copies", allow_mass_delete=True)
    assert kept(world.remote / "old/copies") == {"a": "a", "c": "c", "d/e": "d/e", "d/f": "d/f"}
    assert kept(world.local / "old/copies") == {"b": "b", "g": "g"}
    assert not (world.remote / "d").exists()
    for side in (world.local, world.remote):
        left = {name: text for name, text in texts(side).items() if not name.startswith("old/")}
        assert left == {"a": "a, edited here", "b": "b, edited there"}
    assert world.idle(backup_dir="old/copies")


@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer])
def test_a_backup_folder_works_one_way(world: World, kind: type[Any]) -> None:
    source, target = (
        (world.local, world.remote) if kind is UploadSynchronizer else (world.remote, world.local)
    )
    put(source / "a", "new", 10)
    put(target / "a", "old", 20)
    put(target / "gone", "gone")
    for _ in range(2):
        world.run(kind, delete=True, delete_unmatched=True, backup_dir="backup")
        assert kept(target / "backup") == {"a": "old", "gone": "gone"}
        assert not (source / "backup").exists()


def test_where_no_backup_folder_can_be_made_nothing_is_replaced_and_it_is_named(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    put(world.local / "a", "old", 50)
    put(world.local / "backup", "a file", 50)
    world.run()
    put(world.local / "a", "edited", 10)
    stats = world.run(exclude=["backup"], backup_dir="backup", verbose=3, ignore_copy_errors=True)
    assert stats["copy_errors"] == 1
    assert 'the folder "backup", for what is replaced, could not be made' in caplog.text
    assert (world.remote / "a").read_text() == "old"
    assert (world.remote / "backup").read_text() == "a file"


def test_what_cannot_be_put_away_is_not_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone", "stays"):
        put(world.local / name, "old", 50)
    world.run()
    (world.local / "gone").unlink()
    real = time.strftime
    # The server, in this process, formats its times as well.
    label = "%Y-%m-%d_%H-%M-%S"
    monkeypatch.setattr(time, "strftime", lambda form, *at: "now" if form == label else real(form, *at))
    monkeypatch.setattr(os, "urandom", bytes)
    put(world.remote / "backup/now_000000/gone/in the way", "x")
    with pytest.raises((OSError, ftplib.Error)):
        world.run(backup_dir="backup")
    assert (world.remote / "gone").read_text() == "old"
    assert (world.remote / "backup/now_000000/gone/in the way").read_text() == "x"


def test_what_the_server_does_not_hand_out_for_the_trash_is_not_replaced(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    put(local / "a", "new", 10)
    put(remote / "a", "older", 20)
    with ftp_server(remote, refuses={"RETR": "550 no"}) as server:
        stats = World(local, remote, server.url).run(ignore_copy_errors=True)
    assert stats["copy_errors"] == 1
    assert (remote / "a").read_text() == "older"


@pytest.mark.parametrize("name", ["", "/", "..", "/tmp/x", "a/../b"])
def test_a_backup_folder_lies_below_the_root(world: World, name: str) -> None:
    with pytest.raises(ValueError, match="backup_dir"):
        world.run(backup_dir=name)


def test_both_versions_of_a_conflict_can_be_kept(world: World) -> None:
    for name in ("newer here.txt", "newer there.txt", "d/deleted there"):
        put(world.local / name, "old", 50)
    for number in range(3):
        put(world.local / f"d/{number}", "x")
    world.run()
    for side, name, text, age in (
        (world.local, "newer here.txt", "here, newer", 10),
        (world.remote, "newer here.txt", "there, older", 20),
        (world.local, "newer there.txt", "here, older", 20),
        (world.remote, "newer there.txt", "there, newer", 10),
        (world.local, "d/deleted there", "edited", 10),
    ):
        put(side / name, text, age)
    (world.remote / "d/deleted there").unlink()
    world.run(resolve="keep-both")
    assert texts(world.local) == texts(world.remote)
    found = {name: text for name, text in texts(world.local).items() if not name[-1].isdigit()}
    assert found.pop("newer here.txt") == "here, newer"
    assert found.pop("newer there.txt") == "there, newer"
    assert found.pop("d/deleted there") == "edited"
    assert sorted(found.values()) == ["here, older", "there, older"]
    assert all(" (conflict 2" in name and name.endswith(").txt") for name in found), found
    assert world.idle()


def test_keeping_both_is_an_answer_for_all_that_follow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        put(world.local / name, "old", 50)
    world.run()
    for name in ("a", "b"):
        put(world.local / name, "here", 10)
        put(world.remote / name, "there", 20)
    questions: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "K")
    world.run(resolve="ask")
    assert len(questions) == 1
    assert "Skip, Binary" in questions[0], "the documented question"
    assert sorted(texts(world.local).values()) == ["here", "here", "there", "there"]
    assert texts(world.local) == texts(world.remote)
