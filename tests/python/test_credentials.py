"""Where user and password come from, on the command line and against a server; the order is tested in `test_util`."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftpsync
from ftpsync import pyftpsync, util
from ftpsync.ftp_target import FTPTarget
from ftpsync.synchronizers import UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from servers import certificates
from small_servers import READ_ONLY, Small, ftp_server
from small_worlds import Sides, command_line, fill, make_sides, names, printing

HOST = "127.0.0.1"
VARIABLE = "PYFTPSYNC_PASSWORD"


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    made = make_sides(tmp_path)
    fill(made[0], "a")
    return made


@pytest.fixture
def server(sides: Sides) -> Iterator[Small]:
    """Lets joe in, with pass-word."""
    with ftp_server(sides[1]) as small:
        yield small


@pytest.fixture
def keyring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the keyring of started processes holds."""
    path = tmp_path / "keyring.json"
    monkeypatch.setenv("FILE_KEYRING", str(path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "file_keyring.Keyring")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return path


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    path = tmp_path / ".netrc"
    path.write_text(f"machine {HOST} login joe password pass-word\n")
    path.chmod(0o600)
    return path


class Asked:
    """Stands in for the user: gives the answers, and notes the questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions: list[str] = []
        self.answers: list[str] = []
        monkeypatch.setattr(builtins, "input", self.answer)
        monkeypatch.setattr(getpass, "getpass", self.answer)

    def answer(self, prompt: str = "", stream: Any = None) -> str:
        self.questions.append(prompt)
        return self.answers.pop(0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def upload(monkeypatch: pytest.MonkeyPatch, sides: Sides, url: str, *options: str) -> int:
    """Runs the command line in this process."""
    words = ["pyftpsync", "upload", str(sides[0]), url, "--no-color", "--no-keyring", *options]
    monkeypatch.setattr(sys, "argv", words)
    try:
        pyftpsync.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def bare(server: Small, user: str = "") -> str:
    return server.url.replace("joe:pass-word@", user)


def test_the_url_comes_first(sides: Sides, server: Small, netrc: Path, keyring_file: Path) -> None:
    netrc.write_text(f"machine {HOST} login joe password wrong\n")
    keyring_file.write_text(json.dumps({"pyftpsync": {HOST: "joe:wrong"}}))
    done = command_line("upload", str(sides[0]), server.url)
    assert done.returncode == 0, done.stderr
    assert names(sides[1]) == {"a"} and "credentials" not in done.stdout


def test_the_keyring_of_pyftpsync(sides: Sides, server: Small, netrc: Path, keyring_file: Path) -> None:
    netrc.write_text(f"machine {HOST} login joe password wrong\n")
    keyring_file.write_text(json.dumps({"pyftpsync": {HOST: "joe:pass-word"}}))
    done = command_line("upload", str(sides[0]), bare(server), "--no-prompt")
    assert done.returncode == 0, done.stderr
    assert f"Using credentials from keyring('pyftpsync', '{HOST}'): joe:***.\n" in done.stdout
    assert names(sides[1]) == {"a"} and "pass-word" not in done.stdout + done.stderr


def test_the_netrc_file(sides: Sides, server: Small, netrc: Path, keyring_file: Path) -> None:
    done = command_line("upload", str(sides[0]), bare(server), "--no-prompt", "-v")
    assert done.returncode == 0, done.stderr
    assert f"No credentials found in keyring('pyftpsync', '{HOST}')." in done.stdout
    assert "Using credentials from .netrc file: joe:***.\n" in done.stdout
    assert names(sides[1]) == {"a"}


def test_a_keyring_that_is_missing_is_told_at_q_only_where_the_login_fails(
    sides: Sides, server: Small, netrc: Path, keyring_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    words = ("upload", str(sides[0]), bare(server), "--no-prompt")
    assert "NoKeyringError" in command_line(*words).stderr
    done = command_line(*words, "-q")
    assert done.returncode == 0 and "NoKeyringError" not in done.stderr
    done = command_line(*words, "-q", "--no-netrc")
    assert done.returncode != 0 and "NoKeyringError" in done.stderr


def test_a_keyring_that_is_not_installed_is_told_before_a_guest_is_tried(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delattr(util, "keyring", raising=False)

    def lines(url: str, *options: str) -> int:
        words = ["pyftpsync", "upload", str(sides[0]), url, "--no-color", "--no-prompt", *options]
        monkeypatch.setattr(sys, "argv", words)
        with contextlib.suppress(SystemExit):
            pyftpsync.run()
        return "".join(capsys.readouterr()).count("run pip install 'pyftpsync-rs[keyring]'")

    assert lines(bare(server)) == lines(bare(server), "-v") == 1
    assert lines(bare(server), "-q") == 1, "the login fails"
    for url in (server.url, bare(server, "joe@"), bare(server, "anonymous@")):
        assert lines(url, "-v") == 0
    assert lines(bare(server), "--no-keyring") == 0


def test_stores_can_be_left_out(sides: Sides, server: Small, netrc: Path, keyring_file: Path) -> None:
    keyring_file.write_text(json.dumps({"pyftpsync": {HOST: "joe:pass-word"}}))
    words = ["upload", str(sides[0]), bare(server), "--no-prompt"]
    assert "from .netrc" in command_line(*words, "--no-keyring").stdout
    done = command_line(*words, "--no-keyring", "--no-netrc")
    assert done.returncode == 1
    assert f"Could not login to anonymous@{HOST}: 530" in done.stderr and "Traceback" not in done.stderr


def test_a_password_is_stored_once_it_was_accepted(sides: Sides, server: Small, keyring_file: Path) -> None:
    words = ["upload", str(sides[0]), server.url, "--store-password", "--no-prompt"]
    assert command_line(*words[:2], server.url.replace("pass-word", "wrong"), *words[3:]).returncode == 1
    assert not keyring_file.exists()
    done = command_line(*words)
    assert done.returncode == 0 and "pass-word" not in done.stdout + done.stderr
    assert json.loads(keyring_file.read_text()) == {"pyftpsync": {HOST: "joe:pass-word"}}
    done = command_line("download", str(sides[0]), bare(server), "--no-prompt")
    assert done.returncode == 0 and "Using credentials from keyring" in done.stdout


def test_who_has_nothing_stored_is_asked(
    sides: Sides, server: Small, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.answers = ["joe", "pass-word"]
    assert upload(monkeypatch, sides, bare(server), "--no-netrc") == 0
    assert [question.split(" [")[0] for question in asked.questions] == [
        f"Enter username for {HOST}",
        f"Enter password for joe@{HOST} (Ctrl+C to abort): ",
    ]
    assert names(sides[1]) == {"a"}


def test_a_user_in_the_url_is_asked_for_the_password_only(
    sides: Sides, server: Small, asked: Asked, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.answers = ["pass-word"]
    assert upload(monkeypatch, sides, bare(server, "joe@")) == 0
    assert len(asked.questions) == 1 and "joe@" in asked.questions[0]


def test_a_wrong_password_is_asked_for_again(
    sides: Sides, server: Small, asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked.answers = ["not-this", "nor-that", "pass-word"]
    assert upload(monkeypatch, sides, bare(server, "joe@")) == 0
    captured = capsys.readouterr()
    assert captured.err.count(f"Could not login to joe@{HOST}: ") == 2
    assert "not-this" not in captured.out + captured.err
    assert names(sides[1]) == {"a"}


def test_prompt_asks_at_once(
    sides: Sides, server: Small, asked: Asked, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc.write_text(f"machine {HOST} login joe password wrong\n")
    asked.answers = ["joe", "pass-word"]
    assert upload(monkeypatch, sides, bare(server), "--prompt") == 0
    assert names(sides[1]) == {"a"}


def test_ctrl_c_at_the_question_ends_the_program(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupted)
    assert upload(monkeypatch, sides, bare(server, "joe@")) == 3
    assert capsys.readouterr().err == "\nAborted by user.\n"


def test_a_script_is_not_asked(sides: Sides, server: Small, asked: Asked, netrc: Path) -> None:
    target = make_target(bare(server), {"no_keyring": True})
    assert UploadSynchronizer(FsTarget(str(sides[0])), target, {"verbose": 0}).run() is True
    with pytest.raises(RuntimeError, match=r"^Cannot get credentials for a distinct user \(sue\)"):
        make_target(bare(server, "sue@")).open()
    assert asked.questions == []


def test_a_script_may_set_them(sides: Sides, server: Small, asked: Asked) -> None:
    target: Any = make_target(bare(server))
    target.username, target.password = "joe", "pass-word"
    assert UploadSynchronizer(FsTarget(str(sides[0])), target, {"verbose": 0}).run() is True
    assert names(sides[1]) == {"a"} and asked.questions == []


@pytest.mark.parametrize("verbosity", ["-vvv", "-vv", "-v", "-q"])
def test_no_verbosity_shows_a_password(sides: Sides, server: Small, verbosity: str) -> None:
    done = command_line("upload", str(sides[0]), server.url, verbosity, "--no-color")
    assert done.returncode == 0, done.stderr
    assert "pass-word" not in done.stdout + done.stderr
    shown = [line for line in done.stdout.splitlines() if line.startswith("*cmd* 'PASS ")]
    assert bool(shown) == (verbosity == "-vvv") and all("***" in line for line in shown)


@pytest.mark.parametrize("stdin", ["null", "closed"])
@pytest.mark.parametrize(("user", "wanted"), [("joe@", "the password of joe at"), ("", "the credentials of")])
def test_no_question_is_written_where_nobody_can_be_asked(
    sides: Sides, server: Small, stdin: str, user: str, wanted: str
) -> None:
    command = [sys.executable, "-m", "ftpsync.pyftpsync", "upload", str(sides[0]), bare(server, user)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command] if stdin == "closed" else command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Without a terminal, wherever the tests run.
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ERROR: Cannot ask for {wanted} {HOST}: nobody answers.")
    assert "Enter " not in done.stdout + done.stderr and "echoed" not in done.stderr
    assert names(sides[1]) == set()


def test_a_refused_password_is_one_line_where_nobody_can_be_asked(sides: Sides, server: Small) -> None:
    url = server.url.replace("pass-word", "wrong")
    done = command_line("upload", str(sides[0]), url, "--no-keyring")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "GetPassWarning" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "530 Authentication failed. There is nobody to ask for another password: if that was wrong, correct it where "
        "it stands: in the URL, in PYFTPSYNC_PASSWORD, in the keyring or in .netrc."
    )
    assert f'ERROR: could not log in to "{HOST}:' in done.stderr
    assert names(sides[1]) == set()


@pytest.mark.parametrize(
    "option", [["--tls-implicit"], ["--tls-implicit", "--tls-pin", "sha256:" + "0" * 64]]
)
def test_an_option_for_tls_is_no_tls(sides: Sides, server: Small, option: list[str]) -> None:
    done = command_line("upload", str(sides[0]), server.url, *option)
    assert done.returncode == 1
    assert f"ERROR: ftp://{HOST}/ would be used without TLS, and --tls-implicit" in done.stderr
    assert "write ftps:// instead" in done.stderr
    assert server.commands == [] and names(sides[1]) == set()


@pytest.mark.parametrize("command", ["upload", "download", "sync", "tree", "doctor"])
def test_where_tls_is_required_plain_ftp_is_refused_before_anything_is_sent(
    sides: Sides, server: Small, command: str
) -> None:
    places = [server.url] if command in {"tree", "doctor"} else [str(sides[0]), server.url]
    done = command_line(command, *places, "--require-tls")
    assert done.returncode == 1
    assert f"ERROR: ftp://{HOST}/ would be used without TLS" in done.stderr and "ftps://" in done.stderr
    assert "pass-word" not in done.stdout + done.stderr
    assert server.commands == [] and names(sides[1]) == set()


def test_tls_can_be_required_from_python_and_in_a_task(sides: Sides, server: Small) -> None:
    with pytest.raises(RuntimeError, match="without TLS.*ftps://"):
        list(ftpsync.sync(sides[0], server.url, require_tls=True))
    config = sides[0] / "pyftpsync.yaml"
    config.write_text(f"tasks: {{t: {{command: upload, remote: '{server.url}', require_tls: true}}}}")
    done = command_line("run", "t", cwd=sides[0])
    assert done.returncode == 1 and "without TLS" in done.stderr
    assert server.commands == [] and names(sides[1]) == set()


def test_a_server_with_tls_is_used_where_tls_is_required(sides: Sides, tmp_path: Path) -> None:
    (tmp_path / "proof").mkdir()
    proof = certificates.make(tmp_path / "proof", HOST)
    with ftp_server(sides[1], certificate=proof.both) as server:
        trusted = ["--require-tls", "--tls-ca", str(proof.authority)]
        done = command_line("upload", str(sides[0]), server.url, *trusted)
    assert done.returncode == 0, done.stderr
    assert names(sides[1]) == {"a"}


def test_the_password_of_the_environment_comes_after_the_url_and_before_a_question(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["upload", str(sides[0]), bare(server, "joe@"), "--no-prompt"]
    assert command_line(*words).returncode == 1
    monkeypatch.setenv(VARIABLE, "pass-word")
    done = command_line(*words, "-vvv")
    assert done.returncode == 0, done.stderr
    assert names(sides[1]) == {"a"} and "pass-word" not in done.stdout + done.stderr
    monkeypatch.setenv(VARIABLE, "wrong")
    assert command_line("upload", str(sides[0]), server.url).returncode == 0
    refused = command_line(*words)
    assert refused.returncode == 1 and f"Could not login to joe@{HOST}: 530" in refused.stderr
    assert "wrong" not in refused.stdout + refused.stderr


def test_the_stores_keep_a_user_with_his_own_password(
    sides: Sides, server: Small, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "wrong")
    done = command_line("upload", str(sides[0]), bare(server), "--no-prompt", "--no-keyring")
    assert done.returncode == 0 and "Using credentials from .netrc file: joe:***.\n" in done.stdout


@pytest.mark.parametrize("user", ["", "anonymous@", "FTP@"])
def test_a_guest_never_gets_the_password_of_the_environment(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv(VARIABLE, "pass-word")
    done = command_line("upload", str(sides[0]), bare(server, user), "--no-prompt")
    assert done.returncode == 1
    assert not any("pass-word" in command for command in server.commands)


@pytest.mark.parametrize("option", [(), ("--no-prompt",)])
def test_a_guest_that_the_url_names_is_asked_for_no_password(sides: Sides, option: tuple[str, ...]) -> None:
    fill(sides[1], "b")
    with ftp_server(sides[1], users=["anonymous"], rights=READ_ONLY) as server:
        done = command_line("download", str(sides[0]), bare(server, "anonymous@"), *option)
        assert done.returncode == 0, done.stderr
    assert names(sides[0]) == {"a", "b"}


@pytest.mark.parametrize("login", [":@", "@", None])
def test_a_user_without_a_name_is_a_guest(sides: Sides, asked: Asked, login: str | None) -> None:
    options = {"no_prompt": False, "no_keyring": True, "no_netrc": True}
    with ftp_server(sides[1], users=["anonymous"], rights=READ_ONLY) as server:
        if login is None:
            port = int(server.url.rpartition(":")[2].strip("/"))
            target = FTPTarget("/", HOST, port, "", "", extra_opts=options)
        else:
            target = make_target(bare(server, login), options)
        target.open()
        target.close()
    assert asked.questions == []


def test_an_empty_password_in_the_url_is_asked_for(
    sides: Sides, server: Small, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.answers = ["pass-word"]
    assert upload(monkeypatch, sides, bare(server, "joe:@")) == 0
    assert len(asked.questions) == 1 and names(sides[1]) == {"a"}
    assert make_target("sftp://joe:@host/").password is None
    with pytest.raises(RuntimeError, match=r"^Cannot get credentials for a distinct user \(joe\)"):
        make_target(bare(server, "joe:@")).open()


def test_of_two_servers_only_the_remote_one_gets_the_password_of_the_environment(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "pass-word")
    fill(sides[1], "a")
    (sides[1] / "b").mkdir()
    there = [f"{bare(server, 'joe@')}b", "--no-prompt"]
    refused = command_line("upload", bare(server, "joe@"), *there)
    assert refused.returncode == 1 and "pass-word" not in refused.stderr
    done = command_line("upload", server.url, *there, "--exclude", "b")
    assert done.returncode == 0, done.stderr
    assert names(sides[1] / "b") == {"a"}


def test_whoever_wants_to_be_asked_is_asked(
    sides: Sides, server: Small, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "wrong")
    asked.answers = ["pass-word"]
    assert upload(monkeypatch, sides, bare(server, "joe@"), "--prompt") == 0
    assert len(asked.questions) == 1 and names(sides[1]) == {"a"}
    asked.answers = ["pass-word"]
    fill(sides[0], "b")
    assert upload(monkeypatch, sides, bare(server, "joe@")) == 0
    assert len(asked.questions) == 2, "after a refused one, he is asked as well"


@pytest.mark.parametrize("scheme", ["sftp", "s3"])
def test_programs_that_are_started_do_not_get_the_password_of_the_environment(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(VARIABLE, "pass-word")
    seen = tmp_path / "seen"
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\nenv > '{seen}'\n")
    script.chmod(0o700)
    config = tmp_path / "config"
    if scheme == "sftp":
        config.write_text(f"Host behind\n  ProxyCommand {script}\n")
        words = ["sftp://joe@behind/", "--ssh-config", str(config), "--no-verify-host-keys"]
    else:
        config.write_text(f"[default]\ncredential_process = {script}\nregion = us-east-1\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        words = ["s3://bucket/", "--endpoint-url", "http://127.0.0.1:9"]
    done = command_line("upload", str(sides[0]), *words, "--no-prompt")
    assert done.returncode == 1, done.stdout
    variables = [line.partition("=")[0] for line in seen.read_text().splitlines()]
    assert "PATH" in variables and VARIABLE not in variables
    assert "pass-word" not in done.stdout + done.stderr
