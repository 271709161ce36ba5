"""`pyftpsync.yaml`: what may be in it, what is told about mistakes, and what the command line overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync._task_checks import _CHECKS
from ftpsync.run_command import KNOWN_TASK_ARGS
from small_servers import ftp_server
from small_worlds import Sides, command_line, fill, make_sides, names, printing, put


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """The local side is the folder of the task file."""
    return make_sides(tmp_path)


@pytest.fixture(params=["pyftpsync.yaml", ".pyftpsync.yaml"])
def file_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(sides: Sides, text: str, *arguments: str, below: str = "", name: str = "pyftpsync.yaml") -> Any:
    put(sides[0], name, text.replace("REMOTE", str(sides[1])))
    return command_line("run", *arguments, cwd=sides[0] / below)


def error_of(done: Any) -> str:
    """Returns the message of a usage error."""
    assert done.returncode == 2, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return str(done.stderr.partition("pyftpsync: error: ")[2])


TASK = "tasks: {up: {command: upload, remote: REMOTE, %s}}"


# -- mistakes ------------------------------------------------------------------------------------------------


def test_broken_yaml_is_told_with_its_line(sides: Sides, file_name: str) -> None:
    message = error_of(run(sides, "tasks:\n  up:\n    command: [upload\n", name=file_name))
    assert message.startswith(f"Error parsing {sides[0] / file_name}: ")
    assert re.search(r"line [34]", message)


@pytest.mark.parametrize(
    "entry",
    [
        'local: [1, remote: "ftp://joe:hunter2@h/x"',
        "remote: ftp://joe:hunter2@h/x: y",
        "remote: @ftp://joe:hunter2@h/x",
        "remote: *hunter2",
        "remote: !hunter2 x",
        'remote: "ftp://joe:hunter2@h/x',
        "remote: ftp://joe:hunter2@h/\a",
        "remote: [ftp://joe:hunter2@h/x]",
        "remote: {ftp://joe:hunter2@h/x: 1}",
        "remote: &hunter2 x, verbose: &hunter2 3",
        "remote: !<hunter2> x",
        "remote: !hunter2!b x",
        'remote: "hunter2\'" hunter2',
        "remote: 'hunter2' \"hunter2",
        'remote: "hunter2\\qhunter2"',
        "? hunter2 'hunter2': x",
        "[hunter2]: x",
        "<<: hunter2",
        "verbose: !!binary hunter2€",
        "verbose: !<%68unter2%e4> x",
    ],
)
def test_broken_yaml_is_told_without_what_is_in_it(sides: Sides, entry: str) -> None:
    message = error_of(run(sides, f"tasks:\n  up: {{command: upload, local: ., {entry}}}\n", "up"))
    assert "hunter2" not in message, message
    assert "pyftpsync.yaml" in message, message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "tasks:\n  up:\n    exclude: *.bak\n",
            "while scanning an alias: expected alphabetic or numeric character, but found '.', in line 3, column 15; "
            "quote patterns that begin with *",
        ),
        (
            "tasks:\n  up:\n    exclude: *bak\n",
            "found undefined alias '...', in line 3, column 14; quote patterns that begin with *",
        ),
        (
            "tasks:\n\tup: 1\n",
            r"while scanning for the next token: found character '\t' that cannot start any token, in line 2, "
            "column 1; indent with blanks, not tabs",
        ),
        (
            "tasks:\n  up:\n    verbose: 3\n   remote: hunter2\n",
            "while parsing a block mapping: expected <block end>, but found '<block mapping start>', "
            "in line 4, column 4",
        ),
        (
            "tasks: [a, b}\n",
            "while parsing a flow sequence: expected ',' or ']', but got '}', in line 1, column 13",
        ),
        ("tasks: %s\n", "while scanning for the next token: found character '%' that cannot start any token"),
    ],
)
def test_broken_yaml_is_told_in_the_words_of_the_parser(text: str, told: str, sides: Sides) -> None:
    assert told in error_of(run(sides, text, "up"))


def test_a_task_without_anything_is_of_no_concern_to_the_others(sides: Sides) -> None:
    text = "tasks:\n  nothing:\n  up: {command: upload, remote: REMOTE}\n"
    assert run(sides, text, "up").returncode == 0
    done = run(sides, text, "nothing")
    assert "`tasks.nothing` must map names to values" in error_of(done)


@pytest.mark.parametrize("other", ["note: hello", "list: [up]", "number: 5"])
def test_what_is_no_task_is_of_no_concern_to_those_that_are(sides: Sides, other: str) -> None:
    text = f"tasks:\n  {other}\n  up: {{command: upload, remote: REMOTE}}\n"
    assert run(sides, text, "up").returncode == 0
    assert run(sides, f"default_task: up\n{text}").returncode == 0
    name = other.partition(":")[0]
    assert f"`tasks.{name}` must map names to values" in error_of(run(sides, text, name))
    assert f"`tasks.{name}` must map names to values" in error_of(run(sides, text))


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        ("- a\n- b", "Missing entry `tasks` in ", "FILE"),
        ("just text", "Missing entry `tasks` in ", "FILE"),
        ("", "Missing entry `tasks` in ", "FILE"),
        ("common_config: {}", "Missing entry `tasks` in ", "FILE"),
        ("tasks: 5", "Error parsing ", "FILE: `tasks` must map names to tasks"),
        ("tasks: {up: 5}", "Error parsing ", "FILE: `tasks.up` must map names to values"),
        ("default_task: up\ntasks: {up: }", "Error parsing ", "FILE: `tasks.up` must map names to values"),
        ("tasks: {up: [command, upload]}", "Error parsing ", "`tasks.up` must map names to values"),
        ("common_config: 5\ntasks: {}", "Error parsing ", "FILE: `common_config` must map names to values"),
        ("tasks: {a: {}, b: {}}", "No `TASK` argument was passed", "[a, b]"),
        ("default_task: c\ntasks: {a: {}}", "Invalid entry `default_task: c`", "FILE"),
        ("default_task: [a]\ntasks: {a: {}}", "Invalid entry `default_task: ", "FILE"),
        ("default_task: a\ntasks: {a: {}}", "Missing mandatory entries: tasks.a.command, remote", "FILE"),
        ("default_task: a\ntasks: {a: {remote: x}}", "Missing mandatory entries: tasks.a.command", "FILE"),
        ("tasks: {default: {command: sync}}", "Missing mandatory entries: tasks.default.remote", "FILE"),
        (
            "tasks: {default: {command: push, remote: x}}",
            "Invalid entry: tasks.default.command: 'push'",
            "sync",
        ),
        (
            "tasks: {default: {command: sync, remote: x, a: 1, b: 2}}",
            "Invalid entries: tasks.default.a, b",
            "FILE",
        ),
        (
            "tasks: {default: {command: sync, remote: x, no_dry_run: true}}",
            "no_dry_run should not be used",
            "FILE",
        ),
        (
            "tasks: {default: {command: sync, remote: x, local: nowhere}}",
            "Invalid entry: tasks.default.local: ",
            "nowhere' is not a directory",
        ),
        (
            "common_config: {verbose: much}\ntasks: {default: {command: sync, remote: x}}",
            "Invalid entry: common_config.verbose: 'much' in ",
            "FILE (expected a number from 0 to 6)",
        ),
    ],
)
def test_mistakes_name_the_file_the_task_and_the_key(text: str, start: str, words: str, sides: Sides) -> None:
    message = error_of(run(sides, text))
    assert message.startswith(start)
    assert words.replace("FILE", str(sides[0] / "pyftpsync.yaml")) in message
    assert names(sides[1]) == set()


FLAGS = """allow_mass_delete break_lock create_folder delete delete_unmatched dry_run exit_zero_on_copy_errors
    files force ftp_active here inplace migrate no_color no_deep_conflicts no_keyring no_netrc no_prompt
    no_verify_host_keys no_verify_tls progress prompt report_problems require_tls root sort store_password verify"""


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        *((flag, "maybe", "expected true or false") for flag in FLAGS.split()),
        ("dry_run", "[true]", "expected true or false"),
        ("dry_run", "2", "expected true or false"),
        ("dry_run", '"really"', "expected true or false"),
        ("verbose", "3.5", "expected a number from 0 to 6"),
        ("verbose", "true", "expected a number from 0 to 6"),
        ("verbose", "-1", "expected a number from 0 to 6"),
        ("local", "5", "expected a text"),
        ("tls_ca", "[a]", "expected a text"),
        ("tls_pin", "5", "expected a text"),
        ("exclude", "5", "expected a text, or a list of texts"),
        ("match", "[a, 5]", "expected a text, or a list of texts"),
        ("exclude", "{a: 1}", "expected a text, or a list of texts"),
        ("resolve", "remote", "choose from local, skip, ask"),
        ("case", "upper", "choose from strict, local, remote"),
        ("links", "copy", "choose from follow, skip"),
        ("connections", "0", "expected a whole number of at least 1"),
        ("connections", "65", "expected a whole number from 1 to 64"),
        ("connections", "true", "expected a whole number of at least 1"),
        ("lock_age", "soon", "expected a number of seconds"),
        ("max_delete", "101%", "expected a number of files"),
        ("max_depth", "257", "expected a whole number from 1 to 256"),
        ("timeout", "soon", "expected a number of seconds"),
        ("proxy", "5", "expected a text"),
        ("tls_max", "1.1", "choose from 1.2, 1.3"),
    ],
)
def test_each_key_has_its_kind_of_value(key: str, value: str, expected: str, sides: Sides) -> None:
    message = error_of(run(sides, TASK % f"{key}: {value}", "up"))
    assert message.startswith(f"Invalid entry: tasks.up.{key}: ")
    assert str(sides[0] / "pyftpsync.yaml") in message
    assert expected in message


@pytest.mark.parametrize(
    "entry",
    [
        "dry_run: 1",
        "dry_run: yes",
        "delete: 0",
        "verbose: 0",
        "exclude: null",
        'exclude: "*.bak,tmp"',
        "match: [a, b]",
        "resolve: local",
        "case: strict",
        "connections: 2",
        "lock_age: 1.5",
        "max_delete: 20%",
        "max_delete: 20",
        "timeout: 5",
        "tls_max: 1.2",
        "debug: classify",
    ],
)
def test_values_that_are_fine(entry: str, sides: Sides) -> None:
    fill(sides[0], "a")
    done = run(sides, TASK % entry, "up")
    assert done.returncode == 0, done.stderr


def test_every_key_is_checked() -> None:
    # The strategies depend on the command, and `debug` has no effect in a file.
    assert KNOWN_TASK_ARGS - _CHECKS.keys() == {"debug", "resolve"}


def test_an_unknown_task_lists_those_that_are_known(sides: Sides) -> None:
    message = error_of(run(sides, TASK % "", "down"))
    assert message.startswith("Invalid TASK argument 'down': choose from [up]")
    assert "tasks.down" in message and str(sides[0] / "pyftpsync.yaml") in message


def test_without_a_file_the_places_are_named_where_it_was_looked_for(sides: Sides) -> None:
    done = command_line("run", cwd=sides[0])
    assert re.match(
        rf"Could not locate `pyftpsync\.yaml` in {sides[0]} or \d+ parent folders\.", error_of(done)
    )


# -- finding it ----------------------------------------------------------------------------------------------


def test_a_task_is_carried_out(sides: Sides, file_name: str) -> None:
    fill(sides[0], "a sub/b")
    done = run(sides, "\ufeff" + TASK % "", "up", name=file_name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Running task 'up' from {sides[0] / file_name}\n")
    assert names(sides[1]) == {"a", "sub/b"}


def test_a_task_can_be_named_by_a_number(sides: Sides) -> None:
    fill(sides[0], "a")
    text = "default_task: 1\ntasks: {1: {command: upload, remote: REMOTE}}"
    assert run(sides, text).returncode == 0
    assert run(sides, text, "1").returncode == 0


def test_it_is_looked_for_in_fourteen_folders_above(sides: Sides) -> None:
    fill(sides[0], "a")
    deep = "/".join(f"{number}" for number in range(14))
    (sides[0] / deep / "more").mkdir(parents=True)
    assert run(sides, TASK % "root: true", "up", below=deep).returncode == 0
    assert error_of(run(sides, TASK % "", "up", below=f"{deep}/more")).startswith("Could not locate ")


def test_in_a_sub_folder_it_must_be_said_what_is_meant(sides: Sides, file_name: str) -> None:
    fill(sides[0], "a sub/b")
    (sides[1] / "sub").mkdir()
    message = error_of(run(sides, TASK % "", "up", below="sub", name=file_name))
    assert file_name in message and "--here" in message and "--root" in message
    assert names(sides[1]) == set()


def test_the_branch_that_one_is_in(sides: Sides) -> None:
    fill(sides[0], "a sub/b")
    (sides[1] / "sub").mkdir()
    for entry, option in (("", ["--here"]), ("here: true", []), ("root: true", ["--here"])):
        done = run(sides, TASK % entry, "up", *option, below="sub")
        assert done.returncode == 0, done.stderr
        assert "Using sub-branch sub" in done.stdout
        assert names(sides[1]) == {"sub/b"}


def test_the_whole_project(sides: Sides) -> None:
    fill(sides[0], "a sub/b")
    for entry, option in (("", ["--root"]), ("root: true", []), ("here: true", ["--root"])):
        done = run(sides, TASK % entry, "up", *option, below="sub")
        assert done.returncode == 0, done.stderr
        assert names(sides[1]) == {"a", "sub/b"}
    assert "not allowed with" in run(sides, TASK % "", "up", "--root", "--here").stderr


def test_a_local_folder_is_relative_to_the_file(sides: Sides) -> None:
    fill(sides[0], "a site/b site/deep/c")
    assert run(sides, TASK % "local: site", "up").returncode == 0
    assert names(sides[1]) == {"b", "deep/c"}
    os.makedirs(sides[0] / "other")
    message = error_of(run(sides, TASK % "local: site", "up", "--here", below="other"))
    assert "not part of the local folder" in message


# -- what overrides what -------------------------------------------------------------------------------------


def test_common_values_are_defaults(sides: Sides) -> None:
    fill(sides[0], "a b.bak")
    text = "common_config: {remote: REMOTE, exclude: ['*.bak'], dry_run: true}\n"
    text += "tasks: {up: {command: upload, dry_run: false}, try: {command: upload}}"
    assert "(DRY-RUN)" in run(sides, text, "try").stdout
    assert names(sides[1]) == set()
    assert run(sides, text, "up").returncode == 0
    assert names(sides[1]) == {"a"}


def test_a_dry_run_of_the_file_can_be_ended(sides: Sides) -> None:
    fill(sides[0], "a")
    done = run(sides, TASK % "dry_run: true", "up")
    assert "--no-dry-run" in done.stdout and "--execute" in done.stdout
    assert names(sides[1]) == set()
    for option in ("--no-dry-run", "--execute"):
        done = run(sides, TASK % "dry_run: true", "up", option)
        assert "`--no-dry-run`" in done.stdout and "resetting dry_run mode" in done.stdout
        assert names(sides[1]) == {"a"}


def test_overrides_are_told_from_verbosity_4(sides: Sides) -> None:
    done = run(sides, TASK % "", "up", "--force", "--dry-run", "-v")
    told = [line for line in done.stdout.splitlines() if line.startswith("Override yaml entry ")]
    assert [line.split("`")[1].split(":")[0] for line in told] == [
        "tasks.up.dry_run",
        "tasks.up.force",
        "tasks.up.verbose",
    ]
    assert "Override" not in run(sides, TASK % "", "up", "--force").stdout


def test_nothing_is_excluded_by_default_and_conflicts_are_skipped(sides: Sides) -> None:
    fill(sides[0], ".git/config a")
    done = run(sides, "tasks: {both: {command: sync, remote: REMOTE}}", "both")
    assert done.returncode == 0, done.stderr
    assert names(sides[1]) >= {".git/config"}
    for side, body in zip(sides, ("here", "there"), strict=True):
        put(side, "a", body, age=-1e6 * len(body))
    done = run(sides, "tasks: {both: {command: sync, remote: REMOTE}}", "both")
    assert "SKIP CONFLICT" in done.stdout


@pytest.mark.parametrize(
    ("verbose", "options", "shows"), [("1", (), "summary"), ("4", (), "equal"), ("1", ("-v",), "equal")]
)
def test_the_verbosity_of_the_file(verbose: str, options: tuple[str, ...], shows: str, sides: Sides) -> None:
    for side in sides:
        fill(side, "a")
    out = run(sides, TASK % f"verbose: {verbose}", "up", *options).stdout
    assert ("EQUAL" in out) == (shows == "equal")
    assert "Wrote " in out


def test_more_than_all_is_all(sides: Sides) -> None:
    fill(sides[0], "a")
    most, more = (run(sides, TASK % f"dry_run: true, verbose: {verbose}", "up") for verbose in (6, 7))
    assert more.returncode == 0, more.stderr
    assert len(more.stdout.splitlines()) == len(most.stdout.splitlines())


@pytest.mark.parametrize("key", ["tls_ca", "tls_cert"])
def test_a_file_may_be_below_the_home(key: str, sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell has put the home in place of `~`."""
    monkeypatch.setenv("HOME", str(sides[1]))
    task = f"command: tree, remote: 'ftps://u:p@127.0.0.1:9/', {key}: ~/of-work.pem"
    done = run(sides, f"tasks: {{draw: {{{task}}}}}", "draw")
    assert done.returncode == 1 and f"cannot read certificates from {sides[1]}/of-work.pem" in done.stderr


