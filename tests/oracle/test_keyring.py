"""The keyring that the releases of pyftpsync have filled is ours, and the other way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from environments import Environment
from running import TESTS, run_python

STORE = """
from ftpsync.util import save_password, set_pyftpsync_logger
set_pyftpsync_logger(None)
save_password("host.example", "joe", "pass:wörd")
"""
READ = """
from ftpsync.util import get_credentials_for_url, set_pyftpsync_logger
set_pyftpsync_logger(None)
print(list(get_credentials_for_url("host.example", {"no_netrc": True, "no_prompt": True, "verbose": 3})))
"""
DELETE = """
from ftpsync.util import save_password, set_pyftpsync_logger
set_pyftpsync_logger(None)
save_password("host.example", "joe", None)
"""


@pytest.mark.parametrize("release", ["4.1", "3.1"])
@pytest.mark.parametrize("ours_stores", [True, False], ids=["ours stores", "the release stores"])
def test_what_one_stores_the_other_finds(
    tmp_path: Path,
    ours: Environment,
    reference_41: Environment,
    reference_31: Environment,
    release: str,
    ours_stores: bool,
) -> None:
    reference = {"4.1": reference_41, "3.1": reference_31}[release]
    first, second = (ours, reference) if ours_stores else (reference, ours)
    file = tmp_path / "keyring.json"
    variables = {
        "PYTHON_KEYRING_BACKEND": "file_keyring.Keyring",
        "FILE_KEYRING": str(file),
        "PYTHONPATH": str(TESTS),
    }

    def run(environment: Environment, script: str) -> str:
        ran = run_python(environment, ["-c", script], tmp_path / "home", variables)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run(first, STORE)
    assert json.loads(file.read_text()) == {"pyftpsync": {"host.example": "joe:pass:wörd"}}
    found = run(second, READ)
    assert found == run(first, READ)
    assert found.splitlines() == [
        "Using credentials from keyring('pyftpsync', 'host.example'): joe:***.",
        "['joe', 'pass:wörd']",
    ]
    run(second, DELETE)
    assert json.loads(file.read_text()) == {"pyftpsync": {}}
