"""Hooks of the synchronizers: called in order, with the documented objects, and obeyed."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from folders import put, tree
from ftpsync import synchronizers
from ftpsync._report import Reporter
from ftpsync.metadata import DirMetadata
from ftpsync.resources import EntryPair, FileEntry
from ftpsync.synchronizers import (
    BaseSynchronizer,
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import FsTarget, _Target, make_target
from ftpsync.util import set_pyftpsync_logger
from small_servers import ftp_server

HANDLERS = (
    "on_conflict",
    "on_copy_local",
    "on_copy_remote",
    "on_delete_local",
    "on_delete_remote",
    "on_equal",
    "on_mismatch",
    "on_need_compare",
)
LEAVES = ("_copy_file", "_copy_recursive", "_remove_dir", "_remove_file")
HOOKS = (
    *HANDLERS,
    *LEAVES,
    "_before_sync",
    "_compare_file",
    "_dry_run_action",
    "_interactive_resolve",
    "_log_action",
    "_match",
    "_print_pair_diff",
    "_sync_dir",
    "_test_match_or_print",
    "on_error",
    "re_classify_pair",
)
MODES = {"sync": BiDirSynchronizer, "upload": UploadSynchronizer, "download": DownloadSynchronizer}


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def debug(self, text: str, *_: object) -> None:
        self.seen.append(text)

    info = warning = error = debug


@pytest.fixture
def lines() -> Any:
    logger = Lines()
    previous = set_pyftpsync_logger(logger)
    yield logger.seen
    set_pyftpsync_logger(previous)


def make(root: Path) -> None:
    """A pair of trees with every kind of situation, after a first synchronisation."""
    local, remote = root / "local", root / "remote"
    for side in (local, remote):
        for name in ("same", "edit-here", "edit-there", "both", "gone-here", "gone-there", "d/x", "skip.bak"):
            put(side / name, f"first {name}")
    for name in ("d", "other"):
        (local / name).mkdir(exist_ok=True)
    for name in ("same", "edit-here", "edit-there", "both", "gone-here", "gone-there"):
        (remote / name).unlink()
    run(BiDirSynchronizer, root, {})
    put(local / "edit-here", "edited here!", -100)
    put(remote / "edit-there", "edited there!", -100)
    put(local / "both", "both, here", -100)
    put(remote / "both", "both, there!", -200)
    (local / "gone-here").unlink()
    (remote / "gone-there").unlink()
    put(local / "new/sub/deep", "deep")
    put(remote / "newer", "newer")


def run(kind: type[Any], root: Path, options: dict[str, Any]) -> Any:
    synchronizer = kind(
        FsTarget(str(root / "local")), FsTarget(str(root / "remote")), {"verbose": 4, **options}
    )
    assert synchronizer.run() is True
    return synchronizer


def hooked(kind: type[Any], names: tuple[str, ...] = HOOKS) -> type[Any]:
    """A subclass in which every hook is overridden by a call of the one above."""

    def passing(name: str) -> Any:
        return lambda self, *args, **more: getattr(super(made, self), name)(*args, **more)

    made = type("Hooked", (kind,), {name: passing(name) for name in names})
    return made


#: Counters that hold times, or depend on how many digits a time has.
UNSTEADY = ("time", "elap", "rate", "meta_bytes")

OPTIONS: list[dict[str, Any]] = [
    {},
    {"resolve": "new"},
    {"exclude": ["*.bak"], "delete_unmatched": True, "delete": True},
    {"dry_run": True},
    {"force": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("mode", MODES)
def test_a_run_with_every_hook_passed_on_is_the_plain_run(
    mode: str, options: dict[str, Any], tmp_path: Path, lines: list[str]
) -> None:
    if mode != "sync" and options.get("resolve"):
        options = {"resolve": "local" if mode == "upload" else "remote"}
    seen = []
    for kind in (MODES[mode], hooked(MODES[mode])):
        root = tmp_path / kind.__name__
        make(root)
        lines.clear()
        stats = run(kind, root, dict(options)).get_stats()
        timeless = {key: value for key, value in stats.items() if not any(word in key for word in UNSTEADY)}
        told = sorted(line.replace(str(root), "ROOT") for line in lines)
        seen.append((tree(root), timeless, told))
    assert seen[0][0] == seen[1][0]
    assert {k: (v, seen[1][1][k]) for k, v in seen[0][1].items() if v != seen[1][1][k]} == {}
    assert seen[0][2] == seen[1][2]


@pytest.fixture
def world(tmp_path: Path, lines: list[str]) -> Path:
    make(tmp_path)
    return tmp_path


def test_a_changed_operation_is_carried_out(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def re_classify_pair(self, pair: Any) -> Any:
            if pair.name == "both":
                pair.override_operation("copy_local", "mine")
            return super().re_classify_pair(pair)

    run(Mine, world, {})
    assert (world / "remote" / "both").read_text() == "both, here"


def test_false_leaves_the_pair_or_the_entry_alone(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def re_classify_pair(self, pair: Any) -> Any:
            return pair.name != "edit-here"

        def _before_sync(self, entry: Any) -> bool:
            return entry.name not in ("new", "newer")

    run(Mine, world, {})
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"
    assert not (world / "remote" / "new").exists()
    assert not (world / "local" / "newer").exists()


def test_nothing_is_as_good_as_false_from_before_sync(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> Any:
            if entry.name == "new":
                return None
            return super()._before_sync(entry)

    run(Mine, world, {})
    assert not (world / "remote" / "new").exists()
    assert (world / "remote" / "edit-here").read_text() == "edited here!"


def test_an_entry_that_test_match_or_print_refuses_is_left_alone(world: Path) -> None:
    asked = []

    class Mine(BiDirSynchronizer):
        def _test_match_or_print(self, entry: Any) -> bool:
            asked.append(entry.name)
            return entry.name not in ("edit-here", "edit-there") and super()._test_match_or_print(entry)

    run(Mine, world, {})
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"
    assert (world / "local" / "edit-there").read_text() != "edited there!"
    assert (world / "remote" / "new" / "sub" / "deep").read_text() == "deep"
    assert {"edit-here", "edit-there", "both"} <= set(asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("match_path", lambda entry, _: entry.name != "edit-here"),
        ("ALWAYS_OMIT", (*synchronizers.ALWAYS_OMIT, "edit-here")),
    ],
)
def test_a_filter_that_is_patched_leaves_out_what_it_says(
    name: str, value: Any, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronizers, name, value)
    run(UploadSynchronizer, world, {})
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"
    assert (world / "remote" / "new" / "sub" / "deep").read_text() == "deep"


def test_lines_go_to_what_stands_in_for_write(world: Path, capsys: Any) -> None:
    previous = set_pyftpsync_logger(None)
    told: list[str] = []
    failed: list[str] = []
    try:
        with (
            mock.patch("ftpsync.synchronizers.write", lambda *args, **_: told.append(str(args[0]))),
            mock.patch("ftpsync.synchronizers.write_error", lambda *args, **_: failed.append(str(args[0]))),
        ):
            local, remote = FsTarget(str(world / "local")), FsTarget(str(world / "remote"))
            UploadSynchronizer(local, remote, {"verbose": 3, "no_color": True}).run()
            reporter = Reporter(UploadSynchronizer(local, remote, {}))
            reporter.failure("could not copy it")
        assert capsys.readouterr().out == ""
        assert told[0].startswith("Upload ") and any(line.endswith(" edit-here") for line in told)
        assert failed == ["Could not copy it"]
        run(UploadSynchronizer, world, {"verbose": 3})
        assert capsys.readouterr().out.startswith("Upload ")
    finally:
        set_pyftpsync_logger(previous)


@pytest.mark.parametrize("change", ["operation_map", "META_FILE_NAME", "EPS_TIME", "classify"])
def test_a_change_that_would_have_no_effect_is_refused(
    change: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "operation_map":
        monkeypatch.setitem(synchronizers.operation_map, ("new", "missing"), "equal")
    elif change == "EPS_TIME":
        monkeypatch.setattr(FileEntry, change, 3601)
    elif change == "classify":
        monkeypatch.setattr(EntryPair, change, lambda self, known: "equal")
    else:
        monkeypatch.setattr(DirMetadata, change, ".mine.json")
    before = tree(world)
    with pytest.raises(RuntimeError, match="changed"):
        run(UploadSynchronizer, world, {})
    assert tree(world) == before


@pytest.mark.parametrize("way", ["_before_sync", "_match", "get_dir"])
def test_a_side_inside_the_other_may_be_left_out_by_user_code(
    way: str, tmp_path: Path, lines: list[str]
) -> None:
    put(tmp_path / "a", "a")
    put(tmp_path / "backup/old", "old")
    local = FsTarget(str(tmp_path))
    kind: Any = UploadSynchronizer
    if way == "get_dir":
        listed = local.get_dir
        local.get_dir = lambda: [entry for entry in listed() if entry.name != "backup"]  # type: ignore[method-assign]
    else:
        kind = type("Mine", (kind,), {way: lambda self, entry: entry.name != "backup"})
    kind(local, FsTarget(str(tmp_path / "backup")), {"verbose": 1}).run()
    assert tree(tmp_path) == {"a": "a", "backup": None, "backup/a": "a", "backup/old": "old"}
    assert [line for line in lines if "one side is inside the other" in line]


@pytest.mark.parametrize("answer", [None, "whatever", ""])
def test_an_answer_to_a_conflict_that_is_none_ends_the_run(answer: Any, world: Path) -> None:
    class Undecided(BiDirSynchronizer):
        def _interactive_resolve(self, pair: Any) -> Any:
            return answer

    with pytest.raises(NotImplementedError, match="_interactive_resolve.. returned"):
        run(Undecided, world, {})
    assert (world / "local" / "both").read_text() == "both, here"


@pytest.mark.parametrize("way", ["named", "super"])
def test_the_handler_of_the_class_above_deletes_without_the_option(
    way: str, tmp_path: Path, lines: list[str]
) -> None:
    class Tidy(UploadSynchronizer):
        def on_delete_remote(self, pair: Any) -> Any:
            if not pair.name.endswith(".bak"):
                return super().on_delete_remote(pair)
            if way == "named":
                return BiDirSynchronizer.on_delete_remote(self, pair)
            return super(UploadSynchronizer, self).on_delete_remote(pair)

    put(tmp_path / "local/a", "a")
    for name in ("a", "old.bak", "mine"):
        put(tmp_path / "remote" / name, "a")
    run(Tidy, tmp_path, {"verbose": 3})
    assert tree(tmp_path / "remote").keys() == {"a", "mine"}
    assert [line for line in lines if "old.bak" in line] == ["DELETE MISSING    >X old.bak"]


@pytest.mark.parametrize("operation", ["on_delete_remote", "on_copy_local"])
def test_the_handler_of_the_class_above_does_not_change_the_source(operation: str, tmp_path: Path) -> None:
    def handle(self: Any, pair: Any) -> Any:
        return getattr(BiDirSynchronizer, operation)(self, pair)

    put(tmp_path / "local/a", "a")
    put(tmp_path / "remote/b", "b")
    name = {"on_delete_remote": "on_copy_remote", "on_copy_local": "on_delete_local"}[operation]
    kind = type("Mine", (DownloadSynchronizer,), {name: handle})
    with pytest.raises(RuntimeError, match="^target is read-only: "):
        run(kind, tmp_path, {"verbose": 0})
    assert tree(tmp_path / "remote") == {"b": "b"}


def test_counters_are_live(world: Path) -> None:
    class Enough(Exception):
        pass

    class Mine(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            before = dict(self.get_stats())
            super().on_copy_local(pair)
            now = self.get_stats()
            if not pair.is_dir:
                assert now["upload_files_written"] == before["upload_files_written"] + 1
                assert now["upload_bytes_written"] == before["upload_bytes_written"] + pair.local.size
                raise Enough(now["upload_files_written"])

    mine = Mine(FsTarget(str(world / "local")), FsTarget(str(world / "remote")), {"verbose": 4})
    with pytest.raises(Enough) as caught:
        mine.run()
    assert caught.value.args == (mine.get_stats()["upload_files_written"],)
    assert mine.get_stats()["local_files"] > 0


def test_inc_stat_hears_of_everything_that_is_counted(world: Path) -> None:
    heard: dict[str, float] = {}

    class Mine(BiDirSynchronizer):
        def _inc_stat(self, name: str, ofs: float = 1) -> None:
            heard[name] = heard.get(name, 0) + ofs
            super()._inc_stat(name, ofs)

    stats = run(Mine, world, {}).get_stats()
    counted = {name: stats[name] for name in heard}
    assert heard == pytest.approx(counted)
    assert {"files_written", "entries_seen", "local_files", "meta_bytes_written"} <= set(heard)
    assert stats["files_written"] == stats["upload_files_written"] + stats["download_files_written"] > 0


def test_what_inc_stat_raises_comes_out(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _inc_stat(self, name: str, ofs: float = 1) -> None:
            raise LookupError(name)

    with pytest.raises(LookupError):
        run(Mine, world, {})


def test_lines_come_with_the_level_as_a_keyword_or_without(world: Path) -> None:
    heard = []

    class Mine(BiDirSynchronizer):
        def _log_action(self, action: str, status: str, symbol: str, entry: Any, **more: Any) -> None:
            heard.append((action, status, more))
            super()._log_action(action, status, symbol, entry, **more)

    run(Mine, world, {})
    assert ("", "equal", {"min_level": 4}) in heard
    assert any(action == "copy" and not more for action, _, more in heard)


def test_a_handler_finds_the_copy_done_after_super(world: Path) -> None:
    found = {}

    class Mine(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            super().on_copy_local(pair)
            found[pair.rel_path] = tree(world / "remote").get(pair.rel_path)

    run(Mine, world, {})
    assert found["edit-here"] == "edited here!"
    assert "new" in found
    assert (world / "remote" / "new" / "sub" / "deep").read_text() == "deep"


def test_a_handler_that_does_nothing_prevents(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_delete_remote(self, pair: Any) -> None:
            pass

    run(Mine, world, {})
    assert (world / "remote" / "gone-here").exists()


def test_an_exception_of_a_hook_comes_out_unchanged(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_equal(self, pair: Any) -> None:
            raise LookupError("mine", 7)

    with pytest.raises(LookupError) as caught:
        run(Mine, world, {})
    assert caught.value.args == ("mine", 7)
    assert caught.traceback[-1].name == "on_equal"


def test_on_error_can_swallow(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            raise LookupError(pair.name)

        def on_error(self, exc: BaseException, pair: Any) -> bool:
            return isinstance(exc, LookupError)

    run(Mine, world, {})
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"
    assert (world / "local" / "edit-there").read_text() == "edited there!"


def test_a_patched_instance_counts(world: Path) -> None:
    targets = FsTarget(str(world / "local")), FsTarget(str(world / "remote"))
    synchronizer = BiDirSynchronizer(*targets, {"verbose": 0})
    called: list[str] = []
    synchronizer.on_conflict = lambda pair: called.append(pair.name)  # type: ignore[method-assign]
    synchronizer.run()
    assert called == ["both"]
    assert (world / "remote" / "both").read_text() == "both, there!"


def test_entries_are_the_documented_objects(world: Path) -> None:
    seen: dict[str, Any] = {}

    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            seen.setdefault(f"{entry.is_local()} {entry.get_rel_path()}", entry)
            return super()._before_sync(entry)

        def on_equal(self, pair: Any) -> None:
            if not pair.is_dir:
                assert pair.local is seen[f"True {pair.rel_path}"]
                assert pair.remote is seen[f"False {pair.rel_path}"]
            super().on_equal(pair)

    run(Mine, world, {})
    entry = seen["True same"]
    assert (entry.size, entry.rel_path, entry.classification) == (10, str(world / "local"), "unmodified")
    assert seen["False d/x"].get_rel_path() == "d/x"


def test_an_entry_that_a_hook_leaves_alone_is_not_forgotten(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            return str(entry.name) != "same"

    run(Mine, world, {})
    (world / "local" / "same").unlink()
    run(BiDirSynchronizer, world, {})
    assert not (world / "remote" / "same").exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_the_local_side_is_to_leave_alone_is_left_alone_on_both(mode: str, world: Path) -> None:
    class Mine(MODES[mode]):  # type: ignore[misc, name-defined]
        def _before_sync(self, entry: Any) -> bool:
            super()._before_sync(entry)
            return not (entry.is_local() and entry.name in ("same", "edit-here", "d", "both"))

    local, remote = tree(world / "local"), tree(world / "remote")
    put(world / "local" / "d/x", "edited", -300)
    run(Mine, world, {"delete": True, "resolve": "local" if mode == "upload" else "remote"})
    for name in ("same", "edit-here", "both", "d", "d/x"):
        assert tree(world / "remote")[name] == remote[name], name
    for name in ("same", "edit-here", "both"):
        assert tree(world / "local")[name] == local[name], name
    assert tree(world / "local")["d/x"] == "edited"
    # Nothing of it was forgotten: the edit is still one, and what is removed now is removed there.
    (world / "local" / "same").unlink()
    run(BiDirSynchronizer, world, {})
    assert tree(world / "remote")["edit-here"] == "edited here!"
    assert tree(world / "remote")["d/x"] == "edited"
    assert "same" not in tree(world / "remote")


def test_what_is_said_of_a_remote_entry_counts_where_the_local_side_has_none(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            return entry.is_local() and super()._before_sync(entry)

    run(Mine, world, {})
    assert not (world / "local" / "newer").exists()
    assert (world / "remote" / "gone-here").exists()
    assert (world / "remote" / "edit-here").read_text() == "edited here!"
    assert (world / "local" / "edit-there").read_text() == "edited there!"


def test_a_name_left_alone_at_the_first_contact_stays_a_first_contact(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            return not (entry.is_local() and entry.name == "met") and super()._before_sync(entry)

    for meta in world.rglob(".pyftpsync-meta.json"):
        meta.unlink()
    put(world / "local" / "met", "older")
    put(world / "remote" / "met", "newer one", -100)
    run(Mine, world, {})
    assert (world / "local" / "met").read_text() == "older"
    stats = run(BiDirSynchronizer, world, {}).get_stats()
    assert (world / "local" / "met").read_text() == "newer one"
    assert stats["conflict_files"] == 0


def test_a_side_whose_entries_are_left_alone_is_not_empty(world: Path) -> None:
    class Mine(UploadSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            return not entry.is_local()

    put(world / "remote" / "orphan", "orphan")
    with_one = run(Mine, world, {"delete": True, "delete_unmatched": True})
    assert not (world / "remote" / "newer").exists()
    assert (world / "remote" / "same").exists()
    assert with_one.error_count() == 0


def test_a_mock_is_an_override(world: Path) -> None:
    (world / "local" / "same").unlink()
    for autospec in (False, True):
        targets = FsTarget(str(world / "local")), FsTarget(str(world / "remote"))
        synchronizer = UploadSynchronizer(*targets, {"delete": True, "verbose": 0})
        for where in (UploadSynchronizer, synchronizer):
            with mock.patch.object(where, "_remove_file", autospec=autospec or None) as double:
                synchronizer.run()
            assert double.called
            assert (world / "remote" / "same").exists()


def test_a_wrapper_with_the_attributes_of_what_it_wraps_is_an_override(world: Path) -> None:
    def guarded(method: Any) -> Any:
        @functools.wraps(method)
        def inner(self: Any, entry: Any) -> Any:
            return None if entry.name == "gone-here" else method(self, entry)

        return inner

    class Mine(BiDirSynchronizer):
        _remove_file = guarded(BiDirSynchronizer._remove_file)

    class Below(Mine):
        pass

    put(world / "remote" / "gone-here-too", "x")
    run(Below, world, {})
    assert (world / "remote" / "gone-here").exists()


def test_the_default_of_another_hook_is_an_override(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        on_delete_remote = BiDirSynchronizer.on_equal

    run(Mine, world, {})
    assert (world / "remote" / "gone-here").exists()


class Noted(BiDirSynchronizer):
    """Notes every step, and what the sides look like before and after it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.noted: list[str] = []

    def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> Any:
        path = file_entry.get_rel_path()
        assert file_entry.target is src and src.peer is dest
        assert str(src.cur_dir) == file_entry.rel_path
        self.noted.append(f"copy {path}")
        result = super()._copy_file(src, dest, file_entry)
        assert self.dry_run or (Path(dest.root_dir) / path).is_file()
        self.noted.append(f"copied {path}")
        return result

    def _copy_recursive(self, src: Any, dest: Any, dir_entry: Any) -> Any:
        path = dir_entry.get_rel_path()
        self.noted.append(f"copy [{path}]")
        super()._copy_recursive(src, dest, dir_entry)
        assert self.dry_run or (Path(dest.root_dir) / path).is_dir()
        self.noted.append(f"copied [{path}]")

    def _remove_file(self, file_entry: Any) -> Any:
        super()._remove_file(file_entry)
        assert file_entry.was_deleted
        self.noted.append(f"remove {file_entry.get_rel_path()}")

    def _remove_dir(self, dir_entry: Any) -> Any:
        super()._remove_dir(dir_entry)
        self.noted.append(f"remove [{dir_entry.get_rel_path()}]")

    def _sync_dir(self) -> Any:
        folder = os.path.relpath(str(self.local.cur_dir), self.local.root_dir)
        assert os.path.relpath(str(self.remote.cur_dir), self.remote.root_dir) == folder
        self.noted.append(f"enter {folder}")
        super()._sync_dir()
        self.noted.append(f"leave {folder}")

    def _dry_run_action(self, action: str) -> None:
        self.noted.append(" ".join(action.split()[:2]))
        super()._dry_run_action(action)


