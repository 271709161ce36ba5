"""The two script examples of the 3.1 manual (section 2.2), as printed but for host, port and folders."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from environments import Environment
from running import contents, ftp_server, run_python

#: Asked of every script at its end: what a script of a user could look at, too.
TELL = """
import json
stats = {k: v for k, v in s.get_stats().items() if "elap" not in k and "time" not in k and "rate" not in k}
print("STATS " + json.dumps(stats, sort_keys=True))
"""

UPLOAD = """
from ftpsync.targets import FsTarget
from ftpsync.ftp_target import {ftp_target}
from ftpsync.synchronizers import UploadSynchronizer

local = FsTarget("~/temp")
user = "joe"
passwd = "secret"
remote = {ftp_target}("/temp", "127.0.0.1", {port}, username=user, password=passwd)
opts = {{"force": False, "delete_unmatched": True, "verbose": 3}}
s = UploadSynchronizer(local, remote, opts)
s.run()
"""

SYNC_TLS = """
from ftpsync.targets import FsTarget
from ftpsync.ftp_target import {ftp_target}
from ftpsync.synchronizers import BiDirSynchronizer

local = FsTarget("~/temp")
user = "joe"
passwd = "secret"
remote = {ftp_target}("/temp", "127.0.0.1", {port}, username=user, password=passwd, tls=True)
opts = {{"resolve": "skip", "verbose": 1}}
s = BiDirSynchronizer(local, remote, opts)
s.run()
"""

#: Depend on the version text, the clock, and on whether the server needs a meta file for times.
UNEQUAL = ("meta_bytes_read", "meta_bytes_written")
OLD = 1_600_000_000

Told = tuple[dict[str, bytes], dict[str, bytes], list[dict[str, Any]]]


def fill(root: Path, files: dict[str, str]) -> None:
    for path, body in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(body)
        os.utime(root / path, (OLD, OLD))


def play(
    script: str,
    environment: Environment,
    server: Environment,
    folder: Path,
    changes: Sequence[Callable[[Path, Path], None]],
    *options: str,
) -> Told:
    """Runs a script once for each change made before; returns both trees and the statistics of each run."""
    home, served = folder / "home", folder / "served"
    local, remote = home / "temp", served / "temp"
    local.mkdir(parents=True)
    remote.mkdir(parents=True)
    statistics: list[dict[str, Any]] = []
    with ftp_server(server, served, *options) as port:
        # The name in the example is that of 3.1; 4.1 knows the class only by its new one.
        name = "FTPTarget" if environment.name == "4.1.0" else "FtpTarget"
        program = folder / "script.py"
        program.write_text(script.format(port=port, ftp_target=name) + TELL)
        for change in changes:
            change(local, remote)
            trust = {"SSL_CERT_FILE": str(folder / "certificate.pem")} if "--tls" in options else {}
            ran = run_python(environment, [str(program)], home, trust)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            told = [line for line in ran.stdout.splitlines() if line.startswith("STATS ")]
            statistics.append(json.loads(told[0].removeprefix("STATS ")))
            assert not (remote / ".pyftpsync-lock.json").exists()
    return contents(local), contents(remote), statistics


def assert_same(reference: Told, ours: Told) -> None:
    assert ours[:2] == reference[:2]
    for one, other in zip(reference[2], ours[2], strict=True):
        # New counters may be added.
        assert {k: other.get(k) for k in one if k not in UNEQUAL} == {
            k: v for k, v in one.items() if k not in UNEQUAL
        }


def first(local: Path, remote: Path) -> None:
    fill(local, {"a.txt": "a", "b.txt": "bb", "sub/c.txt": "ccc", "sub/deep/d.txt": "dddd", "empty": ""})
    fill(remote, {"a.txt": "a", "only there.txt": "there", "else/e.txt": "e"})


def second(local: Path, remote: Path) -> None:
    # No folder sees both an edit and a removal on the server: there the reference would lose its record (D5).
    fill(local, {"b.txt": "edited bb", "new/n.txt": "n"})
    (local / "sub" / "c.txt").unlink()
    later = time.time() + 1000
    (remote / "only there.txt").write_text("edited there")
    os.utime(remote / "only there.txt", (later, later))


def third(local: Path, remote: Path) -> None:
    """Nothing."""


def test_the_upload_example(tmp_path: Path, ours: Environment, reference_41: Environment) -> None:
    changes = [first, second, third]
    expected = play(UPLOAD, reference_41, reference_41, tmp_path / "reference", changes)
    actual = play(UPLOAD, ours, reference_41, tmp_path / "ours", changes)
    assert expected[2][0]["files_written"] == 4
    assert_same(expected, actual)


def test_the_tls_example(tmp_path: Path, ours: Environment, reference_41: Environment) -> None:
    changes = [first, second, third]
    actual = play(SYNC_TLS, ours, reference_41, tmp_path / "ours", changes, "--tls")
    assert actual[0] == actual[1]
    assert actual[0]["only there.txt"] == b"edited there"
    assert actual[0]["b.txt"] == b"edited bb"
    assert "sub/c.txt" not in actual[0]
    try:
        expected = play(SYNC_TLS, reference_41, reference_41, tmp_path / "reference", changes, "--tls")
    except AssertionError as why:
        if "ssl" not in str(why).lower():
            raise
        pytest.skip(f"4.1.0 cannot speak TLS with this Python and server ({ssl.OPENSSL_VERSION})")
    assert_same(expected, actual)


def test_the_tls_example_does_not_trust_an_unknown_certificate(
    tmp_path: Path, ours: Environment, reference_41: Environment
) -> None:
    home, served = tmp_path / "home", tmp_path / "served"
    (home / "temp").mkdir(parents=True)
    (served / "temp").mkdir(parents=True)
    fill(home / "temp", {"secret.txt": "to nobody else"})
    with ftp_server(reference_41, served, "--tls") as port:
        program = tmp_path / "script.py"
        program.write_text(SYNC_TLS.format(port=port, ftp_target="FTPTarget"))
        ran = run_python(ours, [str(program)], home)
    assert ran.returncode != 0, ran.stdout
    assert "sha256" in ran.stderr.lower().replace("-", ""), ran.stderr
    assert contents(served) == {}
