"""The command line: arguments, options, output and exit codes. What a run does is tested elsewhere."""

from __future__ import annotations

import argparse
import ftplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftpsync
from ftpsync import pyftpsync, util
from ftpsync.metadata import DirMetadata
from ftpsync.run_command import CLI_OVERRIDABLE_BOOL_TASK_ARGS, add_run_parser
from ftpsync.scan_command import add_scan_parser, scan_handler
from ftpsync.synchronizers import ALWAYS_OMIT, DEFAULT_OMIT, TRASH_NAME
from ftpsync.tree_command import add_tree_parser
from ftpsync.util import CliSilentRuntimeError
from scripted_core import Server

URL = "ftp://u:secret@host/"


class Recorder:
    """Stands in for a synchronizer: keeps what it was given and does what the test says."""

    made: list[Recorder]
    outcome: BaseException | None
    stats: dict[str, Any]

    def __init__(self, local: Any, remote: Any, options: dict[str, Any]) -> None:
        self.local, self.remote, self.options = local, remote, options
        self.is_script: bool | None = None
        Recorder.made.append(self)

    def run(self) -> bool:
        if Recorder.outcome is not None:
            raise Recorder.outcome
        return True

    def get_stats(self) -> dict[str, Any]:
        return Recorder.stats

    def error_count(self) -> int:
        return int(Recorder.stats["errors"])

    def problem_count(self) -> int:
        return int(Recorder.stats["conflict_files_skipped"] + Recorder.stats["copy_errors"])


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYFTPSYNC_COMPAT", raising=False)
    (tmp_path / "local").mkdir()
    monkeypatch.chdir(tmp_path)
    core = Server().core()
    monkeypatch.setitem(sys.modules, "ftpsync._core", core)
    monkeypatch.setattr(ftpsync, "_core", core, raising=False)
    Recorder.made = []
    Recorder.outcome = None
    Recorder.stats = {
        "files_written": 1,
        "local_files": 2,
        "local_dirs": 3,
        "conflict_files_skipped": 0,
        "errors": 0,
        "copy_errors": 0,
        "interactive_ask": 0,
        "elap_str": "0.12 sec",
    }
    for command in ("upload", "download", "sync"):
        monkeypatch.setitem(pyftpsync._SYNCHRONIZERS, command, Recorder)  # type: ignore[arg-type]
    previous = util.get_pyftpsync_logger()
    yield
    util.set_pyftpsync_logger(previous)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["pyftpsync", *arguments])
        try:
            pyftpsync.run()
        except SystemExit as exc:
            return int(exc.code or 0)
        return 0

    return call


class TestParsersElsewhere:
    """Other programs take the parsers of some commands for their own command lines."""

    @pytest.fixture
    def call(self) -> Callable[..., Any]:
        parser = argparse.ArgumentParser()
        commands = parser.add_subparsers()
        for add in (add_scan_parser, add_tree_parser, add_run_parser):
            assert isinstance(add(commands), argparse.ArgumentParser)

        def call(*words: str) -> Any:
            arguments = parser.parse_args(words)
            arguments.verbose -= arguments.quiet
            run = arguments.command
            return run(parser, arguments) if callable(run) else run

        return call

    def test_what_is_parsed_tells_its_function(self, call: Any, tmp_path: Path, capsys: Any) -> None:
        (tmp_path / "file").write_text("x")
        for words in (["scan", "--list"], ["tree", "--files"]):
            call(*words, str(tmp_path))
            assert "file" in capsys.readouterr().out
        assert call("run", "task") == "run"

    def test_scan_needs_no_more_than_what_it_looks_at(self, tmp_path: Path) -> None:
        (tmp_path / DirMetadata.META_FILE_NAME).write_text("{}")
        asked = argparse.Namespace(
            target=str(tmp_path), verbose=3, list=False, recursive=True, remove_meta=True, remove_locks=True
        )
        scan_handler(argparse.ArgumentParser(), asked)
        assert not (tmp_path / DirMetadata.META_FILE_NAME).exists()


