"""Output, credentials and conversions of `ftpsync.util`."""

from __future__ import annotations

import argparse
import builtins
import getpass
import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftpsync import util


class Keyring:
    """A keyring in memory."""

    def __init__(self, **stored: str) -> None:
        self.stored = stored

    def get_password(self, service: str, key: str) -> str | None:
        assert service == "pyftpsync"
        return self.stored.get(key)

    def set_password(self, service: str, key: str, value: str) -> None:
        self.stored[key] = value

    def delete_password(self, service: str, key: str) -> None:
        del self.stored[key]


class BrokenKeyring:
    def get_password(self, service: str, key: str) -> str:
        raise RuntimeError("the daemon is gone")

    set_password = delete_password = get_password


@pytest.fixture(autouse=True)
def printed() -> Any:
    previous = util.set_pyftpsync_logger(None)
    yield
    util.set_pyftpsync_logger(previous)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYFTPSYNC_COMPAT", raising=False)
    monkeypatch.setattr(util, "keyring", None)
    return tmp_path


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answers every question, and keeps the questions."""
    asked: list[str] = []

    def answer(value: str) -> Any:
        def ask(prompt: str = "") -> str:
            asked.append(prompt)
            return value

        return ask

    monkeypatch.setattr(builtins, "input", answer("joe"))
    monkeypatch.setattr(getpass, "getpass", answer("secret"))
    return asked


def without_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the package look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delattr(util, "keyring", raising=False)


class TestOutput:
    def test_without_a_logger_lines_are_printed_to_the_current_streams(self, capsys: Any) -> None:
        util.write("a", 1, debug=True)
        util.write("b", end="|")
        util.write_error("c")
        captured = capsys.readouterr()
        assert captured.out == "a 1\nb|"
        assert captured.err == "c\n"

    def test_a_logger_gets_one_string_whatever_is_in_it(self, caplog: Any) -> None:
        util.set_pyftpsync_logger(logging.getLogger("test"))
        with caplog.at_level(logging.DEBUG):
            util.write("100 %s", "x", end="", flush=True)
            util.write("%(much)d%%", {"much": 50})
            util.write("100%", "done", {"much": 50})
            util.write("d", debug=True)
            util.write("w", warning=True)
            util.write_error("e", 2)
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("INFO", "100 x"),
            ("INFO", "50%"),
            ("INFO", "100% done {'much': 50}"),
            ("DEBUG", "d"),
            ("WARNING", "w"),
            ("ERROR", "e 2"),
        ]

    def test_false_is_no_logger_either(self, capsys: Any) -> None:
        util.set_pyftpsync_logger(False)
        util.write("a")
        util.write_error("b")
        assert capsys.readouterr() == ("a\n", "b\n")

    def test_the_setter_returns_what_was_in_effect(self) -> None:
        mine = logging.getLogger("mine")
        assert util.set_pyftpsync_logger(mine) is None
        assert util.get_pyftpsync_logger() is mine
        assert util.set_pyftpsync_logger(None) is mine

    def test_a_plain_script_logs_to_stderr(self) -> None:
        code = "from ftpsync.util import write; write('hello')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "INFO:pyftpsync:hello\n")

    def test_colours_are_empty_without_colorama(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(util, "colorama", None)
        assert util.ansi_code("Fore.RED") == ""

    def test_only_sequences_come_out_of_colorama(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Fore:
            RED = "<red>"

        monkeypatch.setattr(util, "colorama", type("colorama", (), {"Fore": Fore}))
        assert util.ansi_code("Fore.RED") == "<red>"
        assert util.ansi_code("Fore.MAUVE") == ""
        assert util.ansi_code("Fore") == ""

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], 3),
            (["-v"], 4),
            (["-vvq"], 4),
            (["--verbose", "up", "-nvv"], 6),
            (["-qqqqqqq"], -4),
            (["--vv"], 3),
            (["--quiet"], 2),
        ],
    )
    def test_verbosity_is_counted_before_parsing(
        self, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: int
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["prog", *arguments])
        assert util.check_cli_verbose() == expected


class TestConversions:
    def test_bytes_and_str(self) -> None:
        assert util.to_bytes("ä") == b"\xc3\xa4"
        assert util.to_bytes(b"x") == b"x"
        assert util.to_native(b"\xe4", "latin-1") == "ä"
        assert util.to_native(5) == util.to_unicode(5) == "5"
        assert util.is_native("") and not util.is_native(b"")
        with pytest.raises(TypeError):
            util.to_bytes(5)

    @pytest.mark.parametrize("word", ["1", " ON ", "yes", "True", True, 1])
    def test_true_words(self, word: object) -> None:
        assert util.str_to_bool(word) is True

    @pytest.mark.parametrize("word", ["0", "off", "No", False])
    def test_false_words(self, word: object) -> None:
        assert util.str_to_bool(word) is False

    def test_other_words_are_refused(self) -> None:
        with pytest.raises(ValueError, match="^Invalid value '"):
            util.str_to_bool("maybe")

    def test_stamps_are_local_time(self) -> None:
        assert util.pretty_stamp(None) == "n.a."
        assert util.pretty_stamp(time.mktime((2024, 5, 6, 7, 8, 9, 0, 0, -1)) + 0.7) == "2024-05-06 07:08:09"

    def test_namespaces_lose_their_functions(self) -> None:
        assert util.namespace_to_dict(argparse.Namespace(a=1, handler=print)) == {"a": 1}

    def test_keys_become_str(self) -> None:
        assert util.make_native_dict_keys({b"a": {b"b": 1}, 3: 4}) == {"a": {"b": 1}, "3": 4}

    @given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(0, 10))
    def test_comparing_is_antisymmetric(self, a: float, b: float, eps: float) -> None:
        assert util.eps_compare(a, b, eps) == -util.eps_compare(b, a, eps)
        assert util.eps_compare(a, a, eps) == 0

    @given(st.binary(max_size=50), st.binary(max_size=50), st.sampled_from([0, 16384, 20000]))
    def test_comparing_streams_finds_the_first_difference(self, a: bytes, b: bytes, common: int) -> None:
        a, b = bytes(common) + a, bytes(common) + b
        equal, offset = util.byte_compare(io.BytesIO(a), io.BytesIO(b))
        assert equal == (a == b)
        assert a[:offset] == b[:offset]
        assert equal or offset in (len(a), len(b)) or a[offset] != b[offset]
        assert not equal or offset == len(a)

    def test_streams_that_deliver_in_pieces_are_compared_as_a_whole(self) -> None:
        class Trickle(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size or 1, 3))

        assert util.byte_compare(Trickle(b"abcdefgh"), io.BytesIO(b"abcdefgh")) == (True, 8)


class TestCredentials:
    def test_a_question_names_the_host(self, answers: list[str]) -> None:
        assert util.prompt_for_password("h.example", default_user="dd") == ("joe", "secret")
        assert answers == [
            "Enter username for h.example [dd]: ",
            "Enter password for joe@h.example (Ctrl+C to abort): ",
        ]

    def test_a_known_user_is_not_asked_for(self, answers: list[str]) -> None:
        assert util.prompt_for_password("h", user="bob") == ("bob", "secret")
        assert len(answers) == 1

    def test_a_closed_input_is_told_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def closed(prompt: str) -> str:
            raise EOFError

        monkeypatch.setattr(builtins, "input", closed)
        with pytest.raises(RuntimeError, match="--no-prompt"):
            util.prompt_for_password("h")

    def test_an_empty_answer_means_the_offered_user(
        self, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        monkeypatch.setattr(builtins, "input", lambda prompt: "")
        assert util.prompt_for_password("h", default_user="dd") == ("dd", "secret")

    def test_the_keyring_comes_first_and_passwords_are_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(util, "keyring", Keyring(h="joe:p:w"))
        credentials = util.get_credentials_for_url("h", {})
        assert credentials is not None
        assert tuple(credentials) == ("joe", "p:w")
        assert capsys.readouterr().out == "Using credentials from keyring('pyftpsync', 'h'): joe:***.\n"

    def test_netrc_comes_second(self, home: Path, capsys: Any) -> None:
        netrc = home / ".netrc"
        netrc.write_text("machine h login joe password pw\n")
        netrc.chmod(0o600)
        assert util.get_credentials_for_url("h", {}) == ("joe", "pw")
        assert "pw" not in capsys.readouterr().out
        assert util.get_credentials_for_url("h", {"no_netrc": True}) is None

    def test_an_entry_of_netrc_without_a_user_is_not_used(self, home: Path, capsys: Any) -> None:
        netrc = home / ".netrc"
        netrc.write_text("machine h password geheim\n")
        netrc.chmod(0o600)
        assert util.get_credentials_for_url("h", {}) is None
        captured = capsys.readouterr()
        assert (
            "names no user" in captured.err or "is not understood" in captured.err
        )  # Python 3.10 refuses it.
        assert "geheim" not in captured.out + captured.err

    def test_misses_are_told_from_verbosity_4(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.setattr(util, "keyring", Keyring())
        assert util.get_credentials_for_url("h", {"verbose": 3}) is None
        assert capsys.readouterr().out == ""
        assert util.get_credentials_for_url("h", {"verbose": 4}) is None
        assert len(capsys.readouterr().out.splitlines()) == 2

    def test_a_broken_keyring_is_reported_and_survived(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(util, "keyring", BrokenKeyring())
        assert util.get_credentials_for_url("h", {}) is None
        assert capsys.readouterr().err.startswith("Could not get password from keyring ")

    def test_a_keyring_that_cannot_be_imported_is_reported_and_survived(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "keyring.py").write_text("raise AttributeError('no such entry point')")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "keyring", raising=False)
        monkeypatch.delattr(util, "keyring")
        assert util.get_credentials_for_url("h", {}) is None
        util.save_password("h", "joe", "secret")
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "Could not load the package keyring (AttributeError): no such entry point"
        assert lines[1].startswith("Could not store credentials")

    @pytest.mark.parametrize(
        ("options", "errors", "lines"),
        [
            ({}, 1, 0),
            ({"verbose": 4}, 0, 1),
            ({"no_prompt": False}, 1, 0),
            ({"no_keyring": True}, 0, 0),
            ({"prompt": True}, 0, 0),
        ],
    )
    def test_a_keyring_that_is_not_installed_is_told(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        answers: list[str],
        options: dict[str, Any],
        errors: int,
        lines: int,
    ) -> None:
        without_keyring(monkeypatch)
        util.get_credentials_for_url("h", options)
        captured = capsys.readouterr()
        said = "The system keyring is not asked for the credentials of h: run pip install 'pyftpsync-rs[keyring]'"
        assert (captured.err.count(said), captured.out.count(said)) == (errors, lines)

    def test_a_keyring_that_is_not_installed_is_of_no_concern_where_others_know(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, answers: list[str]
    ) -> None:
        without_keyring(monkeypatch)
        netrc = home / ".netrc"
        netrc.write_text("machine h login joe password pw\n")
        netrc.chmod(0o600)
        assert util.get_credentials_for_url("h", {}) == ("joe", "pw")
        util.get_credentials_for_url("h", {"no_prompt": False}, force_user="bob")
        assert "pip install" not in "".join(capsys.readouterr())

    def test_a_keyring_that_was_put_away_is_not_missed(self, capsys: Any) -> None:
        assert util.keyring is None  # By the fixture.
        assert util.get_credentials_for_url("h", {}) is None
        assert capsys.readouterr().err == ""

    def test_somebody_without_a_login_name_is_offered_none(
        self, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        def nobody() -> str:
            raise KeyError("getpwuid(): uid not found: 1234")

        monkeypatch.setattr(getpass, "getuser", nobody)
        assert util.prompt_for_password("h") == ("joe", "secret")
        assert answers[0] == "Enter username for h: "

    def test_a_distinct_user_needs_to_be_asked(self, answers: list[str]) -> None:
        with pytest.raises(RuntimeError, match=r"^Cannot get credentials for a distinct user \(bob\)"):
            util.get_credentials_for_url("h", {}, force_user="bob")
        assert util.get_credentials_for_url("h", {"no_prompt": False}, force_user="bob") == ("bob", "secret")

    def test_a_guest_is_looked_up_and_not_asked(
        self, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        assert util.prompt_for_password("h", user="") is None
        assert util.get_credentials_for_url("h", {"no_prompt": False}, force_user="") is None
        assert util.get_credentials_for_url("h", {}, force_user="") is None
        assert answers == []
        assert util.get_credentials_for_url("h", {"prompt": True}, force_user="") == ("joe", "secret")
        monkeypatch.setattr(util, "keyring", Keyring(h="sue:pw"))
        assert util.get_credentials_for_url("h", {}, force_user="") == ("sue", "pw")

    def test_prompt_skips_the_stores(self, monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
        monkeypatch.setattr(util, "keyring", BrokenKeyring())
        assert util.get_credentials_for_url("h", {"prompt": True}) == ("joe", "secret")

    def test_release_31_offers_the_stored_user(
        self, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        monkeypatch.setattr(util, "keyring", Keyring(h="sue:pw"))
        util.get_credentials_for_url("h", {"prompt": True, "no_prompt": False})
        assert answers[0] == "Enter username for h [sue]: "

    def test_an_old_password_file_is_refused(self, home: Path) -> None:
        (home / "pyftpsync.pw").touch()
        with pytest.raises(RuntimeError, match=r"^Custom password files are no longer supported\."):
            util.get_credentials_for_url("h", {})

    def test_saving_and_deleting(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        keyring = Keyring()
        monkeypatch.setattr(util, "keyring", keyring)
        util.save_password("h", "joe", "pw")
        assert keyring.stored == {"h": "joe:pw"}
        util.save_password("h", "joe", None)
        assert keyring.stored == {}
        util.save_password("h", "joe", None)  # Nothing to delete: written, not raised.
        captured = capsys.readouterr()
        assert "pw" not in captured.out + captured.err
        assert captured.err.startswith("Could not delete/set password")

    def test_a_colon_in_the_user_name_cannot_be_stored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(util, "keyring", Keyring())
        with pytest.raises(RuntimeError, match="':'"):
            util.save_password("h", "a:b", "pw")


def test_settings_come_from_the_environment_then_the_file(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / ".pyftpsyncrc").write_text("[debug]\nverbose_meta = yes\n")
    util._rc_file.cache_clear()
    try:
        assert util.get_option("PYFTPSYNC_NIX", "debug", "verbose_meta") == "yes"
        assert util.get_option("PYFTPSYNC_NIX", "debug", "nix", "default") == "default"
        monkeypatch.setenv("PYFTPSYNC_NIX", "env")
        assert util.get_option("PYFTPSYNC_NIX", "debug", "verbose_meta") == "env"
    finally:
        util._rc_file.cache_clear()


def test_importing_is_light() -> None:
    code = (
        "import sys, ftpsync.util, ftpsync.targets, ftpsync.ftp_target, ftpsync.synchronizers\n"
        "heavy = {'yaml', 'keyring', 'getpass', 'netrc', 'colorama', 'pyftpdlib', 'hypothesis'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_compat_module_has_the_names_of_31() -> None:
    from ftpsync import compat

    assert compat.PY3 and not compat.PY2
    assert compat.is_basestring(b"") and compat.is_basestring("") and not compat.is_basestring(1)
    assert compat.is_bytes(b"") and compat.is_unicode("") and not compat.is_unicode(b"")
    assert compat.console_input is input and compat.xrange is range
    assert compat.to_native(b"a") == "a" and compat.b_slash == b"/"
    assert os.fspath("x") == compat.unquote("%78") == "x"


def test_a_line_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []

    class Paper(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Paper())
    monkeypatch.setattr(sys, "stderr", Paper())
    previous = util.set_pyftpsync_logger(None)
    util.write("one", 2)
    util.write("three", 4, sep="-", end="\r")
    util.write_error("five")
    util.set_pyftpsync_logger(previous)
    assert [piece for piece in pieces if piece] == ["one 2\n", "three-4\r", "five\n"]
