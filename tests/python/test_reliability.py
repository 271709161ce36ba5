"""Nothing is lost: one test for each promise that is not kept by a single target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from folders import put, texts
from ftpsync.metadata import DirMetadata
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import make_target
from small_servers import ftp_server


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    return tmp_path / "local", tmp_path / "remote"


def run(kind: type[Any], local: Path, url: str, **options: Any) -> Any:
    synchronizer = kind(make_target(str(local)), make_target(url), {"verbose": 0, **options})
    synchronizer.run()
    return synchronizer


def as_nobody(
    kind: type[Any], local: Path, remote: Path, before: str, **options: Any
) -> subprocess.CompletedProcess[str]:
    """A run as a user without any rights, after `before` was done. Prints the number of errors."""
    for root in (local, remote):
        for path in [root, *root.rglob("*")]:
            os.chown(path, 65534, 65534)
    for folder in local.parents:
        if folder.stat().st_mode & 0o055 != 0o055 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    code = (
        "import os, platform, sys; from pathlib import Path;"
        "from ftpsync.synchronizers import *; from ftpsync.targets import make_target;"
        # The other user may not be allowed to read the library of the interpreter, so a run loads it beforehand.
        "from ftpsync._locks import lock_settings; lock_settings({});"
        "local, remote = Path(sys.argv[1]), Path(sys.argv[2]); os.setgid(65534); os.setuid(65534);"
        f"{before};"
        f"s = {kind.__name__}(make_target(sys.argv[1]), make_target(sys.argv[2]), { ({'verbose': 3, **options})!r})\n"
        "try: s.run()\n"
        "except Exception: pass\n"
        "print(s.get_stats()['errors'])"
    )
    words = [sys.executable, "-c", code, str(local), str(remote)]
    return subprocess.run(words, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
@pytest.mark.parametrize("is_new", [False, True])
def test_an_edit_made_on_the_server_during_an_upload_survives(
    sides: tuple[Path, Path], kind: type[Any], is_new: bool
) -> None:
    local, remote = sides
    edit: list[Callable[[], Any]] = []

    def before(command: str) -> None:
        if command.startswith("STOR") and "tmp" in command and edit:
            edit.pop()()

    with ftp_server(remote, before=before) as server:
        put(local / "other", "x", 100)
        if not is_new:
            put(local / "a", "old", 100)
        run(kind, local, server.url)
        put(local / "a", "our edit")
        edit.append(lambda: put(remote / "a", "their edit", 50))
        with pytest.raises(OSError, match="changed since it was listed"):
            run(kind, local, server.url)
        assert (remote / "a").read_text() == "their edit"
        assert [path.name for path in remote.iterdir() if "tmp" in path.name] == []
        stats = run(kind, local, server.url, resolve="skip").get_stats()
        assert stats["conflict_files_skipped"] == 1
        assert ((remote / "a").read_text(), (local / "a").read_text()) == ("their edit", "our edit")


# --- what is remembered ------------------------------------------------------------------------------------

META = DirMetadata.META_FILE_NAME
DAMAGED = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no text": lambda text: "\x00\x01",
    "a list": lambda text: "[]",
    "a number": lambda text: "7",
    "peers are a list": lambda text: '{"_file_version": 3, "mtimes": {}, "peer_sync": []}',
    "a peer is a word": lambda text: '{"_file_version": 3, "mtimes": {}, "peer_sync": {"x": "y"}}',
    "deeply nested": lambda text: '{"_file_version": 3, "peer_sync": ' + '{"a":' * 100_000,
}


def settled(sides: tuple[Path, Path]) -> tuple[Path, Path]:
    """Two sides that were synchronised, and of which each has lost, got and edited something since."""
    local, remote = sides
    for name in ("lost there", "lost here", "same", "edited here", "edited there", "d/lost there", "d/same"):
        put(local / name, name)
    run(BiDirSynchronizer, local, str(remote))
    (local / "lost here").unlink()
    (remote / "lost there").unlink()
    (remote / "d/lost there").unlink()
    put(local / "edited here", "edited", -500)
    put(remote / "edited there", "edited", -500)
    return local, remote


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_row_44_45_damaged_metadata_deletes_nothing_and_lets_no_time_decide(
    sides: tuple[Path, Path], damage: Callable[[str], str], caplog: Any
) -> None:
    local, remote = settled(sides)
    for folder in (local, local / "d"):
        (folder / META).write_text(damage((folder / META).read_text()))
    stats = run(BiDirSynchronizer, local, str(remote), verbose=3).get_stats()
    assert caplog.text.count("Could not read meta info") == 2
    caplog.clear()
    assert stats["files_deleted"] == stats["errors"] == 0
    assert stats["conflict_files_skipped"] == 2
    assert texts(local)["edited here"] == texts(remote)["edited there"] == "edited"
    assert texts(local)["edited there"] == "edited there"
    assert texts(remote)["edited here"] == "edited here"
    assert texts(local).keys() == texts(remote).keys() >= {"lost here", "lost there", "d/lost there"}
    # It is whole again: what is deleted from now on is.
    (local / "same").unlink()
    stats = run(BiDirSynchronizer, local, str(remote), verbose=3).get_stats()
    assert "Could not read" not in caplog.text
    assert (stats["files_deleted"], stats["conflict_files_skipped"]) == (1, 2)
    assert not (remote / "same").exists()


@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer])
def test_row_44_damaged_metadata_puts_the_deletions_of_a_one_way_run_off(
    sides: tuple[Path, Path], kind: type[Any]
) -> None:
    local, remote = sides
    source, target = (local, remote) if kind is UploadSynchronizer else (remote, local)
    for name in ("a", "b", "c"):
        put(source / name, name)
    put(target / "other", "x")
    (local / META).write_text("{")
    assert run(kind, local, str(remote), delete=True).get_stats()["files_deleted"] == 0
    assert run(kind, local, str(remote), delete=True).get_stats()["files_deleted"] == 1
    assert texts(source) == texts(target)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not read the file")
def test_row_45_metadata_that_may_not_be_read_is_an_error_of_its_folder(sides: tuple[Path, Path]) -> None:
    local, remote = settled(sides)
    done = as_nobody(BiDirSynchronizer, local, remote, "(local / 'd' / '.pyftpsync-meta.json').chmod(0)")
    assert ".pyftpsync-meta.json" in done.stderr
    assert "permission denied; whoever has synchronised here before can share it" in done.stderr
    assert "d/lost there" in texts(local), "and nothing is concluded from an empty memory"
    assert "lost there" not in texts(local), "the other folders go on"
    assert done.stdout.strip() == "1"


def test_row_46_a_hostile_remote_memory_is_not_believed(sides: tuple[Path, Path], caplog: Any) -> None:
    local, remote = sides
    put(local / "a", "a")
    with ftp_server(remote, without=["MFMT"]) as server:
        run(BiDirSynchronizer, local, server.url)
        expected = texts(local), texts(remote)
        entry = {"m": 1e308, "s": -1, "u": "x"}
        names = {"a": {"m": -1e308, "s": 1, "u": 1e308}, "../b": entry, "": entry, "x" * 5000: [[]]}
        documents = [
            json.dumps({"_file_version": 3, "mtimes": names, "peer_sync": {}}),
            json.dumps({"_file_version": 3, "mtimes": {"a": {"m": 1e15, "s": 1, "u": 9e15}}}),
            '{"_file_version": 3, "mtimes": ' + " " * (16 << 20) + "{}}",
            '{"_file_version": 3, "mti',
            "[]",
        ]
        for document in documents:
            (remote / META).write_text(document)
            caplog.clear()
            run(BiDirSynchronizer, local, server.url, verbose=3)
            assert (texts(local), texts(remote)) == expected, document[:80]
            is_whole = document.startswith('{"_file_version": 3, "mtimes": {"')
            assert ("Could not read meta info" in caplog.text) is not is_whole, caplog.text


@pytest.mark.parametrize("side", [0, 1])
def test_row_48_a_memory_that_is_lost_deletes_nothing(sides: tuple[Path, Path], side: int) -> None:
    local, remote = settled(sides)
    with ftp_server(remote, without=["MFMT"]) as server:
        run(BiDirSynchronizer, local, server.url)
        put(local / "new", "new")
        before = texts(local).keys() | texts(remote).keys()
        for folder in (sides[side], sides[side] / "d"):
            (folder / META).unlink(missing_ok=True)
        stats = run(BiDirSynchronizer, local, server.url).get_stats()
        assert stats["files_deleted"] == 0
        assert texts(local).keys() == texts(remote).keys() == before


def test_row_49_two_servers_of_one_host_and_path_do_not_share_a_memory(tmp_path: Path) -> None:
    for name in ("local", "one", "two"):
        (tmp_path / name).mkdir()
    local, one, two = (tmp_path / name for name in ("local", "one", "two"))
    for name in ("a", "b"):
        put(local / name, name)
    with ftp_server(one) as first, ftp_server(two) as second:
        run(BiDirSynchronizer, local, first.url)
        stats = run(BiDirSynchronizer, local, second.url).get_stats()
        assert (stats["files_deleted"], texts(two)) == (0, {"a": "a", "b": "b"})
        (one / "a").unlink()
        run(BiDirSynchronizer, local, first.url)
        assert texts(local) == {"b": "b"}


def test_row_50_a_file_that_comes_back_after_its_deletion_is_synchronised_again(
    sides: tuple[Path, Path],
) -> None:
    local, remote = sides
    for name in ("a", "b", "c", "d"):
        put(local / name, name)
    run(BiDirSynchronizer, local, str(remote))
    (local / "a").unlink()
    run(BiDirSynchronizer, local, str(remote))
    assert "a" not in texts(remote)
    put(local / "a", "a")
    run(BiDirSynchronizer, local, str(remote))
    assert texts(remote)["a"] == "a"


def test_row_51_after_an_edit_and_a_deletion_in_one_folder_the_next_run_is_idle(
    sides: tuple[Path, Path],
) -> None:
    local, remote = sides
    for name in ("a", "b", "c", "d"):
        put(local / name, name)
    run(BiDirSynchronizer, local, str(remote))
    (local / "a").unlink()
    put(remote / "b", "edited", -100)
    run(BiDirSynchronizer, local, str(remote))
    assert texts(local) == texts(remote) == {"b": "edited", "c": "c", "d": "d"}
    stats = run(BiDirSynchronizer, local, str(remote)).get_stats()
    assert stats["entries_touched"] == stats["conflict_files"] == 0


@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
@pytest.mark.parametrize("came_from", ["local", "remote"])
@pytest.mark.parametrize("later", [1, 0.25])
def test_row_32_an_edit_of_the_same_size_within_two_seconds_is_seen(
    sides: tuple[Path, Path], kind: type[Any], came_from: str, later: float
) -> None:
    local, remote = sides
    source = {"local": local, "remote": remote}[came_from]
    for name in ("a", "untouched"):
        os.utime(put(source / name, "old"), (1.6e9 + 0.123456789, 1.6e9 + 0.123456789))
    run(BiDirSynchronizer, local, str(remote))
    at = (local / "a").stat().st_mtime + later
    (local / "a").write_text("new")
    os.utime(local / "a", (at, at))
    run(kind, local, str(remote))
    assert (remote / "a").read_text() == "new"
    assert run(kind, local, str(remote)).get_stats()["entries_touched"] == 0


@pytest.mark.parametrize("came_from", ["local", "remote"])
@pytest.mark.parametrize("later", [1, 0.25])
def test_row_32_an_edit_on_the_other_disk_within_two_seconds_is_seen(
    sides: tuple[Path, Path], came_from: str, later: float
) -> None:
    local, remote = sides
    source = {"local": local, "remote": remote}[came_from]
    for name in ("a", "untouched"):
        os.utime(put(source / name, "old"), (1.6e9 + 0.123456789, 1.6e9 + 0.123456789))
    run(BiDirSynchronizer, local, str(remote))
    at = (remote / "a").stat().st_mtime + later
    (remote / "a").write_text("new")
    os.utime(remote / "a", (at, at))
    run(BiDirSynchronizer, local, str(remote))
    assert (local / "a").read_text() == "new"
    assert run(BiDirSynchronizer, local, str(remote)).get_stats()["entries_touched"] == 0


def test_files_that_both_disks_changed_to_the_same_are_left_alone(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "a", "old")
    run(BiDirSynchronizer, local, str(remote))
    for number, side in enumerate(sides):
        at = 1.6e9 + 100.123456789 + number
        os.utime(put(side / "a", "edited"), (at, at))
    for _ in range(3):
        stats = run(UploadSynchronizer, local, str(remote)).get_stats()
        assert stats["entries_touched"] == stats["conflict_files"] == 0


def test_times_that_have_lost_their_fractions_are_no_edits(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    os.utime(put(local / "a", "old"), (1.6e9 + 0.75, 1.6e9 + 0.75))
    run(BiDirSynchronizer, local, str(remote))
    os.utime(local / "a", (1.6e9, 1.6e9))
    assert run(BiDirSynchronizer, local, str(remote)).get_stats()["entries_touched"] == 0
