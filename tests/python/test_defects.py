"""What pyftpsync 4.1 gets wrong, or does to one's surprise, row by row: `test_d05_...` shows what is done about D5.

This file and `test_defects_on_servers` use nothing of the product but what both have, so that they can be run with 4.1
as well: there the tests of what is repaired must fail, and those of what is kept pass (see `test_defects_are_real`).

D32 and D35 are about SFTP. D23 needs more than 4.1 has, and is left out there.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync import util
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from small_servers import ftp_server
from small_worlds import (
    LOCK,
    META,
    THEN,
    Sides,
    command_line,
    fill,
    make_sides,
    names,
    printing,
    put,
    python,
    run,
    synchronise,
)


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return make_sides(tmp_path)


# -- what a run does -----------------------------------------------------------------------------------------


def test_d01_folders_with_a_capital_letter_are_descended_into(sides: Sides) -> None:
    fill(sides[0], "Photos/first")
    run(BiDirSynchronizer, sides)
    fill(sides[0], "Photos/second")
    run(BiDirSynchronizer, sides)
    assert names(sides[1]) == {"Photos/first", "Photos/second"}


def test_d02_filters_hold_inside_new_folders(sides: Sides) -> None:
    fill(sides[0], f"new/keep new/draft.bak new/.git/config new/deep/keep new/pyftpsync.yaml new/deep/{LOCK}")
    stats = run(UploadSynchronizer, sides, exclude=[".git", "*.bak"])
    assert names(sides[1]) == {"new/keep", "new/deep/keep"}
    assert not (sides[1] / "new" / ".git").exists()
    assert (stats["files_written"], stats["dirs_created"]) == (2, 2)
    run(UploadSynchronizer, sides, exclude=[".git", "*.bak"], delete=True, delete_unmatched=True)
    assert names(sides[1]) == {"new/keep", "new/deep/keep"}


@pytest.mark.parametrize("version", [{"_file_version": 2}, {}], ids=["version 2", "no version"])
@pytest.mark.parametrize("new", ["b", ""], ids=["something to remember", "nothing to remember"])
def test_d03_migration_starts_from_nothing(new: str, version: Any, sides: Sides) -> None:
    for side in sides:
        fill(side, "a sub/c")
    fill(sides[0], new)
    old = {**version, "mtimes": {}, "peer_sync": {str(sides[1]): {"gone": {"m": 1, "s": 2, "u": 3}}}}
    (sides[0] / META).write_text(json.dumps(old))
    run(BiDirSynchronizer, sides, migrate=True)
    assert names(sides[0]) == names(sides[1]) == {"a", "sub/c", *new}
    if new:
        meta = json.loads((sides[0] / META).read_text(encoding="utf-8"))
        assert meta["_file_version"] == 3
        assert meta["peer_sync"][str(sides[1])].keys() == {":last_sync", "b"}
    else:
        assert not (sides[0] / META).exists()
    run(BiDirSynchronizer, sides)


def test_d04_an_excluded_folder_of_both_sides_is_left_alone(sides: Sides) -> None:
    for side in sides:
        fill(side, "cache/common")
    fill(sides[0], "cache/here")
    fill(sides[1], "cache/there")
    run(BiDirSynchronizer, sides, exclude=["cache"])
    assert names(sides[0]) == {"cache/common", "cache/here"}
    assert names(sides[1]) == {"cache/common", "cache/there"}


def test_d05_a_deletion_as_the_last_change_is_remembered(sides: Sides) -> None:
    fill(sides[0], "a b c d e f")
    with ftp_server(sides[1]) as server:
        synchronise(BiDirSynchronizer, FsTarget(str(sides[0])), make_target(server.url))
        (sides[0] / "f").unlink()
        synchronise(BiDirSynchronizer, FsTarget(str(sides[0])), make_target(server.url))
    assert "f" not in names(sides[1])
    known = json.loads((sides[0] / META).read_text(encoding="utf-8"))["peer_sync"]
    assert known and [peer for peer in known if "f" in known[peer]] == []


@pytest.mark.parametrize("resolve", ["old", "new"])
@pytest.mark.parametrize("edited", [0, 1], ids=["edited here", "edited there"])
def test_d06_old_and_new_leave_a_file_alone_that_was_edited_and_deleted(
    resolve: str, edited: int, sides: Sides, capsys: Any
) -> None:
    fill(sides[0], "a b c d")
    run(BiDirSynchronizer, sides)
    put(sides[edited], "a", "edited", age=-100)
    (sides[1 - edited] / "a").unlink()
    capsys.readouterr()
    stats = run(BiDirSynchronizer, sides, resolve=resolve)
    assert (sides[edited] / "a").read_text() == "edited" and not (sides[1 - edited] / "a").exists()
    assert (stats["conflict_files"], stats["conflict_files_skipped"]) == (1, 1)
    assert re.search(r"^SKIP CONFLICT +\*\?\* a", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("answer", "expected"), [("o", "older"), ("n", "newer"), ("O", "older"), ("N", "newer")]
)
def test_d06_a_question_can_be_answered_by_age(
    answer: str, expected: str, sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sides[0], "a b")
    run(BiDirSynchronizer, sides)
    for name in ("a", "b"):
        put(sides[0], name, "older", age=-100)
        put(sides[1], name, "newer", age=-200)
    answers = [answer] * (1 if answer.isupper() else 2)
    monkeypatch.setattr("builtins.input", lambda prompt="": answers.pop(0))
    stats = run(BiDirSynchronizer, sides, resolve="ask")
    assert [(side / name).read_text() for side in sides for name in ("a", "b")] == [expected] * 4
    assert stats["interactive_ask"] == (1 if answer.isupper() else 2)


def test_d07_reading_the_options_of_a_target_changes_none(sides: Sides) -> None:
    options: dict[str, Any] = {"a": 1}
    local, remote = FsTarget(str(sides[0]), {"mine": 2, "a": 3}), FsTarget(str(sides[1]))
    local.synchronizer = BiDirSynchronizer(local, remote, options)
    before = dict(options)
    assert local.get_options_dict() == {**before, "mine": 2, "a": 3}
    assert options == before


def test_d08_the_options_of_the_caller_are_processed_in_place(sides: Sides) -> None:
    options: dict[str, Any] = {"match": "*.a, *.b", "exclude": None}
    for _ in range(2):
        assert BiDirSynchronizer(FsTarget(str(sides[0])), FsTarget(str(sides[1])), options).options is options
        assert options == {"match": ["*.a", "*.b"], "exclude": []}


@pytest.mark.parametrize(("case", "source"), [("local", 1), ("remote", 0)])
def test_d21_a_side_that_spells_a_name_differently_is_copied_from(
    case: str, source: int, sides: Sides
) -> None:
    spelled = ("Readme", "README")
    for side, name in zip(sides, spelled, strict=True):
        put(side, name, "old", age=100)
    put(sides[source], spelled[source], "new")
    assert run(BiDirSynchronizer, sides, case=case)["errors"] == 0
    for side in sides:
        (found,) = names(side)
        assert found.lower() == "readme" and (side / found).read_text() == "new"


def test_d24_a_copy_that_breaks_off_leaves_the_old_content(sides: Sides) -> None:
    class Breaking(FsTarget):
        def open_readable(self, name: str) -> Any:
            class Broken(io.BytesIO):
                def read(self, size: int | None = -1, /) -> bytes:
                    if self.tell() > 0:
                        raise OSError(5, "the disk is gone")
                    return super().read(10)

            return Broken(b"new content of a file")

    put(sides[0], "a", "new content of a file")
    put(sides[1], "a", "old content", age=100)
    with pytest.raises(OSError, match="the disk is gone"):
        synchronise(UploadSynchronizer, Breaking(str(sides[0])), FsTarget(str(sides[1])))
    assert (sides[1] / "a").read_text() == "old content"
    assert names(sides[1]) == {"a"}


def test_d30_counters_add_up_over_runs(sides: Sides) -> None:
    fill(sides[0], "a")
    synchronizer = UploadSynchronizer(FsTarget(str(sides[0])), FsTarget(str(sides[1])), {"verbose": 0})
    for count in (1, 2, 3):
        synchronizer.run()
        assert (synchronizer.get_stats()["local_files"], synchronizer.get_stats()["files_written"]) == (
            count,
            1,
        )


def test_d31_closing_makes_a_target_writable_again(sides: Sides) -> None:
    fill(sides[0], "a")
    fill(sides[1], "b")
    local, remote = FsTarget(str(sides[0])), FsTarget(str(sides[1]))
    synchronise(UploadSynchronizer, local, remote)
    assert (local.readonly, remote.readonly) == (False, False)
    synchronise(DownloadSynchronizer, local, remote)
    assert names(sides[0]) == {"a", "b"}


def test_d33_options_that_a_mode_does_not_have_are_ignored(sides: Sides) -> None:
    put(sides[0], "same", "here", age=100)
    put(sides[1], "same", "there")
    fill(sides[1], "only-there not-matched.bak")
    options = {"force": True, "delete": True, "delete_unmatched": True, "no_such_option": 1}
    run(BiDirSynchronizer, sides, exclude=["*.bak"], **options)
    assert names(sides[0]) == {"same", "only-there"}
    assert names(sides[1]) == {"same", "only-there", "not-matched.bak"}
    assert (sides[0] / "same").read_text() == "there"


@pytest.mark.parametrize("verbose", [2, 3])
def test_d34_conflicts_are_told_from_verbosity_3(verbose: int, sides: Sides, capsys: Any) -> None:
    fill(sides[0], "a")
    run(BiDirSynchronizer, sides, verbose=0)
    put(sides[0], "a", "here", age=-100)
    put(sides[1], "a", "there", age=-200)
    assert run(BiDirSynchronizer, sides, verbose=verbose)["conflict_files_skipped"] == 1
    assert ("SKIP CONFLICT" in capsys.readouterr().out) == (verbose == 3)


def test_d40_a_removed_folder_spares_what_was_edited_in_it(sides: Sides) -> None:
    stats = run_with_a_removed_folder(sides)
    assert names(sides[1]) == {"a", "b", "c", "d", "folder/edited"}
    assert stats["conflict_files"] == 1


def test_d40_the_documented_limitation_can_be_had(sides: Sides) -> None:
    stats = run_with_a_removed_folder(sides, no_deep_conflicts=True)
    assert names(sides[1]) == {"a", "b", "c", "d"}
    assert (stats["dirs_deleted"], stats["conflict_files"]) == (1, 0)


def run_with_a_removed_folder(sides: Sides, **options: Any) -> dict[str, Any]:
    fill(sides[0], "a b c d folder/edited folder/same")
    run(BiDirSynchronizer, sides)
    for name in ("edited", "same"):
        (sides[0] / "folder" / name).unlink()
    (sides[0] / "folder" / META).unlink()
    (sides[0] / "folder").rmdir()
    put(sides[1], "folder/edited", "edited", age=-100)
    return run(BiDirSynchronizer, sides, **options)


# -- targets -------------------------------------------------------------------------------------------------


def test_d09_a_file_can_be_removed_without_a_run(tmp_path: Path) -> None:
    fill(tmp_path / "served", "a b")
    with ftp_server(tmp_path / "served", without=["MFMT"]) as server:
        target = make_target(server.url)
        target.open()
        try:
            target.get_dir()
            target.set_mtime("a", THEN - 100, 4)
            target.remove_file("a")
            assert names(tmp_path / "served") == {"b"}
            assert target.cur_dir_meta is None or "a" not in target.cur_dir_meta.list
        finally:
            target.close()


def test_d11_a_sibling_of_the_root_is_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root-sibling").mkdir()
    target = FsTarget(str(tmp_path / "root"))
    target.open()
    with pytest.raises(RuntimeError, match="^Tried to navigate outside root "):
        target.cwd("../root-sibling")
    assert target.pwd() == str(tmp_path / "root")
    target.close()


def test_d12_a_linked_file_is_what_it_leads_to(sides: Sides) -> None:
    put(sides[0], "data/file", "many more bytes than the link itself has")
    (sides[0] / "link").symlink_to("data/file")
    assert run(UploadSynchronizer, sides)["files_written"] == 2
    assert run(UploadSynchronizer, sides)["files_written"] == 0
    assert run(BiDirSynchronizer, sides, resolve="skip")["files_written"] == 0


def test_d12_of_a_linked_folder_only_the_link_is_removed(tmp_path: Path) -> None:
    fill(tmp_path, "data/file")
    (tmp_path / "link").symlink_to("data")
    target = FsTarget(str(tmp_path))
    target.open()
    target.get_dir()
    target.rmdir("link")
    target.close()
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "data" / "file").exists()


def test_d13_setting_a_time_spares_the_time_of_the_last_access(tmp_path: Path) -> None:
    path = put(tmp_path, "a")
    target = FsTarget(str(tmp_path))
    target.open()
    target.set_mtime("a", THEN - 50, 4)
    target.close()
    assert path.stat().st_mtime == THEN - 50
    assert path.stat().st_atime > 0


def test_d14_a_log_gets_plain_text(sides: Sides, caplog: Any) -> None:
    fill(sides[0], "new changed")
    util.set_pyftpsync_logger(logging.getLogger("plain"))
    with caplog.at_level(logging.DEBUG):
        run(BiDirSynchronizer, sides, no_color=False)
        put(sides[0], "changed", "here", age=-100)
        put(sides[1], "changed", "there", age=-200)
        run(BiDirSynchronizer, sides, no_color=False, verbose=5)
    lines = [record.getMessage() for record in caplog.records]
    assert any("SKIP CONFLICT" in line for line in lines) and any("COPY EXISTING" in line for line in lines)
    assert [line for line in lines if "\x1b" in line] == []


def test_d37_what_is_neither_file_nor_folder_is_left_out_with_a_note(sides: Sides, capsys: Any) -> None:
    fill(sides[0], "a")
    os.mkfifo(sides[0] / "pipe")
    (sides[0] / "dangling").symlink_to("nowhere")
    run(UploadSynchronizer, sides)
    assert names(sides[1]) == {"a"}
    told = capsys.readouterr().out
    assert "pipe" not in told and "dangling" not in told
    run(UploadSynchronizer, sides, verbose=4)
    told = capsys.readouterr().out
    assert "pipe" in told and "dangling" in told


# -- the command line and the process ------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "name"), [("--remove-meta", META), ("--remove-locks", LOCK)])
def test_d10_scan_removes_what_it_says(option: str, name: str, tmp_path: Path) -> None:
    for path in (f"root/{name}", f"root/sub/{name}", "root/sub/keep"):
        put(tmp_path, path, '{"_file_version": 3, "mtimes": {}, "peer_sync": {}}')
    for rehearsal in (["-n"], []):
        done = command_line("scan", str(tmp_path / "root"), "-r", option, *rehearsal)
        assert done.returncode == 0, done.stderr
        told = sorted(line for line in done.stdout.splitlines() if line.startswith("DELETE "))
        assert told == [f"DELETE {tmp_path}/root/{name}", f"DELETE {tmp_path}/root/sub/{name}"]
        left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
        assert sorted(left) == sorted(["keep", *([name, name] if rehearsal else [])])


def test_d18_general_options_count_before_the_command_too(sides: Sides) -> None:
    for side in sides:
        fill(side, "a")
    places = ["sync", str(sides[0]), str(sides[1]), "--no-color"]
    assert "EQUAL" in command_line("-v", *places).stdout
    assert "EQUAL" in command_line("-v", "--debug", "classify", *places).stdout
    assert command_line("-qqq", *places).stdout == ""
    fill(sides[0], "Name")
    fill(sides[1], "NAME")
    assert command_line("--case", "strict", *places).returncode == 0
    assert {"Name", "NAME"} <= names(sides[0])


def test_d22_a_typo_in_a_setting_does_not_prevent_the_import(tmp_path: Path) -> None:
    done = python("import ftpsync.synchronizers", PYFTPSYNC_VERBOSE_META="perhaps")
    assert done.returncode == 0 and "PYFTPSYNC_VERBOSE_META" in done.stderr


def test_d28_importing_sets_up_logging_for_plain_scripts(tmp_path: Path) -> None:
    done = python(
        "import logging, ftpsync.util\n"
        "root, ours = logging.getLogger(), logging.getLogger('pyftpsync')\n"
        "print(len(root.handlers), root.level, ours.level, ftpsync.util.get_pyftpsync_logger() is ours)"
    )
    assert done.stdout.split() == ["1", str(logging.INFO), str(logging.DEBUG), "True"]


def test_d29_odd_numbers_stay_as_they_are(sides: Sides) -> None:
    put(sides[0], "ümläut-日本")
    zone = "XYZ-9"  # nine hours east of Greenwich
    code = (
        "import json, sys\n"
        "from ftpsync.synchronizers import BiDirSynchronizer\n"
        "from ftpsync.targets import FsTarget\n"
        "run = BiDirSynchronizer(FsTarget(sys.argv[1]), FsTarget(sys.argv[2]), {'verbose': 0})\n"
        "run.run()\n"
        "print(json.dumps(run.get_stats()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sides[0]), str(sides[1])],
        env={**os.environ, "TZ": zone, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    stats = json.loads(done.stdout)
    text = (sides[0] / META).read_text(encoding="utf-8")
    assert stats["meta_bytes_written"] == len(text) != len(text.encode())
    assert (stats["files_created"], stats["result_code"]) == (0, None)
    meta = json.loads(text)
    assert abs(time.time() - meta["_time"] - 9 * 3600) < 60
    assert isinstance(meta["_time"], float) and meta["_time"] % 1 == 0
    shown = time.strftime("%Y-%m-%d %H", time.gmtime(time.time() + 9 * 3600))
    assert meta["_time_str"].startswith(shown)


def test_every_row_has_its_test() -> None:
    files = sorted(Path(__file__).parent.glob("test_defects*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    about_sftp = {32, 35}
    rows = set(range(1, 41)) - about_sftp
    assert rows - {int(row) for row in re.findall(r"^def test_d(\d\d)_", text, re.MULTILINE)} == set()
