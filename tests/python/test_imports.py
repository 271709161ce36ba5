"""What importing the package loads. Scripts and the command line pay for it at every start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = ("ftpsync.pyftpsync", "ftpsync.targets", "ftpsync.synchronizers", "ftpsync.ftp_target")

#: Modules that take long to load, or that only some of the users need.
HEAVY = {
    "colorama",
    "dataclasses",
    "email",
    "ftplib",
    "getpass",
    "hashlib",
    "importlib.metadata",
    "inspect",
    "keyring",
    "netrc",
    "pathlib",
    "platform",
    "pprint",
    "secrets",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "urllib.request",
    "uuid",
    "yaml",
}


def loaded_after(code: str) -> set[str]:
    """Returns the names of the modules that a fresh interpreter has loaded after some code."""
    # Without site: packages of the environment may load anything at the start of the interpreter.
    paths = [path for path in sys.path if path]
    program = (
        f"import sys; sys.path[:] = {paths!r}\n{code}\nimport json; print(json.dumps(list(sys.modules)))"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_heavy_modules_are_loaded_when_they_are_needed() -> None:
    loaded = loaded_after(f"import {', '.join(MODULES)}")
    assert set(MODULES) <= loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_core_is_loaded_by_the_first_target(module: str) -> None:
    assert "ftpsync._core" not in loaded_after(f"import {module}")


def test_the_user_s_own_connection_is_an_ftplib_object_all_the_same() -> None:
    code = "from ftpsync.ftp_target import FTPTarget; target = FTPTarget('/', 'host')"
    assert not loaded_after(code) & {"ftplib", "ssl"}
    loaded = loaded_after(f"{code}; ftp = target.ftp; import ftplib; assert isinstance(ftp, ftplib.FTP)")
    assert "ftplib" in loaded
