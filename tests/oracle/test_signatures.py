"""Every public class, method, function, constant and attribute of 4.1.0 and 3.1.0 is here as it is there."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from environments import Environment
from running import run_python

SURFACE = str(Path(__file__).with_name("surface.py"))

#: What may differ: "place.name" of the reference -> why. A name that is missing, or another value.
REVIEWED = {
    # Private parts of the old implementation that no script was seen to use.
    "ftp_target.F*Target._ftp_*": "the conversation with the server is native",
    "ftp_target.F*Target._*lock*": "the lock is taken by the run, not by the target",
    "run_command._*": "not part of the contract",
    "compat._filesystemencoding": "not part of the contract",
    "sftp_target.cannot be imported": "the reference cannot import pysftp with a current paramiko",
    # Ours accepts all that the reference accepts, and says more about it.
    "*.pwd": "the argument that 4.1 declares for the base class only is accepted and ignored everywhere",
    "util.write*": "the keywords that were looked for in **kwargs are parameters now",
    "run_command.handle_run_command": "3.1 called the second parameter args, 4.1 cli_args; both pass it by position",
    "synchronizers.*Synchronizer.on_error": "3.1 called the first parameter e, 4.1 exc; it is passed by position",
    "util.decode_dict_keys": "the second parameter could only be used with Python 2",
    # Supersets.
    "run_command.KNOWN_RUN_COMMANDS": "the same words in a fixed order, for messages",
    "run_command.KNOWN_TASK_ARGS": "more keys; and no_dry_run, which the file may not have, is not among them",
    "run_command.*OVERRIDABLE_BOOL*": "more keys; no_dry_run is no key but turns one off",
    "synchronizers.ALWAYS_OMIT": "the task file of the other release is left out as well",
    "synchronizers.*._resolve_shortcuts": "D6: o and n were missing",
    "*Synchronizer._stats": "3.1 had no counters for errors",
    # Where 3.1 and 4.1 differ, 4.1 applies.
    "*.DEFAULT_OMIT": "3.1 had no #recycle",
    # Classes.
    "FTPTarget.ftp": "an ftplib.FTP still, but one that connects with its first command",
    "*.target": "FtpTarget is another name of the class FTPTarget",
    "*Synchronizer.remote": "FtpTarget is another name of the class FTPTarget",
}


@pytest.fixture(params=["4.1", "3.1"])
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reference(release: str, reference_41: Environment, reference_31: Environment) -> Environment:
    return {"4.1": reference_41, "3.1": reference_31}[release]


def surface(environment: Environment, home: Path, *args: str, **variables: str) -> dict[str, Any]:
    """Returns what an implementation offers, flat: "place.name" to what is told of it."""
    ran = run_python(environment, [SURFACE, *args], home, variables)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    return {
        f"{place}.{name}": value
        for part in ("modules", "instances")
        for place, names in told[part].items()
        for name, value in names.items()
    }


def test_the_surface_is_that_of_the_reference(
    tmp_path: Path, ours: Environment, release: str, reference: Environment
) -> None:
    theirs = surface(reference, tmp_path / "home")
    here = surface(ours, tmp_path / "home", "--imported", PYFTPSYNC_COMPAT=release)
    assert len(theirs) > 400, "the reference was not heard"
    different = {
        name: f"{told} there, {here.get(name, 'missing')} here"
        for name, told in theirs.items()
        if here.get(name) != told and not any(fnmatch(name, pattern) for pattern in REVIEWED)
    }
    assert not different, "\n".join(f"{name}: {what}" for name, what in different.items())


def test_no_reviewed_difference_is_stale(
    tmp_path: Path, ours: Environment, reference_41: Environment, reference_31: Environment
) -> None:
    used: set[str] = set()
    for release, reference in (("4.1", reference_41), ("3.1", reference_31)):
        here = surface(ours, tmp_path / "home", "--imported", PYFTPSYNC_COMPAT=release)
        for name, told in surface(reference, tmp_path / "home").items():
            if here.get(name) != told:
                used |= {pattern for pattern in REVIEWED if fnmatch(name, pattern)}
    assert set(REVIEWED) == used


def test_names_of_both_releases_are_offered_whatever_is_emulated(tmp_path: Path, ours: Environment) -> None:
    plain = surface(ours, tmp_path / "home", "--imported")
    emulating = surface(ours, tmp_path / "home", "--imported", PYFTPSYNC_COMPAT="3.1")
    assert plain.keys() == emulating.keys()
