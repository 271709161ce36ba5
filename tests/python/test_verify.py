"""`--verify`: a bit that flips on the way is an error for its file, and nothing wrong is put in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import servers
from server_worlds import World, assert_clear_error, bodies, make_world, times, write
from servers import Kind, proxies
from servers.base import StartServer

WITH_CHECKSUMS = replace(servers.PROFTPD, modules=("mod_digest.c",))


@pytest.fixture(
    params=[WITH_CHECKSUMS, servers.PROFTPD, servers.PYFTPDLIB, servers.VSFTPD],
    ids=["checksums", "proftpd", "pyftpdlib", "vsftpd"],
)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.mark.parametrize("command", ["upload", "download"])
def test_a_flipped_bit_leaves_the_old_file(
    kind: Kind, command: str, start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(kind), tmp_path)
    source, target = (world.local, world.remote) if command == "upload" else (world.remote, world.local)
    write(source, "other", b"fine")
    write(source, "file", b"needle " * 3)
    write(target, "file", b"old content", age=3600)
    with proxies.running() as proxy:
        through = ("--proxy", f"socks5://127.0.0.1:{proxy.port}", "--verify", "--force")
        proxy.spoils = b"needle needle"
        result = world.run(command, *through, code=1)
        assert_clear_error(result, "not what was transferred")
        assert proxy.spoils == b"", "nothing was spoiled"
        assert bodies(target) == {"other": b"fine", "file": b"old content"}
        world.run(command, *through)
    assert bodies(target) == bodies(source)
    log = world.server.output()
    if kind is WITH_CHECKSUMS:
        assert "HASH" in log or "XSHA" in log, log


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_arrived_well_is_kept(kind: Kind, tls: bool, start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(kind, tls=tls), tmp_path)
    exchange(world)


def test_sftp_reads_back(start_server: StartServer, tmp_path: Path) -> None:
    exchange(make_world(start_server(servers.OPENSSH), tmp_path))


def exchange(world: World) -> None:
    for number in range(3):
        write(world.local, f"up/{number}", b"u" * number * 100_000)
        write(world.remote, f"down/{number}", b"d" * number * 100_000)
    world.run("sync", "--verify")
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 6
    assert times(world.local) == times(world.remote)
