"""What the user is told of names, replies and passwords: nothing that steers a terminal, and nothing secret."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync import _steps, pyftpsync, sftp_target, util
from ftpsync._errors import harmless, printable
from ftpsync._s3_uri import parse
from ftpsync.ftp_target import FTPTarget
from ftpsync.sftp_target import AuthenticationException, PasswordRequiredException, SFTPTarget
from ftpsync.synchronizers import ALWAYS_OMIT, TRASH_NAME, BiDirSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from scripted_core import Server, stand_in

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\rover"
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(util, "keyring", None)
    previous = util.set_pyftpsync_logger(None)
    yield tmp_path
    util.set_pyftpsync_logger(previous)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return stand_in(monkeypatch)


def assert_tame(text: str, *, times: int = 1) -> None:
    """The evil text is there so many times, and does nothing."""
    assert text.count("owned") == times, text
    assert not any(char in text for char in CONTROLS if char not in "\t\n"), repr(text)


# -- control characters -----------------------------------------------------------------------------


def test_what_turns_the_order_of_characters_around_is_shown_as_an_escape() -> None:
    assert printable("x\u202egpj.exe") == r"x\u202egpj.exe"
    assert harmless("a\u2066b\u200f\u2028c\td") == r"a\u2066b\u200f\u2028c" + "\td"
    assert printable("שלום é 日本 \u200d") == "שלום é 日本 \u200d", "what people write in is left as it is"


def test_each_control_character_is_shown_as_an_escape() -> None:
    for char in CONTROLS:
        escaped = f"a\\x{ord(char):02x}b"
        assert printable(f"a{char}b") == escaped
        assert harmless(f"a{char}b") == (f"a{char}b" if char in "\t\n" else escaped)
    for plain in ("ü€ \\x1b", "\u00a0\u202f", "日本"):
        assert printable(plain) == harmless(plain) == plain


@pytest.mark.parametrize("kind", [FTPTarget, SFTPTarget])
def test_what_a_server_says_while_it_works_steers_no_terminal(
    server: Server, capsys: Any, kind: type[Any]
) -> None:
    server.greeting, server.news, server.farewell = [(3, EVIL)], [(3, EVIL)], OSError(EVIL)
    server.notes = [(EVIL, "odd")]
    target = kind("/", "host", username="u", password="p", extra_opts={"verbose": 4})
    target.open()
    target.get_dir()
    target.close()
    shown = capsys.readouterr()
    assert_tame(shown.out, times=3)
    assert_tame(shown.err)


def test_why_an_sftp_server_refuses_a_login_steers_no_terminal(
    server: Server, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_target, "prompt_for_password", lambda *_, **__: None)
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "")
    for refusal, lines in ((AuthenticationException(EVIL), 1), (PasswordRequiredException(EVIL), 2)):
        server.failure = refusal
        target = SFTPTarget("/", "host", username="u", password="p", extra_opts={"no_prompt": False})
        with pytest.raises(type(refusal)):
            target.open()
        assert_tame(capsys.readouterr().err, times=lines)


def test_names_in_lists_steer_no_terminal(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files" / EVIL
    folder.mkdir(parents=True)
    for name in (EVIL, ".pyftpsync-lock.json"):
        (folder / name).write_text("{}")
    for word, times in (
        (["tree", "--files"], 2),
        (["scan", "-r", "--list"], 2),
        (["scan", "-r", "--remove-locks"], 1),
    ):
        monkeypatch.setattr(sys, "argv", ["pyftpsync", *word, str(tmp_path / "files")])
        with contextlib.suppress(SystemExit):
            pyftpsync.run()
        assert_tame(capsys.readouterr().out, times=times)
    assert os.listdir(folder) == [EVIL]


def test_a_copy_by_hand_that_fails_steers_no_terminal(tmp_path: Path, capsys: Any) -> None:
    sides = [tmp_path / "one", tmp_path / "other"]
    for side in sides:
        side.mkdir()
    (sides[0] / EVIL).write_text("x")
    one, other = (FsTarget(str(side)) for side in sides)
    synchronizer = UploadSynchronizer(one, other, {"verbose": 3})
    one.open()
    other.open()
    (entry,) = one.get_dir()
    (sides[0] / EVIL).unlink()
    _steps.copy_file(synchronizer, one, other, entry)
    assert_tame(capsys.readouterr().err, times=2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "erases", "colors"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
    ids=str,
)
def test_colours_are_for_terminals_that_have_them_and_people_who_want_them(
    variables: dict[str, str], erases: bool, colors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    for side in ("one", "other"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "file").write_text(side)
    sides = (FsTarget(str(tmp_path / "one")), FsTarget(str(tmp_path / "other")))
    BiDirSynchronizer(*sides, {"verbose": 5, "resolve": "skip", "no_trash": True}).run()
    shown = terminal.getvalue()
    assert "file" in shown
    assert ("\x1b[0K" in shown) == erases
    assert bool(re.search(r"\x1b\[\d+m", shown)) == colors


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of Unix")
def test_the_name_of_what_is_left_out_steers_no_terminal(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "files").mkdir()
    os.mkfifo(tmp_path / "files" / EVIL)
    target = FsTarget(str(tmp_path / "files"), {"verbose": 4})
    target.open()
    assert target.get_dir() == []
    assert_tame(capsys.readouterr().out)


# -- passwords --------------------------------------------------------------------------------------


def test_a_password_that_ends_the_host_of_a_url_is_not_shown() -> None:
    with pytest.raises(ValueError, match="must come a '/'") as refused:
        make_target("ftp://joe:12#geheim@host/")
    assert "geheim" not in str(refused.value) and "12" not in str(refused.value)


class Keyring:
    """Holds one text for every host, and stores nothing."""

    def __init__(self, stored: str | None = None) -> None:
        self.stored = stored

    def get_password(self, service: str, key: str) -> str | None:
        return self.stored

    def set_password(self, service: str, key: str, value: str) -> None:
        raise RuntimeError(f"cannot keep {value}")


def test_a_keyring_that_repeats_the_password_does_not_bring_it_into_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(util, "keyring", Keyring())
    util.save_password("h", "joe", "geheim")
    shown = capsys.readouterr().err
    assert "Could not delete/set password for 'h' in the keyring (RuntimeError)" in shown
    assert "geheim" not in shown


def test_what_a_keyring_holds_without_a_user_is_not_shown_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(util, "keyring", Keyring("geheim"))
    assert util.get_credentials_for_url("h", {}) is None
    shown = capsys.readouterr()
    assert "keyring('pyftpsync', 'h')" in shown.err and "geheim" not in shown.out + shown.err


@pytest.mark.parametrize("line", ["login joe password my geheim", "geheim", "login joe passwort geheim"])
def test_a_word_too_many_in_netrc_is_told_by_its_place(home: Path, capsys: Any, line: str) -> None:
    netrc = home / ".netrc"
    netrc.write_text(f"machine g\nlogin x password y\nmachine h {line}\n")
    netrc.chmod(0o600)
    assert util.get_credentials_for_url("h", {}) is None
    shown = capsys.readouterr().err
    assert re.search(r"^Could not read \.netrc file: .*netrc, line [34]", shown), shown
    assert "geheim" not in shown and "passwort" not in shown


def test_a_proxy_that_replaces_another_one_is_told_without_passwords(tmp_path: Path) -> None:
    (tmp_path / "pyftpsync.yaml").write_text(
        "tasks:\n  go:\n    command: upload\n    local: .\n    remote: ftp://127.0.0.1:1/\n"
        "    proxy: http://joe:geheim@127.0.0.1:1\n"
    )
    command = [
        sys.executable,
        "-m",
        "ftpsync",
        "run",
        "go",
        "-vv",
        "--proxy",
        "socks5://ann:heimlich@127.0.0.1:1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "proxy: http://***@127.0.0.1:1` with CLI arg `--proxy=socks5://***@127.0.0.1:1`" in done.stdout
    assert not any(word in done.stdout + done.stderr for word in ("geheim", "heimlich"))


@pytest.mark.parametrize(
    "start", ["s3://geheim:AK@host/bucket", "s3://geheim:AK@host/", "s3:/geheim:AK@host/b/k", ""]
)
def test_the_uri_of_an_object_that_is_none_is_refused_without_its_keys(start: str) -> None:
    with pytest.raises(ValueError, match="the URI of an object: expected") as refused:
        parse(start or "https://geheim:AK@host/bucket/key")
    assert not any(word in str(refused.value) for word in ("geheim", "AK"))


def test_the_uri_of_an_object_is_shown_without_its_keys() -> None:
    for uri in ("s3://geheim:AK@host/bucket/key", "s3://geheim:AK@https://host/bucket/key"):
        parsed = parse(uri)
        assert (parsed.secret_key, parsed.access_key) == ("geheim", "AK")
        assert (
            f"{parsed} {parsed!r}" == "s3://https://host/bucket/key ObjectUri('s3://https://host/bucket/key')"
        )


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}",
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@",
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@/folder",
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bu:cket/folder",
        "s3://AKIAIOSFODNN7EXAMPLE:wJalr@UtnFEMI/K7MDENG@bucket/folder",
        f"s3://:{SECRET}@bucket/folder",
        f"s3:/AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/folder",
        f"s3:AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/folder",
        f"s4://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/folder",
        "s4://AKIAIOSFODNN7EXAMPLE:wJalr@UtnFEMI/K7MDENG@bucket/folder",
        "s3://AKIAIOSFODNN7EXAMPLE:wJalr[UtnFEMI/K7MDENG",
        "ftp://user:wJalr[UtnFEMI@host/folder",
        "ftp://user:wJalr\u2100UtnFEMI@host/folder",
    ],
)
def test_a_url_that_is_refused_is_told_without_any_part_of_its_secret(url: str) -> None:
    with pytest.raises(ValueError, match="expected|Known schemes") as refused:
        make_target(url)
    told = "".join(traceback.format_exception(refused.value))
    assert not any(part in told for part in ("wJalr", "UtnFEMI", "K7MDENG", "bPxRfi")), told


@pytest.mark.parametrize("login", [f"{SECRET}:AKIAIOSFODNN7EXAMPLE", f"AKIAIOSFODNN7EXAMPLE:{SECRET}"])
def test_a_secret_key_with_slashes_is_known_in_the_uri_of_an_object(login: str) -> None:
    for given in (login, login.replace("/", "%2F")):
        parsed = parse(f"s3://{given}@host/bucket/key@2x")
        assert (parsed.access_key, parsed.secret_key) == ("AKIAIOSFODNN7EXAMPLE", SECRET)
        assert f"{parsed}" == "s3://https://host/bucket/key@2x"
    with pytest.raises(ValueError, match="bucket or key are missing"):
        parse(f"s3://{login}@bucket/www")
    with pytest.raises(ValueError, match="written %2F") as refused:
        parse("s3://AK:wJalr/../K7MDENG@host/bucket/key")
    assert not any(part in str(refused.value) for part in ("wJalr", "K7MDENG"))
    assert parse("s3://bucket/10:00/a@b").key == "10:00/a@b"
    assert parse("s3://https://host/bucket/key@2x").key == "key@2x"


# -- what is announced and does not come -------------------------------------------------------------


def test_a_folder_that_stays_after_all_is_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    local.mkdir()
    (local / "anchor.html").write_text("a")
    for name in ("mixed/a.html", "mixed/deep/keep.css", "all/b.html"):
        (remote / name).parent.mkdir(parents=True, exist_ok=True)
        (remote / name).write_text("x")
    util.set_pyftpsync_logger(None)
    options = {"match": ["*.html"], "delete": True, "allow_mass_delete": True, "verbose": 3}
    for _ in range(2):
        assert UploadSynchronizer(FsTarget(str(local)), FsTarget(str(remote)), options).run() is True
    told = capsys.readouterr().out
    assert "[mixed/deep] stays: the filter leaves out what is in it." in told
    assert "[all] stays" not in told
    assert not (remote / "all").exists() and not (remote / "mixed" / "a.html").exists()
    assert (remote / "mixed" / "deep" / "keep.css").exists()


# -- what is promised --------------------------------------------------------------------------------


def test_what_help_and_readme_call_files_of_pyftpsync_are_all_of_them_and_no_others(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", *words],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "1000"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=True,
        )
        return done.stdout

    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for number, text in enumerate((run("upload", "--help"), readme)):
        (told,) = re.findall(r"files of pyftpsync itself \(([^)]*)\)", text)
        own = re.sub(r"[`\s]", "", told).replace("*", "12.part").split(",")
        assert {*ALWAYS_OMIT, TRASH_NAME} < set(own)
        local, remote = tmp_path / f"local {number}", tmp_path / f"remote {number}"
        (local / "d").mkdir(parents=True)
        remote.mkdir()
        for name in (*own, ".pyftpsync-of-the-user"):
            (local / "d" / name).write_text("{}")
        run("upload", str(local), str(remote), "--migrate")
        assert os.listdir(remote / "d") == [".pyftpsync-of-the-user"]
