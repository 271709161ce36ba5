"""Hooks of the synchronizers: called in order, with the documented objects, and obeyed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget
from ftpsync.util import set_pyftpsync_logger

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
HOOKS = (*HANDLERS, "_before_sync", "_interactive_resolve", "_log_action", "_match", "re_classify_pair")
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


def put(path: Path, text: str, age: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1.6e9 - age, 1.6e9 - age))


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


def tree(root: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if not path.name.startswith(".pyftpsync-")
    }


def hooked(kind: type[Any], names: tuple[str, ...] = HOOKS) -> type[Any]:
    """A subclass in which every hook is overridden by a call of the one above."""

    def passing(name: str) -> Any:
        return lambda self, *args: getattr(super(made, self), name)(*args)

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
            return entry.name != "same"

    run(Mine, world, {})
    (world / "local" / "same").unlink()
    run(BiDirSynchronizer, world, {})
    assert not (world / "remote" / "same").exists()
