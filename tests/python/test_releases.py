"""Where 3.1 and 4.1 differ, 4.1 applies, and `PYFTPSYNC_COMPAT=3.1` chooses 3.1: row by row, both ways.

Like the tests of the defects these can be run with the releases themselves, each with its own half.
"""

from __future__ import annotations

import builtins
import getpass
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync import util
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from small_servers import ftp_server
from small_worlds import Sides, command_line, fill, make_sides, names, printing, put, run, synchronise


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture(params=["as 4.1", "as 3.1"])
def is_31(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Chooses a release for this process and those that it starts."""
    old = bool(request.param == "as 3.1")
    monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1" if old else "")
    return old


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return make_sides(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked for; `joe` and `pass-word` are the answers."""
    questions: list[str] = []

    def answer(text: str) -> Any:
        def ask(prompt: str = "", stream: Any = None) -> str:
            questions.append(text)
            return text

        return ask

    monkeypatch.setattr(builtins, "input", answer("joe"))
    if hasattr(util, "compat"):  # 3.1 itself took it away when it was imported.
        monkeypatch.setattr(util.compat, "console_input", builtins.input)
    monkeypatch.setattr(getpass, "getpass", answer("pass-word"))
    return questions


def test_names_that_differ_in_case(is_31: bool, sides: Sides) -> None:
    fill(sides[0], "Name other")
    fill(sides[1], "name")
    if is_31:
        run(BiDirSynchronizer, sides)
        assert names(sides[0]) == names(sides[1]) == {"Name", "name", "other"}
    else:
        with pytest.raises(RuntimeError, match=r"^Found ambigiuos name \("):
            run(BiDirSynchronizer, sides)
        assert (names(sides[0]), names(sides[1]) - {"other"}) == ({"Name", "other"}, {"name"})


@pytest.mark.parametrize("side", [0, 1], ids=["Local", "Remote"])
def test_names_of_one_side_that_differ_in_case(is_31: bool, side: int, sides: Sides) -> None:
    fill(sides[side], "Name name")
    if is_31:
        run(BiDirSynchronizer, sides)
        assert names(sides[0]) == names(sides[1]) == {"Name", "name"}
    else:
        start = ("Local", "Remote")[side] + " target contains file names that only differ in case:"
        with pytest.raises(RuntimeError, match=f"^{start}"):
            run(BiDirSynchronizer, sides)
        assert names(sides[1 - side]) == set()


def test_the_summary_line(is_31: bool, sides: Sides) -> None:
    fill(sides[0], "a")
    out = command_line("upload", str(sides[0]), str(sides[1]), "--no-color").stdout
    errors = "" if is_31 else ", errors: 0"
    assert re.search(
        rf"^Wrote 1/1 files in 0 directories, skipped: 0{errors}\. Elap: [\d.]+ sec\.$", out, re.MULTILINE
    )


@pytest.mark.parametrize("missing", ["missing"])
def test_a_missing_remote_folder(is_31: bool, missing: str, sides: Sides) -> None:
    fill(sides[0], "a")
    with ftp_server(sides[1]) as server:
        with pytest.raises(RuntimeError) as caught:
            synchronise(UploadSynchronizer, FsTarget(str(sides[0])), make_target(server.url + missing))
        assert (type(caught.value) is RuntimeError) == is_31
        start = "Unable to navigate to working directory" if is_31 else "Could not change remote directory to"
        assert str(caught.value).startswith(start)
        assert ("--create-folder" in str(caught.value)) != is_31


@pytest.mark.parametrize(
    ("kind", "orphans"), [(UploadSynchronizer, 1), (DownloadSynchronizer, 0)], ids=["upload", "download"]
)
def test_orphans_where_nothing_is_remembered(
    is_31: bool, kind: type[Any], orphans: int, sides: Sides, capsys: Any
) -> None:
    for side in sides:
        fill(side, "a b c d")
    fill(sides[orphans], "orphan")
    run(kind, sides, delete=True)
    assert (sides[orphans] / "orphan").exists() == is_31
    line = ("SKIP UPLOAD", "SKIP DOWNLOAD")[orphans] if is_31 else "DELETE MISSING"
    assert re.search(rf"^{line} .* orphan", capsys.readouterr().out, re.MULTILINE)


def test_a_file_that_cannot_be_opened(is_31: bool, sides: Sides) -> None:
    class Locked(FsTarget):
        def open_readable(self, name: str) -> Any:
            if name == "a":
                raise PermissionError(13, "Permission denied", name)
            return super().open_readable(name)

    fill(sides[0], "a b")
    synchronizer = UploadSynchronizer(Locked(str(sides[0])), FsTarget(str(sides[1])), {"verbose": 0})
    if is_31:
        with pytest.raises(PermissionError):
            synchronizer.run()
    else:
        assert synchronizer.run() is True
        assert names(sides[1]) == {"b"}
        stats = synchronizer.get_stats()
        assert (stats["errors"], stats["copy_errors"]) == (1, 1)


def test_a_matched_folder_of_both_sides_with_delete_unmatched(sides: Sides) -> None:
    for side in sides:
        fill(side, "folder/a.txt folder/b.bak")
    run(UploadSynchronizer, sides, match=["*.txt"], delete=True, delete_unmatched=True)
    assert names(sides[1]) == {"folder/a.txt"}


def test_prompting(is_31: bool, asked: list[str], tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine h login sue password stored\n")
    netrc.chmod(0o600)
    options = {"prompt": True, "no_prompt": True, "no_keyring": True, "verbose": 3}
    # 3.1 offers what it has found, and asks at all only where that is allowed.
    found = util.get_credentials_for_url("h", options)
    assert (found, asked) == (
        (("sue", "stored"), []) if is_31 else (("joe", "pass-word"), ["joe", "pass-word"])
    )
    asked.clear()
    assert util.get_credentials_for_url("h", {**options, "no_prompt": False}) == ("joe", "pass-word")
    assert asked == ["joe", "pass-word"]


def test_a_user_without_a_password(is_31: bool, asked: list[str]) -> None:
    options = {"no_prompt": False, "no_keyring": True, "no_netrc": True, "verbose": 3}
    found = util.get_credentials_for_url("h", options, force_user="sue")
    if is_31:
        assert (found, asked) == (("joe", "pass-word"), ["joe", "pass-word"])
    else:
        assert (found, asked) == (("sue", "pass-word"), ["pass-word"])


def test_verbosity_need_not_be_given() -> None:
    assert util.get_credentials_for_url("h", {"no_keyring": True}) is None


@pytest.mark.parametrize("topics", [set(), {"classify"}], ids=["", "--debug classify"])
def test_the_line_about_an_overridden_operation(
    is_31: bool, topics: set[str], sides: Sides, capsys: Any
) -> None:
    flags = getattr(util, "DEBUG_FLAGS", set())  # 3.1 has none.
    put(sides[0], "a", "here", age=100)
    put(sides[1], "a", "there")
    flags.update(topics)
    try:
        run(UploadSynchronizer, sides, force=True, verbose=4)
    finally:
        flags.clear()
    assert (sides[1] / "a").read_text() == "here"
    assert ("override_operation" in capsys.readouterr().out) == (is_31 or bool(topics))


def test_abbreviated_options(is_31: bool, sides: Sides) -> None:
    fill(sides[0], "a")
    done = command_line("upload", "--dry", "--verb", str(sides[0]), str(sides[1]))
    assert done.returncode == (0 if is_31 else 2), done.stderr
    if is_31:
        assert "(DRY-RUN)" in done.stdout


def test_the_password_of_a_url(is_31: bool) -> None:
    target: Any = make_target("ftp://joe:p%41ss@host/")
    assert target.password == ("p%41ss" if is_31 else "pAss")


def test_the_task_file(is_31: bool, sides: Sides) -> None:
    fill(sides[0], "a")
    task = "{command: upload, remote: %s, dry_run: %s}"
    tasks = f"tasks:\n  default: {task % (sides[1], 'true')}\n  other: {task % (sides[1], 'false')}\n"
    if is_31:
        put(sides[0], ".pyftpsync.yaml", tasks)
    else:
        put(sides[0], "pyftpsync.yaml", f"default_task: other\n{tasks}")
    done = command_line("run", cwd=sides[0])
    assert done.returncode == 0, done.stderr
    assert names(sides[1]) == (set() if is_31 else {"a"})


def test_the_task_file_of_the_other_release_comes_second(is_31: bool, sides: Sides) -> None:
    fill(sides[0], "a")
    files = ["pyftpsync.yaml", ".pyftpsync.yaml"]
    first, second = reversed(files) if is_31 else files
    task = "tasks: {default: {command: upload, remote: %s}}"
    put(sides[0], second, task % sides[1])
    assert command_line("run", cwd=sides[0]).returncode == 0
    assert names(sides[1]) == {"a"}
    put(sides[0], first, task % "/nowhere")
    assert "/nowhere" in command_line("run", cwd=sides[0]).stderr
