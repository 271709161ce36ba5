"""Importing the package only defines names; what is called later looks at the world of that moment."""

from __future__ import annotations

import builtins
import getpass
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import ftpsync
from ftpsync import _core, util
from ftpsync.targets import make_target

MODULES = """ftpsync ftpsync.targets ftpsync.ftp_target ftpsync.sftp_target ftpsync.synchronizers
    ftpsync.resources ftpsync.metadata ftpsync.util ftpsync.compat ftpsync.cli_common ftpsync.pyftpsync
    ftpsync.run_command ftpsync.scan_command ftpsync.tree_command"""

#: What together takes longer to import than all that a run needs.
HEAVY = """asyncio configparser email ftplib getpass hashlib http importlib.metadata inspect netrc platform shlex shutil
    socket ssl subprocess tempfile urllib.request uuid yaml zipfile"""

#: Runs before the import: whatever would open a connection or a keyring, ask, or need a package that may be missing.
FORBIDDEN = """
import builtins, getpass, importlib.abc, netrc, socket, sys

def forbidden(*args, **kwargs):
    raise AssertionError("not while importing")

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"keyring", "colorama", "pysftp", "paramiko", "yaml"}:
            raise ImportError(name + " is missing")

sys.meta_path.insert(0, Missing())
builtins.input = getpass.getpass = getpass.getuser = netrc.netrc = forbidden
socket.socket.connect = socket.create_connection = socket.getaddrinfo = forbidden
sys.stdin = sys.stdout = sys.stderr = None
"""


@pytest.mark.parametrize("module", MODULES.split())
def test_a_module_can_be_imported_first_and_alone(module: str, tmp_path: Path) -> None:
    """Without a home, a terminal and the optional packages; with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{FORBIDDEN}\nimport {module}"],
        env={**os.environ, "HOME": str(tmp_path / "missing"), "PYFTPSYNC_COMPAT": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_loads_nothing_that_takes_long_and_is_not_needed(tmp_path: Path) -> None:
    """Most runs of the command find little to do, so its start is what they take."""
    code = (
        "import sys\n"
        "from ftpsync.pyftpsync import run\n"
        "sys.argv = ['pyftpsync', 'upload', 'here', 'there']\n"
        "run()\n"
        f"print(sorted(sys.modules.keys() & {HEAVY.split()}))"
    )
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_optional_packages_are_a_module_or_none(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('keyring', 'colorama'): sys.modules[name] = None\n"
        "from ftpsync import util\n"
        "from ftpsync.util import keyring, colorama\n"
        "print(keyring, colorama, repr(util.ansi_code('Fore.RED')), util.get_credentials_for_url('h', {}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None None '' None\n"


def test_the_command_line_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from ftpsync import pyftpsync

    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("os._exit"))
    previous = util.get_pyftpsync_logger()
    try:
        for _ in range(2):
            monkeypatch.setattr(sys, "argv", ["pyftpsync", "--version"])
            with pytest.raises(SystemExit) as end:
                pyftpsync.run()
            assert end.value.code in (None, 0)
            assert capsys.readouterr().out == f"{ftpsync.__version__}\n"
            monkeypatch.setattr(sys, "argv", ["pyftpsync"])
            with pytest.raises(SystemExit) as end:
                pyftpsync.run()
            assert end.value.code == 2
            capsys.readouterr()
    finally:
        util.set_pyftpsync_logger(previous)


def test_replaced_functions_are_the_ones_that_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", lambda prompt="": "joe")
    monkeypatch.setattr(getpass, "getpass", lambda *args, **kwargs: "pw")
    assert util.prompt_for_password("host") == ("joe", "pw")
    assert util.prompt_for_password("host", user="sue") == ("sue", "pw")


@pytest.mark.parametrize(
    "path",
    [
        "util.getpass.getpass",
        "util.netrc.netrc",
        "ftp_target.ftplib.FTP",
        "targets.shutil.rmtree",
        "targets.unquote",
        "synchronizers.byte_compare",
        "synchronizers.eps_compare",
    ],
)
def test_the_paths_of_4_1_can_be_patched(path: str) -> None:
    with mock.patch(f"ftpsync.{path}") as stand_in:
        assert pkgutil.resolve_name(f"ftpsync.{path}") is stand_in
    with pytest.raises(AttributeError), mock.patch(f"ftpsync.{path.split('.')[0]}.no_such_name"):
        """It is not there."""


@pytest.mark.parametrize("scheme", ["sftp", "s3"])
def test_a_build_without_a_feature_says_so(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "Target", SimpleNamespace(unmade=_core.Target.unmade))
    with pytest.raises(RuntimeError, match=f"made without the Cargo feature '{scheme}'"):
        make_target(f"{scheme}://place/folder").open()
