"""The second engine (`--ftp-engine suppaftp`) against real servers, plain and with TLS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

import servers
from ftpsync.targets import make_target
from server_worlds import assert_clear_error, bodies, make_world, times, write
from servers import Kind
from servers.base import StartServer

ENGINE = ("--ftp-engine", "suppaftp")


@pytest.mark.parametrize("kind", servers.ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_up_down_delete_and_nothing_the_second_time(
    kind: Kind, tls: bool, start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(kind, tls=tls), tmp_path)
    write(world.local, "large.bin", os.urandom(1_500_000))
    write(world.local, "deep/er/empty", b"")
    for number in range(8):
        write(world.local, f"deep/ümläut {number}.txt", f"file {number}")

    world.run("upload", *ENGINE)
    assert bodies(world.remote) == bodies(world.local)
    assert times(world.remote) == times(world.local)

    write(world.local, "deep/ümläut 1.txt", "changed", age=-3600)
    (world.local / "deep/ümläut 2.txt").unlink()
    shutil.rmtree(world.local / "deep/er")
    world.run("upload", "--delete", *ENGINE)
    assert bodies(world.remote) == bodies(world.local)

    before = world.bystand()
    result = world.run("sync", *ENGINE)
    assert world.bystand() == before, "something was written although nothing has changed"
    assert "Wrote 0/" in result.out, result

    wanted = bodies(world.local)
    shutil.rmtree(world.local)
    world.local.mkdir()
    world.run("download", *ENGINE)
    assert bodies(world.local) == wanted


def test_a_wrong_password_is_one_clear_error(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    url = world.url.replace(f":{quote(world.server.password, safe='')}@", ":wrong-s3cret@")
    assert url != world.url
    assert_clear_error(world.run("upload", *ENGINE, url=url, code=1), "530")


def test_commands_by_hand_are_refused_clearly(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(servers.PYFTPDLIB)
    with make_target(server.url, {"ftp_engine": "suppaftp"}) as target:
        with pytest.raises(OSError, match="--ftp-engine"):
            target.ftp.sendcmd("NOOP")  # type: ignore[attr-defined]
        target.write_text("a", "x")  # type: ignore[attr-defined]
        assert [entry.name for entry in target.get_dir()] == ["a"]
