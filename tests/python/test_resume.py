"""Large files whose transfer is cut, on real servers: the rest follows, and not everything again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import servers
from rough import Sides, relayed
from server_worlds import bodies, make_world, times, write
from servers import Kind, openssh, proxies, s3
from servers.base import StartServer
from skipping import missing

SIZE = 12_000_000
CUT = 7_000_000


@pytest.mark.parametrize("kind", servers.ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("command", ["upload", "download"])
def test_a_transfer_that_was_cut_goes_on(
    kind: Kind, command: str, start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(kind), tmp_path)
    source, target = (world.local, world.remote) if command == "upload" else (world.remote, world.local)
    write(source, "large.bin", os.urandom(SIZE))
    with proxies.running() as proxy:
        proxy.cuts_after = CUT
        # One connection, since on a busy machine the server behind the proxy may seem to be far, and parts be fetched.
        world.run(command, "--connections", "1", "--proxy", f"socks5://127.0.0.1:{proxy.port}")
        assert proxy.cuts_after == 0, "nothing was cut"
    assert bodies(target) == bodies(source)
    assert times(target) == times(source)
    assert [path.name for path in target.iterdir() if "-tmp-" in path.name] == []
    offsets = [int(found) for found in re.findall(r"\bREST (\d+)", world.server.output())]
    if offsets or kind is not servers.PUREFTPD:  # Which does not tell what it was asked.
        assert 0 < max(offsets) <= CUT, offsets


class Line:
    """A line that breaks once, after so many bytes, and counts what has passed."""

    def __init__(self, cut: int) -> None:
        self.cut, self.passed, self.is_broken = cut, 0, False

    def __call__(self, _: int, piece: bytes) -> bytes | None:
        if self.passed >= self.cut and not self.is_broken:
            self.is_broken = True
            return None
        self.passed += len(piece)
        return piece


@pytest.mark.parametrize("command", ["upload", "download"])
def test_a_transfer_over_sftp_goes_on(command: str, start_server: StartServer, tmp_path: Path) -> None:
    size, cut = 24_000_000, 20_000_000
    server, sides = start_server(openssh.OPENSSH), Sides(tmp_path)
    (sides.local / "mine").unlink()
    source, target = (sides.local, server.root) if command == "upload" else (server.root, sides.local)
    write(source, "large.bin", os.urandom(size))
    line = Line(cut)
    lines = {"treat": line} if command == "download" else {"treat": lambda _, piece: piece, "told": line}
    with relayed(server.port, 1 << 16, **lines) as port:
        url = f"sftp://{server.user}@127.0.0.1:{port}{server.path}"
        key = str(openssh.secrets(server) / "user_ed25519")
        words = ["--no-verify-host-keys", "--no-prompt", "--identity-file", key, "--timeout", "30"]
        done = sides.run(command, url, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert line.is_broken and bodies(target) == bodies(source)
    assert [path.name for path in target.iterdir() if "-tmp-" in path.name] == []
    assert line.passed < size + 16_000_000, "what was under way, and not everything, is sent again"


def test_a_download_from_s3_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = Sides(tmp_path)
    (sides.local / "mine").unlink()
    try:
        running = s3.MOTO.start(tmp_path / "bucket")
    except servers.Unavailable as reason:
        missing(str(reason))
    with running as server:
        for name, value in s3.environment(server).items():
            monkeypatch.setenv(name, value)
        content = os.urandom(SIZE)
        write(sides.remote, "large.bin", content)
        place = f"s3://{s3.BUCKET}/folder"
        up = [sys.executable, "-m", "ftpsync", "upload", str(sides.remote), place, "--create-folder"]
        subprocess.run(up, check=True, capture_output=True, timeout=120)
        line = Line(CUT)
        with relayed(server.port, 1 << 16, line) as port:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            done = sides.run("download", place, "--timeout", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert line.is_broken and (sides.local / "large.bin").read_bytes() == content
    assert line.passed < SIZE + 5_000_000, "what has arrived is not sent again"
    assert [path.name for path in sides.local.iterdir() if "-tmp-" in path.name] == []