@pytest.mark.parametrize(("word", "deletes"), [("yes", True), ("TRUE", True), ("no", False), ("0", False)])
def test_a_quoted_flag_is_a_flag(word: str, deletes: bool, sides: Sides) -> None:
    fill(sides[0], "a")
    fill(sides[1], "b")
    done = run(sides, TASK % f'allow_mass_delete: "yes", delete: "{word}"', "up")
    assert done.returncode == 0, done.stderr
    assert ("b" in names(sides[1])) is not deletes


@pytest.mark.parametrize(
    "entry",
    [
        "connections: '2'",
        "connect_timeout: '10'",
        "session_time: '30'",
        "lock_age: '60'",
        "max_depth: '3'",
        "max_time: '100'",
        "timeout: '10'",
        "max_delete: '5'",
        "encoding: 1252",
    ],
)
def test_quoted_numbers_are_numbers_and_code_pages_are_names(sides: Sides, entry: str) -> None:
    with ftp_server(sides[1]) as server:
        put(sides[0], "a.txt")
        text = (TASK % entry).replace("REMOTE", f'"{server.url}", no_prompt: true')
        done = run(sides, text, "up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a.txt" in names(sides[1])


def test_a_shared_strategy_that_a_command_does_not_have_is_left_out_there(sides: Sides) -> None:
    shared = "common_config: {remote: REMOTE, resolve: new}\n"
    tasks = "tasks: {s: {command: sync}, u: {command: upload}, d: {command: download}}"
    for task in "sud":
        done = run(sides, shared + tasks, task)
        assert done.returncode == 0, done.stdout + done.stderr
    message = error_of(run(sides, shared.replace("new", "never") + tasks, "u"))
    assert message.startswith("Invalid entry: common_config.resolve: 'never'")
    message = error_of(run(sides, TASK % "resolve: new", "up"))
    assert message.startswith("Invalid entry: tasks.up.resolve: 'new'")


@pytest.mark.parametrize("scheme", ["ftpes", "fpt", "webdav", "http"])
def test_a_scheme_that_nobody_knows_shows_no_password(sides: Sides, scheme: str) -> None:
    entry = f'local: "{scheme}://joe:hunter2@host/x"'
    message = error_of(run(sides, TASK % entry, "up"))
    assert message.startswith(f"Invalid entry: tasks.up.local: {scheme}://***@host/x is not a directory.")
    assert "Known schemes: ftp, ftps, s3, sftp" in message and "hunter2" not in message