def test_every_step_is_called_in_the_documented_order(world: Path) -> None:
    noted = run(Noted, world, {}).noted
    assert noted[0] == "enter ." and noted[-1] == "leave ."
    at = noted.index
    new = ["copy [new]", "copy [new/sub]", "copy new/sub/deep", "copied new/sub/deep", "copied [new/sub]"]
    begin = at("copy [new]")
    assert noted[begin : begin + 6] == [*new, "copied [new]"]
    assert at("enter d") > begin, "folders that both sides have come after the entries of their parent"
    assert {"remove gone-here", "remove gone-there", "copied edit-here", "copied newer"} < set(noted)


def test_steps_in_a_dry_run_tell_what_is_not_done(world: Path) -> None:
    before = tree(world)
    noted = run(Noted, world, {"dry_run": True}).noted
    assert tree(world) == before
    assert {"copy file", "copy directory", "delete file"} < set(noted)
    assert "copy [new/sub]" not in noted, "the inside of a new folder is not visited in a dry run"


def test_a_step_that_does_nothing_prevents(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> None:
            if not file_entry.name.startswith("edit"):
                super()._copy_file(src, dest, file_entry)

        def _remove_file(self, file_entry: Any) -> None:
            pass

        def _copy_recursive(self, src: Any, dest: Any, dir_entry: Any) -> None:
            if dir_entry.name != "sub":
                super()._copy_recursive(src, dest, dir_entry)

    run(Mine, world, {})
    remote = tree(world / "remote")
    assert remote["edit-here"] == "first edit-here"
    assert remote["newer"] == tree(world / "local")["newer"]
    assert "gone-here" in remote
    assert "new" in remote and "new/sub" not in remote


def test_a_step_can_be_asked_for_by_a_handler(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_conflict(self, pair: Any) -> None:
            self._copy_file(self.local, self.remote, pair.local)
            assert (world / "remote" / pair.rel_path).read_text() == "both, here"

        def on_copy_remote(self, pair: Any) -> None:
            if pair.name == "newer":
                self._remove_file(pair.remote)
            else:
                super().on_copy_remote(pair)

    stats = run(Mine, world, {}).get_stats()
    assert not (world / "remote" / "newer").exists()
    assert (world / "local" / "edit-there").read_text() == "edited there!"
    assert stats["files_deleted"] == 3
    again = run(BiDirSynchronizer, world, {}).get_stats()
    assert (again["conflict_files"], again["files_written"], again["files_deleted"]) == (0, 0, 0)


def test_a_handler_may_not_change_a_side_that_is_only_read(world: Path) -> None:
    class Mine(UploadSynchronizer):
        def on_copy_remote(self, pair: Any) -> None:
            self._copy_file(self.remote, self.local, pair.remote)

    with pytest.raises(RuntimeError, match="^target is read-only: "):
        run(Mine, world, {})
    assert not (world / "local" / "newer").exists()


def test_a_folder_that_a_handler_declares_deleted_is_not_entered(world: Path) -> None:
    entered = []

    class Mine(BiDirSynchronizer):
        def on_need_compare(self, pair: Any) -> None:
            if pair.is_dir:
                pair.remote.was_deleted = True

        def _before_sync(self, entry: Any) -> bool:
            entered.append(entry.get_rel_path())
            return True

    put(world / "local" / "d" / "extra", "extra")
    run(Mine, world, {})
    assert "d/extra" not in entered
    assert not (world / "remote" / "d" / "extra").exists()


def test_a_folder_algorithm_of_ones_own(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        """Copies new local files, and nothing else."""

        def _sync_dir(self) -> None:
            there = {entry.name for entry in self.remote.get_dir()}
            for entry in self.local.get_dir():
                if entry.name in there:
                    continue
                step = self._copy_recursive if entry.is_dir() else self._copy_file
                step(self.local, self.remote, entry)
            self.local.flush_meta()

    stats = run(Mine, world, {}).get_stats()
    assert (world / "remote" / "new/sub/deep").read_text() == "deep"
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"
    assert (stats["dirs_created"], stats["upload_files_written"]) == (2, 2)


def test_entries_know_what_the_last_run_remembers(world: Path) -> None:
    seen: dict[str, Any] = {}

    class Mine(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            if entry.is_file():
                seen[f"{entry.is_local()} {entry.get_rel_path()}"] = entry.was_modified_since_last_sync()
            return super()._before_sync(entry)

    run(Mine, world, {})
    assert (seen["True same"], seen["True edit-here"], seen["False newer"]) == (False, True, None)


def test_the_base_class_tells_and_changes_nothing(world: Path, lines: list[str]) -> None:
    class Mine(BaseSynchronizer):
        def get_info_strings(self) -> tuple[str, str]:
            return ("compare", "with")

    before = tree(world)
    metas = {path: path.read_text() for path in world.rglob(".pyftpsync-meta.json")}
    lines.clear()
    run(Mine, world, {})
    assert tree(world) == before
    assert {path: path.read_text() for path in world.rglob(".pyftpsync-meta.json")} == metas
    told = {" ".join(line.split()) for line in lines}
    assert {
        "COPY UNMODIFIED > edit-here",
        "COPY MISSING > [new]",
        "COPY MISSING < newer",
        "SKIP CONFLICT ! both",
        "MODIFIED >X gone-here",
        "MODIFIED X< gone-there",
        "EQUAL = same",
    } <= told


def test_handlers_on_top_of_the_base_class_can_act(world: Path) -> None:
    class Mine(BaseSynchronizer):
        def get_info_strings(self) -> tuple[str, str]:
            return ("collect", "from")

        def on_copy_remote(self, pair: Any) -> None:
            if not pair.is_dir:
                self._copy_file(self.remote, self.local, pair.remote)

    run(Mine, world, {})
    assert (world / "local" / "newer").read_text() == "newer"
    assert (world / "local" / "edit-there").read_text() == "edited there!"
    assert (world / "remote" / "edit-here").read_text() == "first edit-here"


def test_a_failing_handler_is_told_with_its_pair(world: Path, lines: list[str]) -> None:
    class Mine(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            raise LookupError("no such luck")

    with pytest.raises(LookupError):
        run(Mine, world, {})
    assert any(line.startswith("ERROR: no such luck\n    <EntryPair(") for line in lines)


def count_calls(kind: type[Any], root: Path) -> int:
    """Returns how often Python code of this package is entered during a run, without opening and closing."""
    entered = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal entered
        entered += event == "call" and "ftpsync" in frame.f_code.co_filename

    synchronizer = kind(FsTarget(str(root / "local")), FsTarget(str(root / "remote")), {"verbose": 3})
    sys.setprofile(count)
    try:
        synchronizer.run()
    finally:
        sys.setprofile(None)
    return entered


@pytest.mark.parametrize("mode", MODES)
def test_a_plain_run_does_not_enter_python_for_its_files(mode: str, tmp_path: Path, lines: list[str]) -> None:
    entered = []
    for count in (10, 2_000):
        root = tmp_path / str(count)
        for side in ("local", "remote"):
            for number in range(count):
                folder = root / side / str(number % 20 if count > 10 else 0)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number}.txt").write_bytes(b"x")
                os.utime(folder / f"{number}.txt", (1.6e9, 1.6e9))
        run(MODES[mode], root, {"verbose": 0})
        lines.clear()
        entered.append(count_calls(MODES[mode], root))
    # Not equal: while a run waits, Python is asked ten times a second whether to go on.
    assert entered[1] < entered[0] + 1000


def test_a_hook_that_is_not_overridden_is_not_called_for_the_sake_of_others(world: Path) -> None:
    class Mine(BiDirSynchronizer):
        def on_conflict(self, pair: Any) -> None:
            calls.clear()

    calls: list[str] = []

    def count(frame: Any, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    synchronizer = Mine(FsTarget(str(world / "local")), FsTarget(str(world / "remote")), {"verbose": 0})
    sys.setprofile(count)
    try:
        synchronizer.run()
    finally:
        sys.setprofile(None)
    assert not {"_before_sync", "_copy_file", "on_copy_local", "_match", "re_classify"} & set(calls)


def test_a_line_comes_with_the_entry_that_it_is_about(world: Path) -> None:
    heard: dict[str, Any] = {}

    class Mine(BiDirSynchronizer):
        def _log_action(self, action: str, status: str, symbol: str, entry: Any, min_level: int = 3) -> None:
            heard[entry.get_rel_path()] = entry

    run(Mine, world, {"resolve": "remote", "verbose": 0})
    for name, is_local in {
        "edit-here": True,
        "edit-there": False,
        "newer": False,
        "new": True,
        "gone-here": False,
        "gone-there": True,
        "same": True,
        "both": True,
    }.items():
        side = world / ("local" if is_local else "remote")
        assert heard[name].target.root_dir == str(side), name
        assert heard[name].name == name
        if heard[name].is_file():
            assert heard[name].mtime and heard[name].size, name
    assert heard["edit-there"].size == len("edited there!")
    assert heard["gone-here"].size == len("first gone-here")


def test_handlers_see_why_the_operation_was_changed(world: Path) -> None:
    seen: dict[str, Any] = {}

    class Mine(UploadSynchronizer):
        def re_classify_pair(self, pair: Any) -> Any:
            result = super().re_classify_pair(pair)
            if pair.name == "same":
                pair.override_operation("copy_local", "nightly")
            return result

        def on_copy_local(self, pair: Any) -> None:
            seen[pair.name] = pair.re_class_reason

        def on_delete_remote(self, pair: Any) -> None:
            seen[pair.name] = pair.re_class_reason

    run(Mine, world, {"delete": True})
    assert (seen["same"], seen["newer"], seen["edit-here"]) == ("nightly", "restore", None)


def test_run_closes_by_close(world: Path) -> None:
    closed = []

    class Mine(BiDirSynchronizer):
        def close(self) -> None:
            closed.append((self.local.connected, self.remote.connected))
            super().close()

    assert not run(Mine, world, {}).local.connected
    assert closed == [(True, True)]


@pytest.mark.parametrize("change", ["none", "missing", "text", "replaced"])
def test_patterns_may_change_after_construction(change: str, world: Path) -> None:
    synchronizer = BiDirSynchronizer(
        FsTarget(str(world / "local")),
        FsTarget(str(world / "remote")),
        {"verbose": 0, "exclude": "edit-here"},
    )
    if change == "none":
        synchronizer.options.update(match=None, exclude=None)
    elif change == "missing":
        del synchronizer.options["match"], synchronizer.options["exclude"]
    elif change == "text":
        synchronizer.options.update(match="edit-*, new*", exclude="both")
    else:
        synchronizer.options = {}
    assert synchronizer.run() is True
    assert (world / "remote" / "edit-here").read_text() == "edited here!"


def test_a_target_may_open_the_base_class_only(world: Path) -> None:
    class Mine(FsTarget):
        def open(self) -> None:
            _Target.open(self)
            self.cur_dir = self.root_dir

    synchronizer = BiDirSynchronizer(
        Mine(str(world / "local")), FsTarget(str(world / "remote")), {"verbose": 0}
    )
    assert synchronizer.run() is True
    assert (world / "remote" / "edit-here").read_text() == "edited here!"


@pytest.mark.parametrize("hook", ["on_copy_local", "_before_sync"])
def test_what_the_handler_of_a_signal_raises_comes_out_of_a_run_with_hooks(hook: str, tmp_path: Path) -> None:
    class Late(Exception):
        pass

    def is_late(*_: object) -> None:
        raise Late("time is up")

    called = []

    def own(self: Any, *arguments: Any) -> Any:
        called.append(arguments)
        if len(called) == 2:
            os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(0.001)
        return getattr(super(UploadSynchronizer, self), hook)(*arguments)

    local, remote = tmp_path / "local", tmp_path / "remote"
    for side in (local, remote):
        side.mkdir()
    for number in range(500):
        (local / f"{number}").write_text("x")
    before = signal.signal(signal.SIGALRM, is_late)
    try:
        kind = type("Own", (UploadSynchronizer,), {hook: own})
        with pytest.raises(Late, match="time is up"):
            kind(FsTarget(str(local)), FsTarget(str(remote)), {"verbose": 0}).run()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(called) < 500


def test_a_signal_between_hooks_comes_out_as_what_its_handler_raises(tmp_path: Path) -> None:
    class Late(Exception):
        pass

    def is_late(*_: object) -> None:
        raise Late("time is up")

    class Own(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            # It comes while nobody is in Python code of the user's.
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            return super().on_copy_local(pair)

    local, remote = tmp_path / "local", tmp_path / "remote"
    for side in (local, remote):
        side.mkdir()
    (local / "large").write_bytes(bytes(1_000_000))
    before = signal.signal(signal.SIGALRM, is_late)
    try:
        with ftp_server(remote, bytes_per_second=300_000) as server:
            synchronizer = Own(FsTarget(str(local)), make_target(server.url), {"verbose": 0})
            with pytest.raises(Late, match="time is up"):
                synchronizer.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
