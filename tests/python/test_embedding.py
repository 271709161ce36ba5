"""The package inside other programs: threads, pools of processes, streams that are not there, an early Ctrl+C."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ftpsync import demo, pyftpsync
from ftpsync._s3_progress import ProgressBar
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from ftpsync.util import CliSilentRuntimeError, set_pyftpsync_logger
from small_servers import ftp_server
from small_worlds import Sides, fill, make_sides, names, put, run


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    made = make_sides(tmp_path)
    fill(made[0], "a b d/c")
    return made


# -- one run at a time ------------------------------------------------------------------------------------------


class OwnTarget(FsTarget):
    """Stands in one folder: two runs would read from the folders of one another."""

    def open_readable(self, name: str) -> Any:
        return super().open_readable(name)


def beside(work: Callable[[], object]) -> BaseException | None:
    """What something raises in another thread."""
    raised: list[BaseException] = []

    def note() -> None:
        try:
            work()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    thread.join(60)  # Two runs with one synchronizer waited for one another.
    return raised[0] if raised else None


@pytest.mark.parametrize("kind", [FsTarget, OwnTarget])
@pytest.mark.parametrize("shared", ["local", "remote"])
def test_a_target_is_used_by_one_run_at_a_time(
    sides: Sides, tmp_path: Path, kind: type[FsTarget], shared: str
) -> None:
    (tmp_path / "third").mkdir()
    local, remote, third = kind(str(sides[0])), FsTarget(str(sides[1])), FsTarget(str(tmp_path / "third"))
    other = (
        UploadSynchronizer(local, third, {"verbose": 0, "dry_run": True})
        if shared == "local"
        else DownloadSynchronizer(third, remote, {"verbose": 0, "dry_run": True})
    )
    refusals: list[BaseException | None] = []

    class Meanwhile(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            if not refusals:
                refusals.extend([None, beside(other.run), beside(self.run)])
                with pytest.raises(RuntimeError) as refused:
                    other.run()
                refusals[0] = refused.value
                assert self.local.synchronizer is self and self.local.connected and not self.local.dry_run
            super().on_copy_local(pair)

    synchronizer = Meanwhile(local, remote, {"verbose": 0})
    assert synchronizer.run() is True
    assert len(refusals) == 3
    for refusal in refusals:
        assert isinstance(refusal, RuntimeError) and "is used by another run" in str(refusal)
    assert names(sides[1]) == {"a", "b", "d/c"}
    assert synchronizer.get_stats()["files_written"] == 3
    other.dry_run = False
    assert other.run() is True, "later it is free"
    assert names(tmp_path / "third") == {"a", "b", "d/c"}


def test_a_run_that_fails_lets_go_of_its_targets(sides: Sides) -> None:
    class Failing(BiDirSynchronizer):
        def on_copy_local(self, pair: Any) -> None:
            raise ZeroDivisionError

    local, remote = FsTarget(str(sides[0])), FsTarget(str(sides[1]))
    with pytest.raises(ZeroDivisionError):
        Failing(local, remote, {"verbose": 0}).run()
    assert BiDirSynchronizer(local, remote, {"verbose": 0}).run() is True


# -- processes of a pool ----------------------------------------------------------------------------------------


def synchronise_in_vain(local: str, url: str) -> None:
    UploadSynchronizer(FsTarget(local), make_target(url), {"verbose": 0}).run()


def test_an_error_reaches_whoever_waits_for_a_worker(sides: Sides) -> None:
    with (
        ftp_server(sides[1]) as server,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        waiting = pool.submit(synchronise_in_vain, str(sides[0]), f"{server.url}missing")
        with pytest.raises(CliSilentRuntimeError, match="Could not change remote directory to '/missing'"):
            waiting.result()


def test_an_error_is_the_same_after_the_way() -> None:
    error = CliSilentRuntimeError("what happened", min_verbosity=2, exit_code=7)
    error.what = "in one line"  # type: ignore[attr-defined]
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), arrived.args) == (CliSilentRuntimeError, ("what happened",))
    assert vars(arrived) == {"min_verbosity": 2, "exit_code": 7, "what": "in one line"}


# -- streams that are not there ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_printed", [True, False])
def test_progress_that_nobody_sees_is_no_obstacle(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, is_printed: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    if is_printed:
        set_pyftpsync_logger(None)
    run(UploadSynchronizer, sides, progress=True)
    assert names(sides[1]) == {"a", "b", "d/c"}


def test_progress_on_a_stream_that_was_closed_is_no_obstacle(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed = (tmp_path / "log").open("w")
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    run(UploadSynchronizer, sides, progress=True)
    set_pyftpsync_logger(None)
    put(sides[0], "e")
    run(UploadSynchronizer, sides, progress=True, verbose=0)
    assert names(sides[1]) == {"a", "b", "d/c", "e"}


def test_the_demo_needs_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert demo.run_demo() == 0


def test_a_bar_needs_no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar(10, "x", "progress") as bar:
        bar.update(10)


# -- what a program had before ----------------------------------------------------------------------------------


def test_a_program_that_runs_commands_keeps_its_garbage_collection(sides: Sides) -> None:
    code = (
        "import gc, sys, weakref\n"
        "from ftpsync import pyftpsync\n"
        "class Node:\n"
        "    pass\n"
        "node = Node()\n"
        "node.itself = node\n"
        "seen = weakref.ref(node)\n"
        "pyftpsync.run()\n"
        "del node\n"
        "gc.collect()\n"
        "print(gc.isenabled(), gc.get_freeze_count(), seen())\n"
    )
    words = [sys.executable, "-c", code, "upload", "-qqq", *map(str, sides)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True 0 None\n"), done.stderr
    assert names(sides[1]) == {"a", "b", "d/c"}


# -- an early Ctrl+C --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["argparse", "ftpsync.synchronizers", "ftpsync.tree_command"])
@pytest.mark.parametrize("program", ["ftpsync", "ftpsync.pyftpsync"])
def test_ctrl_c_while_the_program_is_loaded_ends_it_in_the_usual_way(module: str, program: str) -> None:
    code = (
        "import runpy, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['pyftpsync', '--version']\n"
        f"runpy.run_module({program!r}, run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "\nAborted by user.\n")


@pytest.mark.parametrize("place", ["_parser", "_settle_verbosity", "_warn_about_rivals"])
def test_ctrl_c_before_the_work_begins_ends_it_in_the_usual_way(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, place: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pyftpsync, place, interrupted)
    monkeypatch.setattr(sys, "argv", ["pyftpsync", "tree", "."])
    with pytest.raises(SystemExit) as end:
        pyftpsync.run()
    assert end.value.code == 3
    assert capsys.readouterr().err == "\nAborted by user.\n"
