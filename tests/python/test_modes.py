"""Who opens data connections: the mode that does not work is changed once, and the run says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import servers
from server_worlds import bodies, make_world, write
from servers.base import StartServer


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (servers.PyFtpdLib(lacks=("EPSV", "PASV")), (), "(--ftp-active)"),
        (servers.PyFtpdLib(lacks=("EPRT", "PORT")), ("--ftp-active",), "(without --ftp-active)"),
    ],
    ids=["only active", "only passive"],
)
def test_a_server_that_knows_one_mode_only_is_enough(
    start_server: StartServer,
    tmp_path: Path,
    tls: bool,
    kind: servers.Kind,
    options: tuple[str, ...],
    told: str,
) -> None:
    world = make_world(start_server(kind, tls=tls), tmp_path)
    for number in range(10):
        write(world.local, f"up{number}")
        write(world.remote, f"down{number}")
    result = world.run("sync", *options)
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 20
    assert [told in line for line in result.out.splitlines() if "Data connections" in line] == [True]


def test_every_server_works_in_active_mode(ftp_server: servers.Server, tmp_path: Path) -> None:
    world = make_world(ftp_server, tmp_path)
    for number in range(10):
        write(world.local, f"up{number}")
        write(world.remote, f"down{number}")
    result = world.run("sync", "--ftp-active")
    assert bodies(world.local) == bodies(world.remote)
    assert "Data connections" not in result.out
