"""`DirMetadata`: reading, changing and writing the metadata of one folder by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ftpsync import __version__, util
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersion, IncompatibleMetadataVersionError
from ftpsync.targets import _Target

NAME = DirMetadata.META_FILE_NAME


@pytest.fixture(autouse=True)
def printed() -> Any:
    previous = util.set_pyftpsync_logger(None)
    yield
    util.set_pyftpsync_logger(previous)


class Store(_Target):
    """A third-party target: one folder in memory."""

    def __init__(self, root: str = "/r", **files: str) -> None:
        super().__init__(root, {})
        self.cur_dir = root
        self.files = files

    def read_text(self, name: str) -> str:
        return self.files[name]

    def write_text(self, name: str, s: str) -> None:
        self.files[name] = s

    def remove_file(self, name: str) -> None:
        del self.files[name]


class Run:
    """What a target needs of a synchronizer."""

    def __init__(self, local: Store, remote: Store) -> None:
        self.local, self.remote = local, remote
        self.options: dict[str, Any] = {}
        self.stats: dict[str, int] = {}
        for side, peer in ((local, remote), (remote, local)):
            side.synchronizer, side.peer = self, peer

    def _inc_stat(self, name: str, ofs: int = 1) -> None:
        self.stats[name] = self.stats.get(name, 0) + ofs


def document(**more: Any) -> str:
    return json.dumps({"_file_version": 3, "mtimes": {}, "peer_sync": {}, **more})


def test_times_survive_writing_and_reading() -> None:
    store = Store()
    meta = DirMetadata(store)
    meta.set_mtime("ä", 5.125, 6)
    assert meta.modified_list and not meta.modified_sync
    meta.flush()
    assert not meta.modified_list

    again = DirMetadata(store)
    again.read()
    assert again.was_read
    assert (again.list["ä"]["m"], again.list["ä"]["s"]) == (5.125, 6)
    assert again.list is again.dir["mtimes"] and again.peer_sync is again.dir["peer_sync"]


def test_the_file_is_what_other_releases_expect() -> None:
    store = Store()
    meta = DirMetadata(store)
    meta.set_mtime("ä", 5, 6)
    meta.flush()
    text = store.files[NAME]
    parsed = json.loads(text)
    assert list(parsed) == [
        "_disclaimer",
        "_file_version",
        "_time",
        "_time_str",
        "_version",
        "mtimes",
        "peer_sync",
    ]
    assert (parsed["_file_version"], parsed["_version"]) == (3, __version__)
    assert isinstance(parsed["_time"], float)
    assert '"ä":{"m":5,"s":6,"u":' in text
    assert ", " not in text.replace(parsed["_time_str"], "") and not text.endswith("\n")


def test_readable_files_have_readable_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirMetadata, "PRETTY", True)
    store = Store()
    meta = DirMetadata(store)
    meta.set_mtime("a", 5, 6)
    meta.flush()
    assert "\n    " in store.files[NAME]
    assert json.loads(store.files[NAME])["mtimes"]["a"]["mtime_str"] == util.pretty_stamp(5)


def test_only_the_local_side_remembers_its_peer() -> None:
    local, remote = Store("/l"), Store("/r")
    run = Run(local, remote)
    meta = local.cur_dir_meta = DirMetadata(local)
    remote.cur_dir_meta = DirMetadata(remote)
    meta.set_sync_info("a", 5.5, 6)
    meta.set_sync_info("sub", None, None)
    assert meta.peer_sync["/r"]["a"]["m"] == 5.5
    assert meta.peer_sync["/r"][":last_sync"] > 0
    assert meta.modified_sync and not meta.modified_list
    assert local.get_sync_info("a", "s") == remote.get_sync_info("a", "s") == 6
    assert local.get_sync_info("nix") is None
    assert set(remote.get_sync_info(None)) == {":last_sync", "a", "sub"}
    meta.flush()
    assert run.stats == {"meta_bytes_written": len(local.files[NAME])}
    with pytest.raises(AssertionError):
        remote.cur_dir_meta.set_sync_info("a", 5.5, 6)


def test_forgetting_an_unknown_name_does_not_undo_a_change() -> None:
    # In the reference the last removal of a folder decided alone whether the file was written.
    local = Store("/l")
    Run(local, Store("/r"))
    meta = DirMetadata(local)
    meta.set_sync_info("a", 5.5, 6)
    meta.set_mtime("a", 5.5, 6)
    meta.remove("nix")
    assert meta.modified_sync and meta.modified_list
    meta.remove("a")
    assert "a" not in meta.peer_sync["/r"] and meta.list == {}


def test_an_unchanged_file_is_not_written_and_a_dry_run_writes_nothing() -> None:
    store = Store()
    meta = DirMetadata(store)
    meta.flush()
    assert store.files == {}
    store.dry_run = True
    meta.set_mtime("a", 1, 2)
    meta.flush()
    assert store.files == {}


def test_a_file_that_became_empty_is_removed(capsys: Any) -> None:
    store = Store(**{NAME: document(mtimes={"a": {"m": 1, "s": 2, "u": 3}})})
    meta = DirMetadata(store)
    meta.read()
    meta.remove("a")
    meta.flush()
    assert store.files == {}
    assert capsys.readouterr().out.startswith("Remove empty meta data file: ")


@pytest.mark.parametrize(
    "text",
    ["xx", "[]", '{"_file_version": 3}', '{"_file_version": 3, "mtimes": {"a": 1}}', "", '"'],
    ids=repr,
)
def test_an_invalid_file_counts_as_empty_and_is_replaced(text: str, capsys: Any) -> None:
    store = Store(**{NAME: text})
    meta = DirMetadata(store)
    meta.read()
    assert capsys.readouterr().err.startswith(
        "Could not read meta info DirMetadata</r/.pyftpsync-meta.json>: "
    )
    assert meta.list == meta.peer_sync == {}
    meta.set_mtime("a", 1, 2)
    meta.flush()
    assert json.loads(store.files[NAME])["mtimes"]["a"]["m"] == 1


def test_a_lost_connection_is_not_taken_for_an_empty_file() -> None:
    class Cut(Store):
        def read_text(self, name: str) -> str:
            raise EOFError("connection closed")

    with pytest.raises(EOFError):
        DirMetadata(Cut()).read()


@pytest.mark.parametrize("text", [document(_file_version=2), '{"mtimes": {}, "peer_sync": {}}'])
def test_another_version_stops_the_run_unless_migrating(text: str, capsys: Any) -> None:
    store = Store(**{NAME: text})
    meta = DirMetadata(store)
    with pytest.raises(IncompatibleMetadataVersionError, match="^Invalid meta data version: "):
        meta.read()
    store.extra_opts["migrate"] = True
    meta.read()
    assert capsys.readouterr().out.startswith("Migrating meta data version from ")
    meta.set_mtime("a", 1, 2)
    meta.flush()
    assert json.loads(store.files[NAME])["_file_version"] == 3
    assert IncompatibleMetadataVersion is IncompatibleMetadataVersionError


def test_a_folder_that_was_left_is_not_touched() -> None:
    store = Store()
    meta = DirMetadata(store)
    store.cur_dir = "/r/elsewhere"
    with pytest.raises(AssertionError):
        meta.flush()
    with pytest.raises(AssertionError):
        meta.read()
    assert str(meta) == "DirMetadata</r/.pyftpsync-meta.json>" == f"DirMetadata<{meta.get_full_path()}>"


def test_a_typo_in_the_setting_does_not_stop_the_import() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ftpsync.metadata import DirMetadata; print(DirMetadata.PRETTY)"],
        env={"PYFTPSYNC_VERBOSE_META": "perhaps", "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert "PYFTPSYNC_VERBOSE_META" in done.stderr


# -- one host, several accounts and releases ------------------------------------------------------------------

OWN, OLD, OTHER = "ftp://joe@host:21/dir", "host/dir", "ftp://sue@host:21/dir"


def with_server(**peers: dict[str, Any]) -> tuple[Store, FTPTarget]:
    """A local folder that remembers these peers, and the server that is the peer of its run."""
    local, remote = Store("/l"), FTPTarget("/dir", "host", username="joe", password="pw")
    Run(local, remote)  # type: ignore[arg-type]
    meta = local.cur_dir_meta = DirMetadata(local)
    meta.peer_sync.update(peers)
    return local, remote


def seen(size: int) -> dict[str, Any]:
    return {"a": {"m": 1.5, "s": size, "u": 2.5}}


@pytest.mark.parametrize(
    ("peers", "size"),
    [
        ({}, None),
        ({OWN: seen(1)}, 1),
        ({OLD: seen(2)}, 2),
        ({OWN: {}, OLD: seen(2)}, 2),
        ({OWN: seen(1), OLD: seen(1)}, 1),
        # Ours are always alike, so another release has written since.
        ({OWN: seen(1), OLD: seen(2)}, 2),
        # Whose record the old key holds cannot be told.
        ({OTHER: seen(3)}, None),
        ({OTHER: seen(3), OLD: seen(3)}, None),
        ({OTHER: seen(3), OLD: seen(3), OWN: seen(1)}, 1),
        ({"ftp://joe@host:2121/dir": seen(3), OLD: seen(3)}, None),
        ({"ftp://joe@host:21/other": seen(3), OLD: seen(2)}, 2),
    ],
)
def test_what_is_remembered_of_a_server(peers: dict[str, Any], size: int | None) -> None:
    local, remote = with_server(**peers)
    assert local.get_sync_info("a", "s") == remote.get_sync_info("a", "s") == size
    assert (local.get_sync_info(None) or None) == (None if size is None else seen(size))


def test_a_record_is_written_for_ours_and_for_older_releases() -> None:
    local, remote = with_server(**{OLD: seen(2)})
    remote.set_sync_info("b", 1.5, 7)
    assert local.cur_dir_meta is not None
    peers = local.cur_dir_meta.peer_sync
    assert peers.keys() == {OWN, OLD} and peers[OWN] == peers[OLD]
    assert (peers[OLD]["a"]["s"], peers[OLD]["b"]["s"]) == (2, 7)
    local.remove_sync_info("a")
    assert [peer.keys() for peer in peers.values()] == [{":last_sync", "b"}] * 2


def test_targets_of_other_people_have_one_key() -> None:
    local, remote = Store("/l"), Store("mem://host/dir")
    Run(local, remote)
    meta = local.cur_dir_meta = DirMetadata(local)
    local.set_sync_info("a", 1.5, 7)
    assert meta.peer_sync.keys() == {"mem://host/dir"}
    assert remote.get_sync_info("a", "s") == 7


def test_the_record_of_another_account_is_left_alone() -> None:
    local, _ = with_server(**{OTHER: seen(3), OLD: seen(3)})
    local.set_sync_info("a", 1.5, 7)
    assert local.cur_dir_meta is not None
    peers = local.cur_dir_meta.peer_sync
    assert (peers[OTHER], peers[OLD], peers[OWN]["a"]["s"]) == (seen(3), seen(3), 7)
    local.remove_sync_info("a")
    assert "a" in peers[OTHER] and "a" in peers[OLD] and "a" not in peers[OWN]
