"""A lock of ours and the reference: it overwrites any lock, names nobody, and removes it in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import Environment
from running import PASSWORD, RESERVED, USER, contents, ftp_server, run_python

QUIET = ("--no-prompt", "--no-keyring", "--no-netrc", "--no-color")


@pytest.fixture(params=["4.1", "3.1"])
def reference(
    request: pytest.FixtureRequest, reference_41: Environment, reference_31: Environment
) -> Environment:
    return {"4.1": reference_41, "3.1": reference_31}[request.param]


@pytest.fixture
def port(tmp_path: Path, reference_41: Environment) -> Iterator[int]:
    for folder in ("served/site", "local", "other"):
        (tmp_path / folder).mkdir(parents=True)
    with ftp_server(reference_41, tmp_path / "served") as number:
        yield number


def wait_for(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def holder_of(lock: Path) -> object:
    try:
        return json.loads(lock.read_text())["lock_holder"]
    except (OSError, ValueError):
        return None


def arguments(command: str, local: Path, port: int) -> list[str]:
    url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/site"
    return ["-m", "ftpsync.pyftpsync", command, str(local), url, *QUIET]


def test_our_lock_does_not_disturb_the_reference(
    tmp_path: Path, port: int, ours: Environment, reference: Environment
) -> None:
    site, lock = tmp_path / "served" / "site", tmp_path / "served" / "site" / RESERVED[1]
    for side, text in ((tmp_path / "local", "here"), (site, "over there")):
        (side / "asked").write_text(text)
        os.utime(side / "asked", (1.6e9, 1.6e9))
    (tmp_path / "other" / "theirs").write_text("theirs")
    (tmp_path / "home").mkdir()
    command = [sys.executable, *arguments("sync", tmp_path / "local", port), "--resolve", "ask"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path / "home",
        env={**os.environ, "HOME": str(tmp_path / "home")},
    ) as first:
        try:
            wait_for(lambda: holder_of(lock))
            done = run_python(reference, arguments("upload", tmp_path / "other", port), tmp_path / "home")
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert contents(site)["theirs"] == b"theirs"
            said = first.communicate("s\n", timeout=30)
        finally:
            first.kill()
    assert first.returncode == 0, said
    assert not lock.exists()


def test_a_lock_that_we_left_does_not_disturb_the_reference(
    tmp_path: Path, port: int, reference: Environment
) -> None:
    lock = tmp_path / "served" / "site" / RESERVED[1]
    holder = {"host": "pc", "process": 1, "system": "0123456789abcdef", "token": "0123456789abcdef"}
    lock.write_text(json.dumps({"lock_time": time.time(), "lock_holder": holder}))
    (tmp_path / "local" / "a").write_text("a")
    for command in ("upload", "download", "sync", "scan"):
        places = arguments(command, tmp_path / "local", port)
        if command == "scan":
            places.remove(str(tmp_path / "local"))
        done = run_python(reference, places, tmp_path / "home")
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert contents(tmp_path / "local") == contents(lock.parent) == {"a": b"a"}
    assert not list((tmp_path / "local").glob(RESERVED[1]))


def test_the_lock_of_a_reference_that_was_killed_stops_us_only_while_it_is_fresh(
    tmp_path: Path, port: int, ours: Environment
) -> None:
    lock = tmp_path / "served" / "site" / RESERVED[1]
    (tmp_path / "local" / "a").write_text("a")
    lock.write_text(json.dumps({"lock_time": time.time() - 5, "lock_holder": None}))
    args = arguments("upload", tmp_path / "local", port)
    assert run_python(ours, args, tmp_path / "home").returncode == 1
    assert contents(lock.parent) == {}
    written = time.time() - 5000
    lock.write_text(json.dumps({"lock_time": written, "lock_holder": None}))
    os.utime(lock, (written, written))
    assert run_python(ours, args, tmp_path / "home").returncode == 0
    assert contents(lock.parent) == {"a": b"a"}
    assert not lock.exists()
