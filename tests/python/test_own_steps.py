"""Copies and deletions that handlers do themselves: what they say about them is remembered."""

from __future__ import annotations

import ftplib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from folders import put
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, _Target, make_target
from memory_target import MemoryTarget
from small_servers import ftp_server

# The server of the tests does not close the file of an upload whose client has gone.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def copy_by_hand(src: Any, dest: Any, entry: Any) -> None:
    with src.open_readable(entry.name) as stream:
        dest.write_file(entry.name, io.BytesIO(stream.read()))
    dest.set_mtime(entry.name, entry.mtime, entry.size)
    dest.set_sync_info(entry.name, entry.mtime, entry.size)


class OwnStep(BiDirSynchronizer):
    def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> None:
        copy_by_hand(src, dest, file_entry)


class OwnHandler(BiDirSynchronizer):
    def on_copy_local(self, pair: Any) -> Any:
        if pair.is_dir:
            return super().on_copy_local(pair)
        return copy_by_hand(self.local, self.remote, pair.local)

    def on_copy_remote(self, pair: Any) -> Any:
        if pair.is_dir:
            return super().on_copy_remote(pair)
        return copy_by_hand(self.remote, self.local, pair.remote)


class OwnFolders(OwnStep):
    """Copies folders itself as well, with what is in them."""

    def _copy_recursive(self, src: Any, dest: Any, dir_entry: Any) -> None:
        dest.mkdir(dir_entry.name)
        dest.set_sync_info(dir_entry.name, None, None)
        for side in (src, dest):
            side.push_meta()
            side.cwd(dir_entry.name)
        dest.get_dir()
        for entry in src.get_dir():
            (self._copy_recursive if entry.is_dir() else self._copy_file)(src, dest, entry)
        for side in (src, dest):
            side.flush_meta()
            side.cwd("..")
            side.pop_meta()


def run(kind: type[Any], local: _Target, remote: _Target, **options: Any) -> dict[str, Any]:
    synchronizer = kind(local, remote, {"verbose": 0, "resolve": "skip", **options})
    assert synchronizer.run() is True
    stats: dict[str, Any] = synchronizer.get_stats()
    return stats


def check_memory(kind: type[Any], root: Path, remote: Callable[[], _Target]) -> None:
    """Runs twice, then removes, edits and adds: all of it is seen as what it is."""
    local = root / "local"
    for number in range(5):
        put(local / f"f{number}", str(number))
        put(local / f"d/g{number}", str(number))
    (root / "remote").mkdir(exist_ok=True)
    run(kind, FsTarget(str(local)), remote())
    assert run(BiDirSynchronizer, FsTarget(str(local)), remote())["entries_touched"] == 0
    (local / "f1").unlink()
    (local / "d/g1").unlink()
    put(local / "f2", "edited", age=-60)
    put(local / "new", "new")
    stats = run(kind, FsTarget(str(local)), remote())
    assert (stats["files_deleted"], stats["conflict_files"]) == (2, 0)
    assert run(BiDirSynchronizer, FsTarget(str(local)), remote())["entries_touched"] == 0
    assert not (local / "f1").exists() and not (local / "d/g1").exists()


@pytest.mark.parametrize("kind", [OwnStep, OwnHandler, OwnFolders])
def test_what_a_handler_says_both_sides_agree_on_is_remembered(kind: type[Any], tmp_path: Path) -> None:
    check_memory(kind, tmp_path, lambda: FsTarget(str(tmp_path / "remote")))
    assert (tmp_path / "remote/f2").read_text() == "edited"
    assert not (tmp_path / "remote/d/g1").exists()