class TestUsage:
    def test_a_command_is_needed(self, cli: Any, capsys: Any) -> None:
        assert cli() == 2
        assert "pyftpsync: error: missing command (choose from" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["upload", "download", "sync", "run", "scan", "tree", "demo"])
    def test_every_command_has_help(self, cli: Any, capsys: Any, command: str) -> None:
        assert cli(command, "--help") == 0
        out = capsys.readouterr().out
        assert f"usage: pyftpsync {command}" in out
        assert "--verbose" in out

    def test_q45_names_that_are_left_out_are_named_in_help_and_readme(
        self, cli: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "1000")  # Or else lines end within names.
        readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
        assert cli("sync", "--help") == 0
        shown = capsys.readouterr().out
        for name in [*DEFAULT_OMIT, *ALWAYS_OMIT, TRASH_NAME, ".pyftpsync-tmp-*", ".ftpquota", "@eaDir"]:
            assert name in shown, name
            assert f"`{name}`" in readme, name

    @pytest.mark.parametrize(
        "arguments",
        [
            ("bogus",),
            ("upload",),
            ("upload", "local"),
            ("upload", "--del", "local", URL),
            ("upload", "-v", "-q", "local", URL),
            ("upload", "--prompt", "--no-prompt", "local", URL),
            ("upload", "--resolve", "new", "local", URL),
            ("download", "--resolve", "local", "local", URL),
            ("sync", "--force", "local", URL),
            ("sync", "--max-delete", "many", "local", URL),
            ("sync", "--max-delete", "101%", "local", URL),
            ("sync", "--max-depth", "0", "local", URL),
            ("sync", "--max-depth", "257", "local", URL),
            ("sync", "--connections", "0", "local", URL),
            ("sync", "--links", "copy", "local", URL),
        ],
        ids=" ".join,
    )
    def test_mistakes_are_usage_errors(self, cli: Any, arguments: tuple[str, ...]) -> None:
        assert cli(*arguments) == 2
        assert Recorder.made == []

    def test_the_remote_side_is_not_this_folder(self, cli: Any, capsys: Any) -> None:
        assert cli("upload", ".", ".") == 2
        assert "error: '.' is expected to be the local target" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["upload", "download", "sync"])
    def test_a_folder_is_not_the_remote_side_of_a_server(self, cli: Any, capsys: Any, command: str) -> None:
        """The two may have been mixed up, and the wrong one would be overwritten."""
        assert cli(command, URL, "local") == 2
        assert "error: a file system target is expected to be local" in capsys.readouterr().err
        assert Recorder.made == []

    @pytest.mark.parametrize("position", [0, 1])
    def test_debugging_needs_verbosity(self, cli: Any, position: int) -> None:
        assert cli(*_placed(position, "--debug", "classify")) == 2
        assert cli(*_placed(position, "-v", "--debug", "classify")) == 0
        assert {"classify"} == util.DEBUG_FLAGS

    def test_release_31_takes_abbreviations(self, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        assert cli("upload", "--forc", "local", URL) == 0
        assert Recorder.made[0].options["force"] is True


def _placed(position: int, *options: str) -> list[str]:
    """Returns a command line with options before (0) or after (1) the command."""
    return [*options, "sync", "local", URL] if position == 0 else ["sync", *options, "local", URL]


class TestVersion:
    def test_it_is_a_plain_number(self, cli: Any, capsys: Any) -> None:
        assert cli("-V") == 0
        assert capsys.readouterr().out == f"{ftpsync.__version__}\n"

    def test_it_comes_with_details_on_request(self, cli: Any, capsys: Any) -> None:
        assert cli("-vV") == 0
        out = capsys.readouterr().out
        assert out.startswith(f"pyftpsync/{ftpsync.__version__} Python/{util.PYTHON_VERSION} ")
        assert out.endswith(f"Python: {sys.executable}\n")

    def test_the_module_can_be_run(self) -> None:
        for module in ("ftpsync", "ftpsync.pyftpsync"):
            done = subprocess.run(
                [sys.executable, "-m", module, "-V"], capture_output=True, text=True, check=True
            )
            assert done.stdout == f"{ftpsync.__version__}\n"


class TestOptions:
    def test_the_library_gets_the_whole_namespace(self, cli: Any, tmp_path: Path) -> None:
        assert cli("upload", "local", URL) == 0
        (run,) = Recorder.made
        assert run.is_script is True
        assert run.local.root_dir == str(tmp_path / "local")
        assert (run.remote.host, run.remote.username, run.remote.password) == ("host", "u", "secret")
        assert run.options == {
            "case": None,
            "command": "upload",
            "create_folder": False,
            "debug": None,
            "delete": False,
            "delete_unmatched": False,
            "dry_run": False,
            "exclude": ".DS_Store,.git,.hg,.svn,#recycle",
            "force": False,
            "ftp_active": False,
            "local": "local",
            "local_target": run.local,
            "match": None,
            "migrate": False,
            "no_color": False,
            "no_keyring": False,
            "no_netrc": False,
            "no_prompt": False,
            "no_verify_host_keys": False,
            "no_verify_tls": False,
            "progress": False,
            "prompt": False,
            "remote": URL,
            "remote_target": run.remote,
            "report_problems": False,
            "resolve": "ask",
            "store_password": False,
            "verbose": 3,
        }

    @pytest.mark.parametrize(
        ("argument", "key", "value"),
        [
            ("--no-verify-tls", "no_verify_tls", True),
            ("--require-tls", "require_tls", True),
            ("--tls-ca=ca.pem", "tls_ca", "ca.pem"),
            ("--tls-pin=sha256:ab", "tls_pin", "sha256:ab"),
            ("--tls-implicit", "tls_implicit", True),
            ("--tls-cert=me.pem", "tls_cert", "me.pem"),
            ("--tls-key=me.key", "tls_key", "me.key"),
            ("--tls-max=1.2", "tls_max", "1.2"),
            ("--proxy=socks5://u:p@host:1", "proxy", "socks5://u:p@host:1"),
            ("--encoding=cp1252", "encoding", "cp1252"),
            ("--trust-pasv-host", "trust_pasv_host", True),
            ("--no-mlsd", "no_mlsd", True),
            ("--timeout=7.5", "timeout", 7.5),
            ("--connect-timeout=7", "connect_timeout", 7.0),
            ("--inplace", "inplace", True),
            ("--verify", "verify", True),
            ("--max-time=90", "max_time", 90.0),
            ("--max-depth=3", "max_depth", 3),
            ("--session-time=60", "session_time", 60.0),
            ("--ftp-engine=suppaftp", "ftp_engine", "suppaftp"),
            ("--links=skip", "links", "skip"),
            ("--max-delete=7", "max_delete", 7),
            ("--max-delete=20%", "max_delete", "20%"),
            ("--allow-mass-delete", "allow_mass_delete", True),
            ("--no-deep-conflicts", "no_deep_conflicts", True),
            ("--connections=3", "connections", 3),
            ("--exit-zero-on-copy-errors", "exit_zero_on_copy_errors", True),
        ],
    )
    def test_new_options_become_keys_only_when_given(
        self, cli: Any, argument: str, key: str, value: object
    ) -> None:
        for command in ("upload", "download", "sync"):
            assert cli(command, argument, "local", URL) == 0
        assert [run.options[key] for run in Recorder.made] == [value] * 3

    def test_deleting_what_does_not_match_implies_deleting(self, cli: Any) -> None:
        assert cli("upload", "--delete-unmatched", "local", URL) == 0
        assert Recorder.made[0].options["delete"] is True

    @pytest.mark.parametrize("position", [0, 1])
    def test_general_options_count_before_and_after_the_command(self, cli: Any, position: int) -> None:
        # In the reference the defaults of the sub-command silently reset those given before it.
        cli(*_placed(position, "-vv", "--case", "local"))
        cli(*_placed(position, "-q"))
        assert [(run.options["verbose"], run.options["case"]) for run in Recorder.made] == [
            (5, "local"),
            (2, None),
        ]

    def test_both_positions_add_up(self, cli: Any) -> None:
        cli("-v", "sync", "-v", "local", URL)
        cli("-v", "sync", "-qq", "local", URL)
        cli("sync", "-qqqqqq", "local", URL)
        assert [run.options["verbose"] for run in Recorder.made] == [5, 2, 0]
        assert not [key for key in Recorder.made[0].options if key.startswith("global_")]

    def test_the_conversation_is_shown_from_verbosity_6(self, cli: Any) -> None:
        cli("sync", "-vv", "local", URL)
        cli("sync", "-vvv", "local", URL)
        assert [run.remote.extra_opts["ftp_debug"] for run in Recorder.made] == [0, 1]
        assert all(run.remote.extra_opts["url_on_command_line"] for run in Recorder.made)

    def test_release_31_treats_case_strictly(self, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        cli("sync", "local", URL)
        assert Recorder.made[0].options["case"] == "strict"


class TestOutput:
    def test_the_summary(self, cli: Any, capsys: Any) -> None:
        cli("sync", "local", URL)
        assert capsys.readouterr().out == (
            "Wrote 1/2 files in 3 directories, skipped: 0, errors: 0. Elap: 0.12 sec.\n"
        )

    def test_the_summary_of_a_dry_run_with_questions(self, cli: Any, capsys: Any) -> None:
        Recorder.stats["interactive_ask"] = 1
        cli("sync", "-n", "local", URL)
        assert capsys.readouterr().out == (
            "(DRY-RUN) Wrote 1/2 files in 3 directories, skipped: 0, errors: 0.\n"
        )

    def test_the_summary_of_release_31(self, cli: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        cli("sync", "local", URL)
        assert capsys.readouterr().out == "Wrote 1/2 files in 3 directories, skipped: 0. Elap: 0.12 sec.\n"

    def test_silence_at_verbosity_0_and_counters_at_5(self, cli: Any, capsys: Any) -> None:
        cli("sync", "-qqq", "local", URL)
        assert capsys.readouterr().out == ""
        cli("sync", "-vv", "local", URL)
        out = capsys.readouterr().out
        assert "'files_written': 1" in out and "Wrote" not in out

    def test_output_stays_printed_afterwards(self, cli: Any) -> None:
        util.set_pyftpsync_logger(True)
        cli("sync", "local", URL)
        assert util.get_pyftpsync_logger() is None


class TestRivals:
    @pytest.mark.parametrize("info", ["pyftpsync-4.1.0.dist-info", "pyftpsync-4.1.0-py3.11.egg-info"])
    def test_another_distribution_in_the_same_folder_is_pointed_out(
        self, cli: Any, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str
    ) -> None:
        (tmp_path / "site" / info).mkdir(parents=True)
        (tmp_path / "site" / "pyftpsync_rs-5.0.0.dist-info").mkdir()
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        assert cli("sync", "local", URL) == 0
        err = capsys.readouterr().err
        assert err.startswith("WARNING: pyftpsync 4.1.0 ")
        assert "pip uninstall pyftpsync" in err


class TestExitCodes:
    def test_copy_errors_count(self, cli: Any) -> None:
        Recorder.stats["errors"] = Recorder.stats["copy_errors"] = 1
        assert cli("sync", "local", URL) == 1
        assert cli("sync", "--exit-zero-on-copy-errors", "local", URL) == 0
        assert cli("sync", "--report-problems", "local", URL) == 10

    def test_skipped_conflicts_count_when_asked_for(self, cli: Any) -> None:
        Recorder.stats["conflict_files_skipped"] = 1
        assert cli("sync", "local", URL) == 0
        assert cli("sync", "--report-problems", "local", URL) == 10

    def test_success_does_not_exit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["pyftpsync", "sync", "local", URL])
        pyftpsync.run()

    def test_aborting(self, cli: Any, capsys: Any) -> None:
        Recorder.outcome = KeyboardInterrupt()
        assert cli("sync", "local", URL) == 3
        assert capsys.readouterr().err.endswith("\nAborted by user.\n")


class Carried(ftplib.error_perm):
    """As the core raises: the reply in `args`, a line for people beside it."""

    what = "could not open ftp://host/: the server refused the login of u;\n check the password"


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (
                Carried("530 no"),
                "could not open ftp://host/: the server refused the login of u; check the password",
            ),
            (socket.gaierror(-2, "Name or service not known: nix"), "Check the host name"),
            (ConnectionRefusedError(111, "Connection refused: host:21"), "Check host and port"),
            (TimeoutError("no answer from host"), "--ftp-active"),
            (EOFError("lost host"), "run again"),
            (ssl.SSLError("bad certificate of host"), "--tls-ca"),
            (ftplib.error_perm("530 Login incorrect."), "user name and password"),
            (ftplib.error_temp("450 Busy."), "450 Busy."),
            (PermissionError(13, "Permission denied", "local/a"), "local/a"),
            (RuntimeError("two\nlines"), "two lines"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_error_is_one_line_without_traceback(
        self, cli: Any, capsys: Any, error: BaseException, expected: str
    ) -> None:
        Recorder.outcome = error
        assert cli("sync", "-v", "local", URL) == 1
        err = capsys.readouterr().err
        assert err.startswith("ERROR: ") and err.count("\n") == 1
        assert expected in err and "secret" not in err

    def test_a_bug_is_called_one(self, cli: Any, capsys: Any) -> None:
        Recorder.outcome = KeyError("x")
        assert cli("sync", "local", URL) == 1
        assert capsys.readouterr().err == (
            "ERROR: unexpected KeyError: 'x'. Run again with -vv to see where, and report it.\n"
        )

    def test_verbosity_5_shows_where(self, cli: Any, capsys: Any) -> None:
        Recorder.outcome = EOFError("lost")
        assert cli("sync", "-vv", "local", URL) == 1
        err = capsys.readouterr().err
        assert err.startswith("Traceback") and "\nERROR: lost" in err

    def test_silent_errors_have_their_own_form_and_code(self, cli: Any, capsys: Any) -> None:
        Recorder.outcome = CliSilentRuntimeError("Could not do it.", min_verbosity=4, exit_code=7)
        assert cli("sync", "-v", "local", URL) == 7
        assert capsys.readouterr().err == "\nERROR:\nCould not do it.\n\n"
        assert cli("sync", "-vv", "local", URL) == 7
        assert "Traceback" in capsys.readouterr().err

    def test_a_missing_local_folder(self, cli: Any, capsys: Any, tmp_path: Path) -> None:
        assert cli("upload", "nix", URL) == 1
        assert capsys.readouterr().err == f"ERROR: {tmp_path / 'nix'} is not a directory.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "local"
    (root / "d1" / "d2").mkdir(parents=True)
    (root / ".git").mkdir()
    for path in ("x.txt", "Y.md", "d1/d2/z"):
        (root / path).write_text("x")
    return root


class TestScan:
    def test_it_counts(self, cli: Any, capsys: Any, tree: Path) -> None:
        assert cli("scan", "local") == 0
        assert capsys.readouterr().out.startswith("Scanning 2 files in 2 directories took 0.")
        assert cli("-qqq", "scan", "-r", "local") == 0
        assert capsys.readouterr().out.startswith("Scanning 3 files in 3 directories took 0.")

    def test_it_lists(self, cli: Any, capsys: Any, tree: Path) -> None:
        assert cli("scan", "-r", "--list", "local") == 0
        lines = capsys.readouterr().out.splitlines()
        stamp = util.pretty_stamp((tree / "x.txt").stat().st_mtime)
        assert {" [d1]", "     [d2]", f" {'x.txt':<40} {stamp}"} <= set(lines)
        assert lines.index("     [d2]") == lines.index(" [d1]") + 1
        assert " [.git]" not in lines

    def test_it_removes_what_runs_left_but_not_in_a_rehearsal(
        self, cli: Any, capsys: Any, tree: Path
    ) -> None:
        left = [tree / DirMetadata.META_FILE_NAME, tree / "d1" / "d2" / DirMetadata.META_FILE_NAME]
        lock = tree / DirMetadata.LOCK_FILE_NAME
        for path in (*left, lock):
            path.write_text("broken")
        assert cli("scan", "-r", "-n", "--remove-meta", "local") == 0
        assert all(path.exists() for path in left)
        capsys.readouterr()
        assert cli("scan", "-r", "--remove-meta", "--remove-locks", "local") == 0
        assert not any(path.exists() for path in (*left, lock))
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if line.startswith("DELETE ")] == [
            f"DELETE {path}" for path in (left[0], lock, left[1])
        ]


class TestTree:
    def test_it_draws_folders(self, cli: Any, capsys: Any, tree: Path) -> None:
        assert cli("tree", "local") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:3] == [f"[{tree}]", " `- [d1]", "     `- [d2]"]
        assert lines[3].startswith("Scanning 0 files in 3 directories took 0.")

    def test_it_draws_files(self, cli: Any, capsys: Any, tree: Path) -> None:
        assert cli("tree", "--files", "--sort", "-x", "d2,.git", "local") == 0
        stamp = util.pretty_stamp((tree / "x.txt").stat().st_mtime)
        assert capsys.readouterr().out.splitlines()[1:4] == [
            f" +- {'x.txt':<20} {stamp},        1 bytes",
            f" +- {'Y.md':<20} {stamp},        1 bytes",
            " `- [d1]",
        ]


@pytest.mark.parametrize("words", [["scan", "--list", "-r", "local"], ["tree", "--files", "local"]])
def test_no_name_forges_a_line_of_scan_or_tree(
    cli: Any, capsys: Any, tmp_path: Path, words: list[str]
) -> None:
    root = tmp_path / "local"
    try:
        (root / "d\nforged folder\t").mkdir(parents=True)
        (root / "d\nforged folder\t" / "f\r\nforged file\t\x1b[2J").write_text("x")
    except OSError:
        pytest.skip("no such names here")
    assert cli(*words) == 0
    out = capsys.readouterr().out
    assert not any(char in out for char in "\t\r\x1b")
    assert not any(line.lstrip().startswith("forged") for line in out.splitlines())
    assert "[d\\x0aforged folder\\x09]" in out and "f\\x0d\\x0aforged file\\x09\\x1b[2J" in out


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        root = tmp_path / "project"
        (root / "sub" / "deep").mkdir(parents=True)
        (root / "pyftpsync.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
        monkeypatch.chdir(root)
        return root

    return write


TASKS = """
default_task: up
common_config:
  exclude: ["*.bak", tmp]
tasks:
  up:
    command: upload
    remote: ftp://u:secret@host/web
    dry_run: true
    delete_unmatched: true
  both:
    command: sync
    local: sub
    remote: ftp://host/
    verbose: 1
    max_delete: 20%
"""


class TestRun:
    def test_the_default_task(self, cli: Any, capsys: Any, project: Any) -> None:
        root = project(TASKS)
        assert cli("run") == 0
        (run,) = Recorder.made
        options = run.options
        assert (options["command"], options["dry_run"], options["resolve"]) == ("upload", True, "skip")
        assert options["exclude"] == ["*.bak", "tmp"] and options["match"] is None
        assert options["delete"] is options["delete_unmatched"] is True
        assert (run.local.root_dir, run.remote.root_dir) == (str(root), "/web")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"Running task 'up' from {root / 'pyftpsync.yaml'}"
        assert "--no-dry-run" in lines[1]

    def test_a_named_task(self, cli: Any, project: Any) -> None:
        root = project(TASKS)
        assert cli("run", "both") == 0
        (run,) = Recorder.made
        assert run.local.root_dir == str(root / "sub")
        assert (run.options["verbose"], run.options["max_delete"]) == (1, "20%")
        assert run.remote.extra_opts["url_on_command_line"] is False
        assert run.options["dry_run"] is False

    @pytest.mark.parametrize("key", sorted(CLI_OVERRIDABLE_BOOL_TASK_ARGS))
    def test_a_switch_turns_on_and_never_off(self, cli: Any, project: Any, key: str) -> None:
        task = "tasks: {less: {%s: false, %s}, more: {%s: true, %s}}"
        rest = "command: upload, remote: 'ftp://u:p@host/'"
        project(task % (key, rest, key, rest))
        option = f"--{key.replace('_', '-')}"
        for arguments in (("less",), (option, "less"), ("more",), (option, "more")):
            assert cli("run", *arguments) == 0
        assert [run.options[key] for run in Recorder.made] == [False, True, True, True]

    def test_a_version_is_text(self, cli: Any, project: Any) -> None:
        project("tasks: {up: {command: upload, remote: 'ftp://host/', tls_max: 1.2}}")
        assert cli("run", "up") == 0
        assert Recorder.made[0].options["tls_max"] == "1.2"

    def test_the_command_line_wins(self, cli: Any, capsys: Any, project: Any) -> None:
        project(TASKS)
        assert cli("run", "--no-dry-run", "--force", "--max-delete", "3", "-v", "up") == 0
        options = Recorder.made[0].options
        assert (options["dry_run"], options["force"], options["max_delete"], options["verbose"]) == (
            False,
            True,
            3,
            4,
        )
        out = capsys.readouterr().out
        assert "resetting dry_run mode" in out
        assert "Override yaml entry `tasks.up.force: None` with CLI arg `--force=True`" in out

    def test_from_a_sub_folder_it_must_be_said_what_is_meant(
        self, cli: Any, capsys: Any, project: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = project(TASKS)
        monkeypatch.chdir(root / "sub" / "deep")
        assert cli("run") == 2
        err = capsys.readouterr().err
        assert "--here" in err and "--root" in err
        assert cli("run", "--root") == 0
        assert cli("run", "--here") == 0
        assert [(run.local.root_dir, run.remote.root_dir) for run in Recorder.made] == [
            (str(root), "/web"),
            (str(root / "sub" / "deep"), "/web/sub/deep"),
        ]
        assert "Using sub-branch " in capsys.readouterr().out

    def test_the_name_of_release_31_is_found_too(
        self, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".pyftpsync.yaml").write_text(
            "tasks:\n  default:\n    command: download\n    remote: ftp://host/\n"
        )
        assert cli("run") == 0
        assert Recorder.made[0].options["command"] == "download"

    @pytest.mark.parametrize(
        ("text", "arguments", "expected"),
        [
            ("tasks: [", (), "Error parsing "),
            ("tasks: 5", (), "Error parsing "),
            ("x: 1", (), "Missing entry `tasks` in"),
            ("tasks: {a: {command: sync, remote: x}}", ("b",), "Invalid TASK argument "),
            ("default_task: z\ntasks: {a: {command: sync}}", (), "Invalid entry `default_task: "),
            ("tasks: {a: {command: sync}}", (), "No `TASK` argument was passed"),
            ("tasks: {a: {command: sync}}", ("a",), "Missing mandatory entries: "),
            ("tasks: {a: {command: x, remote: y}}", ("a",), "Invalid entry: tasks."),
            ("tasks: {a: {command: sync, remote: y, u: 1}}", ("a",), "Invalid entries: tasks."),
            ("tasks: {a: {command: sync, no_dry_run: 1}}", ("a",), "no_dry_run should not be used"),
        ],
    )
    def test_mistakes_in_the_file_are_usage_errors(
        self, cli: Any, capsys: Any, project: Any, text: str, arguments: tuple[str, ...], expected: str
    ) -> None:
        project(text)
        assert cli("run", *arguments) == 2
        assert f"pyftpsync: error: {expected}" in capsys.readouterr().err

    def test_without_a_file_there_is_nothing_to_run(self, cli: Any, capsys: Any) -> None:
        assert cli("run") == 2
        assert "Could not locate" in capsys.readouterr().err

    def test_a_tree_can_be_a_task(self, cli: Any, capsys: Any, project: Any, tree: Path) -> None:
        project(f"tasks: {{t: {{command: tree, remote: '{tree}', files: true}}}}")
        assert cli("run", "t") == 0
        out = capsys.readouterr().out
        assert f"[{tree}]" in out and "x.txt" in out


@pytest.mark.skipif(sys.platform == "win32", reason="ends of pipes are another matter there")
@pytest.mark.parametrize("verbosity", ["-q", "-vv"])
def test_a_reader_that_has_had_enough_is_no_error_to_speak_of(verbosity: str, tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / "local" / f"a file with a long name {number}").touch()
    command = [sys.executable, "-m", "ftpsync", "tree", "--files", verbosity, str(tmp_path / "local")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