@pytest.mark.parametrize("without", [(), ("MFMT", "MDTM")], ids=["dated", "undated"])
@pytest.mark.parametrize("kind", [OwnStep, OwnHandler])
def test_the_same_on_a_server(kind: type[Any], without: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    with ftp_server(tmp_path / "remote", without=without) as server:
        check_memory(kind, tmp_path, lambda: make_target(server.url))
    assert (tmp_path / "remote/f2").read_text() == "edited"


@pytest.mark.parametrize("kind", [OwnStep, OwnHandler])
def test_the_same_on_a_target_written_in_python(kind: type[Any], tmp_path: Path) -> None:
    remote = MemoryTarget()
    check_memory(kind, tmp_path, lambda: remote)
    assert remote.nodes["f2"] == (b"edited", 1.6e9 + 60)


def test_the_same_between_targets_written_in_python() -> None:
    local, remote = MemoryTarget("one"), MemoryTarget("two")
    for number in range(5):
        local.put(f"d/f{number}", str(number), 1.6e9)
    run(OwnStep, local, remote)
    assert run(BiDirSynchronizer, local, remote)["entries_touched"] == 0
    del local.nodes["d/f1"]
    assert run(OwnStep, local, remote)["files_deleted"] == 1
    assert "d/f1" not in remote.nodes


def test_a_copy_that_is_not_told_is_not_remembered(tmp_path: Path) -> None:
    class Silent(BiDirSynchronizer):
        def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> None:
            with src.open_readable(file_entry.name) as stream:
                dest.write_file(file_entry.name, stream)

    put(tmp_path / "local/a", "a")
    put(tmp_path / "local/b", "b")
    (tmp_path / "remote").mkdir()
    sides = tmp_path / "local", tmp_path / "remote"
    run(Silent, *(FsTarget(str(side)) for side in sides))
    assert not (tmp_path / "local/.pyftpsync-meta.json").exists()


def test_what_a_handler_has_forgotten_is_new_the_next_time(tmp_path: Path) -> None:
    class Forgetting(BiDirSynchronizer):
        def on_delete_remote(self, pair: Any) -> None:
            self.remote.remove_sync_info(pair.name)

    for name in ("a", "b", "c"):
        put(tmp_path / "local" / name, name)
    (tmp_path / "remote").mkdir()
    sides = tmp_path / "local", tmp_path / "remote"
    run(BiDirSynchronizer, *(FsTarget(str(side)) for side in sides))
    (tmp_path / "local/a").unlink()
    run(Forgetting, *(FsTarget(str(side)) for side in sides))
    assert (tmp_path / "remote/a").exists() and not (tmp_path / "local/a").exists()
    run(BiDirSynchronizer, *(FsTarget(str(side)) for side in sides))
    assert (tmp_path / "local/a").read_text() == "a"


def test_what_was_said_before_an_exception_is_remembered(tmp_path: Path) -> None:
    class Failing(OwnHandler):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            if len(list((tmp_path / "remote").glob("f*"))) == 3:
                raise LookupError("enough")

    for number in range(5):
        put(tmp_path / f"local/f{number}", str(number))
    (tmp_path / "remote").mkdir()
    with pytest.raises(LookupError):
        run(Failing, FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote")))
    document = json.loads((tmp_path / "local/.pyftpsync-meta.json").read_text())
    (record,) = document["peer_sync"].values()
    copied = {path.name for path in (tmp_path / "remote").glob("f*")}
    assert len(copied) == 3
    assert copied == {name for name in record if name.startswith("f")}


def test_an_algorithm_of_ones_own_keeps_its_own_metadata(tmp_path: Path) -> None:
    class Own(UploadSynchronizer):
        def _sync_dir(self) -> None:
            there = {entry.name for entry in self.remote.get_dir()}
            for entry in self.local.get_dir():
                if entry.name not in there:
                    self._copy_file(self.local, self.remote, entry)
            self.local.flush_meta()

    put(tmp_path / "local/a", "a")
    (tmp_path / "remote").mkdir()
    sides = tmp_path / "local", tmp_path / "remote"
    run(Own, *(FsTarget(str(side)) for side in sides))
    put(tmp_path / "local/b", "b")
    run(Own, *(FsTarget(str(side)) for side in sides))
    assert run(BiDirSynchronizer, *(FsTarget(str(side)) for side in sides))["entries_touched"] == 0
    (tmp_path / "local/a").unlink()
    run(BiDirSynchronizer, *(FsTarget(str(side)) for side in sides))
    assert not (tmp_path / "remote/a").exists()


def sides_of(root: Path, **names: str) -> tuple[Path, Path]:
    """Two sides that were never synchronised and hold the same files."""
    for side in ("local", "remote"):
        (root / side).mkdir(exist_ok=True)
        for name, text in names.items():
            put(root / side / name.replace("_", "."), text)
    return root / "local", root / "remote"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if not path.name.startswith(".pyftpsync-"))


def test_a_handler_may_remove_what_it_has_copied(tmp_path: Path) -> None:
    class Fetch(DownloadSynchronizer):
        def on_copy_remote(self, pair: Any) -> None:
            super().on_copy_remote(pair)
            self.remote.readonly = False
            (self._remove_dir if pair.is_dir else self._remove_file)(pair.remote)

    local, remote = sides_of(tmp_path)
    for name in ("one", "two", "d/three"):
        put(remote / name, name)
    stats = run(Fetch, FsTarget(str(local)), FsTarget(str(remote)))
    assert names_in(local) == ["d", "one", "three", "two"]
    assert names_in(remote) == []
    assert (stats["files_deleted"], stats["dirs_deleted"], stats["errors"]) == (2, 1, 0)


def test_a_copy_that_failed_is_not_remembered_whatever_a_handler_says(tmp_path: Path) -> None:
    class Hasty(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            self.local.set_sync_info(pair.local.name, pair.local.mtime, pair.local.size)

    local, remote = tmp_path / "local", tmp_path / "remote"
    remote.mkdir()
    put(local / "file", "the only one")
    refuses = {"STOR": "550 Permission denied."}
    with ftp_server(remote, refuses=refuses) as server, pytest.raises(ftplib.error_perm):
        Hasty(FsTarget(str(local)), make_target(server.url), {"verbose": 0}).run()
    with ftp_server(remote) as server:
        assert Hasty(FsTarget(str(local)), make_target(server.url), {"verbose": 0}).run() is True
    assert (local / "file").read_text() == (remote / "file").read_text() == "the only one"


class Fetch(DownloadSynchronizer):
    """Removes from the server what was fetched, folders as well."""

    def on_copy_remote(self, pair: Any) -> Any:
        super().on_copy_remote(pair)
        self.remote.readonly = False
        if pair.is_dir:
            self._remove_dir(pair.remote)
        else:
            self._remove_file(pair.remote)


def test_what_could_not_be_fetched_is_not_removed(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    local.mkdir()
    for name in ("got", "refused", "folder/got", "folder/refused", "all/got"):
        put(remote / name, name)
    refuses: dict[str, str] = {}

    def before(command: str) -> None:
        if command.startswith("RETR"):
            refuses.clear()
            if command.endswith("refused"):
                refuses["RETR"] = "550 Permission denied."

    with ftp_server(remote, before=before, refuses=refuses) as server:
        fetch = Fetch(FsTarget(str(local)), make_target(server.url), {"verbose": 0})
        with pytest.raises(ftplib.error_perm):
            fetch.run()
        stays = {path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file()}
        assert stays == {"refused", "folder/refused"}
        assert (local / "got").exists() and (local / "folder/got").exists() and (local / "all/got").exists()
        stats = fetch.get_stats()
        assert (stats["files_deleted"], stats["dirs_deleted"]) == (2, 1)


def test_a_handler_may_remove_both_sides_of_a_pair(tmp_path: Path) -> None:
    class Expire(BiDirSynchronizer):
        def on_equal(self, pair: Any) -> None:
            if pair.name.endswith(".log"):
                self._remove_file(pair.local)
                self._remove_file(pair.remote)

    local, remote = sides_of(tmp_path, k1="1", a_log="1", b_log="1", c_log="1")
    stats = run(Expire, FsTarget(str(local)), FsTarget(str(remote)))
    assert names_in(local) == names_in(remote) == ["k1"]
    assert stats["files_deleted"] == 6
    assert run(BiDirSynchronizer, FsTarget(str(local)), FsTarget(str(remote)))["entries_touched"] == 0


def test_a_handler_may_call_the_handlers_of_deletions(tmp_path: Path) -> None:
    class Expire(BiDirSynchronizer):
        def on_equal(self, pair: Any) -> None:
            if pair.name.endswith(".log"):
                self.on_delete_local(pair)
                self.on_delete_remote(pair)

    local, remote = sides_of(tmp_path, a="1", x_log="1", y_log="1", z_log="1")
    stats = run(Expire, FsTarget(str(local)), FsTarget(str(remote)))
    assert names_in(local) == names_in(remote) == ["a"]
    assert stats["files_deleted"] == 6


def test_an_overridden_operation_may_delete_what_is_new(tmp_path: Path) -> None:
    class Policy(BiDirSynchronizer):
        def re_classify_pair(self, pair: Any) -> bool:
            if pair.name.startswith("tmp"):
                pair.override_operation("delete_remote", "policy")
            return True

    local, remote = sides_of(tmp_path, a="1")
    for number in range(4):
        put(remote / f"tmp{number}", "x")
    put(remote / "tmp-d/inside", "x")
    run(Policy, FsTarget(str(local)), FsTarget(str(remote)))
    assert names_in(local) == names_in(remote) == ["a"]


def test_one_way_modes_decide_about_deletions_by_their_options(tmp_path: Path) -> None:
    class Policy(UploadSynchronizer):
        def re_classify_pair(self, pair: Any) -> bool:
            pair.override_operation("delete_remote", "policy")
            return True

    local, remote = sides_of(tmp_path, a="1", b="2")
    run(Policy, FsTarget(str(local)), FsTarget(str(remote)))
    assert names_in(remote) == ["a", "b"]
    run(Policy, FsTarget(str(local)), FsTarget(str(remote)), delete=True)
    assert names_in(remote) == [] and names_in(local) == ["a", "b"]


def test_wishes_count_where_the_user_has_set_a_limit(tmp_path: Path) -> None:
    class Expire(BiDirSynchronizer):
        def on_equal(self, pair: Any) -> None:
            self._remove_file(pair.remote)

    local, remote = sides_of(tmp_path, a="1", b="2")
    with pytest.raises(RuntimeError, match="max-delete"):
        run(Expire, FsTarget(str(local)), FsTarget(str(remote)), max_delete="1")
    assert names_in(remote) == ["a", "b"]


def test_a_conflict_that_a_handler_settles_by_another_counts(tmp_path: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_conflict(self, pair: Any) -> None:
            self.on_copy_local(pair)

    local, remote = sides_of(tmp_path)
    put(local / "a", "1")
    put(remote / "a", "22")
    stats = run(Mine, FsTarget(str(local)), FsTarget(str(remote)))
    assert (remote / "a").read_text() == "1"
    assert stats["conflict_files"] == 1


@pytest.mark.parametrize("reply", ["550 Permission denied.", "451 Not now.", "426 Cut."])
@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer, BiDirSynchronizer])
def test_on_error_hears_of_a_transfer_that_a_server_refuses(
    kind: type[Any], reply: str, tmp_path: Path
) -> None:
    heard: list[Any] = []

    class Mine(kind):  # type: ignore[misc, valid-type]
        content: Any = False

        def on_error(self, exc: BaseException, pair: Any) -> bool:
            heard.append((type(exc).__name__[:6], pair.operation, pair.any_entry.size, pair.any_entry.mtime))
            heard.append((pair.local_classification, pair.remote_classification, pair.any_entry.is_local()))
            return bool(self.content)

    local, remote = sides_of(tmp_path)
    put((local if kind is UploadSynchronizer else remote) / "a", "12345")
    verb = "STOR" if kind is UploadSynchronizer else "RETR"
    with ftp_server(remote, refuses={verb: reply}) as server:
        with pytest.raises(ftplib.Error, match=reply[:3]):
            Mine(FsTarget(str(local)), make_target(server.url), {"verbose": 0}).run()
        Mine.content = True
        assert Mine(FsTarget(str(local)), make_target(server.url), {"verbose": 0}).run() is True
    operation = "copy_local" if verb == "STOR" else "copy_remote"
    assert heard[0][1:] == (operation, 5, 1.6e9) and len(heard) == 4
    assert heard[1][2] is (verb == "STOR")


def test_a_run_that_a_hook_ends_leaves_nothing_and_counts_what_was_done(tmp_path: Path) -> None:
    class Strict(UploadSynchronizer):
        def on_conflict(self, pair: Any) -> None:
            raise ValueError("conflict!")

    local, remote = tmp_path / "local", tmp_path / "remote"
    remote.mkdir()
    for attempt in range(4):
        put(local / f"zz{attempt}", "1")
        put(remote / f"zz{attempt}", "22")
        for number in range(8):
            put(local / f"n{attempt}-{number}", "x" * 300_000)
        before = set(names_in(remote))
        with ftp_server(remote, bytes_per_second=3_000_000) as server:
            strict = Strict(FsTarget(str(local)), make_target(server.url), {"verbose": 0})
            with pytest.raises(ValueError, match="conflict!"):
                strict.run()
            stats = strict.get_stats()
            arrived = set(names_in(remote)) - before
            assert stats["files_written"] == stats["upload_files_written"] == len(arrived)
            assert stats["bytes_written"] == sum((remote / name).stat().st_size for name in arrived)
            run(UploadSynchronizer, FsTarget(str(local)), make_target(server.url), resolve="local")
        hidden = [path.name for path in remote.iterdir() if path.name.startswith(".pyftpsync-tmp")]
        assert hidden == []
        assert [path.name for path in local.iterdir() if path.name.startswith(".pyftpsync-tmp")] == []
        assert len(names_in(remote)) == 9 * (attempt + 1)


class Heard(UploadSynchronizer):
    """One of its steps fails; what `on_error()` hears of that, and says to it."""

    fails: str
    answer: bool

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.heard: list[tuple[str, str, bool, bool]] = []

    def on_error(self, exc: BaseException, pair: Any) -> bool:
        self.heard.append((str(exc), pair.rel_path, pair.local is not None, pair.remote is not None))
        return self.answer

    def _fail(self, step: str, entry: Any) -> None:
        if step == self.fails and entry.name.startswith("bad"):
            raise ValueError(step)

    def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> None:
        self._fail("_copy_file", file_entry)
        super()._copy_file(src, dest, file_entry)

    def _copy_recursive(self, src: Any, dest: Any, dir_entry: Any) -> None:
        self._fail("_copy_recursive", dir_entry)
        super()._copy_recursive(src, dest, dir_entry)

    def _remove_file(self, file_entry: Any) -> None:
        self._fail("_remove_file", file_entry)
        super()._remove_file(file_entry)

    def _remove_dir(self, dir_entry: Any) -> None:
        self._fail("_remove_dir", dir_entry)
        super()._remove_dir(dir_entry)


class HeardThroughHandlers(Heard):
    """The same, with a handler around each step, which every exception passes."""

    passed: int = 0

    def on_copy_local(self, pair: Any) -> Any:
        return self._watch(super().on_copy_local, pair)

    def on_delete_remote(self, pair: Any) -> Any:
        return self._watch(super().on_delete_remote, pair)

    def _watch(self, handler: Callable[[Any], Any], pair: Any) -> Any:
        try:
            return handler(pair)
        except ValueError:
            self.passed += 1
            raise


@pytest.mark.parametrize("kind", [Heard, HeardThroughHandlers])
@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("step", ["_copy_file", "_copy_recursive", "_remove_file", "_remove_dir"])
def test_on_error_hears_once_of_a_step_that_fails(
    tmp_path: Path, step: str, answer: bool, kind: type[Heard]
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    for name in ("bad gone", "bad goner/x", "good gone", "bad edited"):
        put(local / name, "text")
    remote.mkdir()
    options = {"verbose": 0, "delete": True}
    UploadSynchronizer(FsTarget(str(local)), FsTarget(str(remote)), dict(options)).run()
    for name in ("bad gone", "good gone"):
        (local / name).unlink()
    shutil.rmtree(local / "bad goner")
    put(local / "bad edited", "another text", -100_000_000)
    for name in ("bad new/x", "good new/x"):
        put(local / name, "text")

    synchronizer = kind(FsTarget(str(local)), FsTarget(str(remote)), options)
    synchronizer.fails, synchronizer.answer = step, answer
    if answer:
        assert synchronizer.run() is True
    else:
        with pytest.raises(ValueError, match=f"^{step}$"):
            synchronizer.run()

    name, sides = {
        "_copy_file": ("bad edited", (True, True)),
        "_copy_recursive": ("bad new", (True, False)),
        "_remove_file": ("bad gone", (False, True)),
        "_remove_dir": ("bad goner", (False, True)),
    }[step]
    assert synchronizer.heard == [(step, name, *sides)]
    assert not isinstance(synchronizer, HeardThroughHandlers) or synchronizer.passed == 1
    if answer:
        left = {"_copy_file": "text"}.get(step, "another text")
        assert (remote / "bad edited").read_text() == left
        assert (remote / "bad new").exists() == (step != "_copy_recursive")
        assert (remote / "bad gone").exists() == (step == "_remove_file")
        assert (remote / "bad goner").exists() == (step == "_remove_dir")
        assert (remote / "good new/x").read_text() == "text" and not (remote / "good gone").exists()
