"""The command line against real servers: one process per run, judged by the files it leaves."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

import servers
from server_worlds import (
    META,
    World,
    assert_clear_error,
    bodies,
    identities,
    make_world,
    times,
    write,
)
from servers import Server
from servers.base import StartServer

HOUR = 3600

ODD_NAMES = [
    "a file with blanks",
    "two  blanks",
    "ümläut-ß-日本.txt",
    "[brackets]{}().txt",
    'it\'s "quoted".txt',
    "semi;colon; and = equals.txt",
    ".hidden",
    "-dash",
    "100%.txt",
    "a#b&c+d~e,f!g@h$i",
    "star*question?.txt",
    "tail.",
]


@pytest.fixture
def world(any_server: Server, tmp_path: Path) -> World:
    """Two empty folders; once for each kind of server."""
    return make_world(any_server, tmp_path)


@pytest.fixture
def settled(world: World) -> World:
    """Both sides hold the same three files, and the last run knows it."""
    for name in ("a.txt", "b.txt", "folder/c.txt"):
        write(world.local, name, f"first {name}")
    world.run("sync")
    assert bodies(world.remote) == bodies(world.local)
    return world


# -- upload ----------------------------------------------------------------------------------------


def test_upload_brings_every_file_and_folder(world: World) -> None:
    for number in range(30):
        write(world.local, f"deep/{number % 5}/level/{number}.bin", os.urandom(number * 997))
    write(world.local, "empty file", b"")
    write(world.local, "large.bin", os.urandom(3_000_000))
    world.run("upload")
    assert bodies(world.remote) == bodies(world.local)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_go_there_and_back_unchanged(world: World, name: str) -> None:
    # ProFTPD takes stars in names of files, but not in those of folders.
    folder = name.replace("*", "+") if world.server.kind is servers.PROFTPD else name
    write(world.local, name)
    write(world.local, f"folder {folder}/{name}", b"inner")
    world.run("upload")
    assert bodies(world.remote) == bodies(world.local)

    wanted = bodies(world.local)
    shutil.rmtree(world.local)
    world.local.mkdir()
    world.run("download")
    assert bodies(world.local) == wanted


def test_a_second_run_is_idle(world: World) -> None:
    for name in ("a.txt", "folder/b.txt", "folder/sub/c.txt"):
        write(world.local, name, name)
    for command in ("upload", "sync", "download"):
        world.run(command)
        before = world.bystand()
        result = world.run(command)
        assert world.bystand() == before
        assert re.search(r"Wrote 0/3 files", result.out), result


def test_upload_replaces_what_is_newer_here(settled: World) -> None:
    write(settled.local, "folder/c.txt", "second, and longer", age=-HOUR)
    settled.run("upload")
    assert (settled.remote / "folder/c.txt").read_text() == "second, and longer"
    assert bodies(settled.remote) == bodies(settled.local)


def test_upload_never_writes_here(settled: World) -> None:
    write(settled.remote, "only there.txt")
    write(settled.remote, "a.txt", "edited there", age=-HOUR)
    before = identities(settled.local)
    settled.run("upload", "--force", "--delete", "--resolve", "local")
    assert identities(settled.local) == before


def test_upload_deletes_only_when_asked(settled: World) -> None:
    (settled.local / "a.txt").unlink()
    settled.run("upload")
    assert (settled.remote / "a.txt").exists()
    settled.run("upload", "--delete")
    assert not (settled.remote / "a.txt").exists()
    assert bodies(settled.remote) == bodies(settled.local)


def test_replacing_a_file_leaves_no_temporary_names(settled: World) -> None:
    write(settled.local, "b.txt", "second body", age=-HOUR)
    settled.run("upload")
    assert (settled.remote / "b.txt").read_text() == "second body"
    present = {path.name for path in settled.remote.rglob("*")} - META
    assert present == {"a.txt", "b.txt", "folder", "c.txt"}


# -- download --------------------------------------------------------------------------------------


def test_download_into_an_empty_folder_equals_the_source_with_its_times(world: World) -> None:
    for number in range(12):
        write(world.remote, f"folder{number % 3}/{number}.bin", os.urandom(number * 997), age=number * 86400)
    world.run("download")
    assert bodies(world.local) == bodies(world.remote)
    assert set(times(world.local)) == set(times(world.remote))
    # A listing without MLSD has whole minutes for the last half year and whole days before.
    slack = 0 if world.server.kind.mlsd else 86400
    for name, time in times(world.remote).items():
        assert abs(times(world.local)[name] - time) <= slack, name


def test_times_survive_the_way_up_and_down(world: World) -> None:
    for number in range(3):
        write(world.local, f"{number}.txt", age=number * 1001)
    wanted = times(world.local)
    world.run("upload")
    assert times(world.remote) == wanted  # all kinds can set times, by MFMT or by MDTM

    shutil.rmtree(world.local)
    world.local.mkdir()
    world.run("download")
    if world.server.kind.mlsd:
        assert times(world.local) == wanted


def test_download_never_writes_there(settled: World) -> None:
    write(settled.local, "only here.txt")
    before = identities(settled.remote)
    settled.run("download", "--force", "--delete-unmatched", "--resolve", "remote")
    assert identities(settled.remote) == before
    assert bodies(settled.local) == bodies(settled.remote)


# -- sync ------------------------------------------------------------------------------------------


def test_sync_brings_changes_of_both_sides_together(settled: World) -> None:
    write(settled.local, "a.txt", "edited here", age=-HOUR)
    write(settled.remote, "b.txt", "edited there, longer", age=-2 * 86400)
    write(settled.local, "new here/x.txt", "x")
    write(settled.remote, "new there/y.txt", "y")
    settled.run("sync")
    wanted = {
        "a.txt": b"edited here",
        "b.txt": b"edited there, longer",
        "folder/c.txt": b"first folder/c.txt",
        "new here/x.txt": b"x",
        "new there/y.txt": b"y",
    }
    assert bodies(settled.local) == wanted
    assert bodies(settled.remote) == wanted


def test_sync_carries_deletions_to_the_other_side(settled: World) -> None:
    (settled.local / "a.txt").unlink()
    settled.run("sync")
    assert not (settled.remote / "a.txt").exists()

    (settled.remote / "b.txt").unlink()
    settled.run("sync")
    assert set(bodies(settled.local)) == set(bodies(settled.remote)) == {"folder/c.txt"}


def test_sync_carries_the_deletion_of_a_folder(settled: World) -> None:
    shutil.rmtree(settled.remote / "folder")
    settled.run("sync")
    assert set(bodies(settled.local)) == set(bodies(settled.remote)) == {"a.txt", "b.txt"}


@pytest.mark.parametrize(
    ("strategy", "winner"),
    [("old", "here"), ("new", "there"), ("local", "here"), ("remote", "there"), ("skip", None)],
)
def test_a_conflict_ends_as_the_strategy_says(settled: World, strategy: str, winner: str | None) -> None:
    # Days apart, so that a listing with whole days still tells them apart.
    write(settled.local, "a.txt", "changed here", age=-10 * 86400)
    write(settled.remote, "a.txt", "changed there!", age=-20 * 86400)
    settled.run("sync", "--resolve", strategy)
    here, there = (settled.local / "a.txt").read_text(), (settled.remote / "a.txt").read_text()
    if winner is None:
        assert (here, there) == ("changed here", "changed there!")
    else:
        wanted = {"here": "changed here", "there": "changed there!"}[winner]
        assert (here, there) == (wanted, wanted)


def test_a_conflict_can_be_answered(settled: World) -> None:
    write(settled.local, "a.txt", "changed here", age=-10 * 86400)
    write(settled.remote, "a.txt", "changed there!", age=-20 * 86400)
    settled.run("sync", "--resolve", "ask", answers="l\n")
    assert (settled.local / "a.txt").read_text() == (settled.remote / "a.txt").read_text() == "changed here"


def test_one_conflict_that_no_strategy_decides_does_not_keep_the_others(settled: World) -> None:
    write(settled.local, "z.txt", "first")
    settled.run("sync")
    write(settled.local, "a.txt", "changed here", age=-10 * 86400)
    write(settled.remote, "a.txt", "changed there!", age=-10 * 86400)
    write(settled.local, "z.txt", "changed here", age=-10 * 86400)
    write(settled.remote, "z.txt", "changed there!", age=-20 * 86400)
    result = settled.run("sync", "--resolve", "new", answers="", code=1)
    assert "nobody to ask about this conflict" in result.err
    assert (settled.local / "z.txt").read_text() == "changed there!"
    assert (settled.local / "a.txt").read_text() == "changed here"
    assert (settled.remote / "a.txt").read_text() == "changed there!"


def test_a_conflict_that_nobody_answers_is_left_alone_and_the_rest_goes_on(settled: World) -> None:
    write(settled.local, "a.txt", "changed here", age=-10 * 86400)
    write(settled.remote, "a.txt", "changed there!", age=-20 * 86400)
    write(settled.local, "z.txt", "new here")
    result = settled.run("sync", "--resolve", "ask", answers="", code=1)
    assert "Traceback" not in result.err
    assert "nobody to ask" in result.err
    assert "SKIP CONFLICT" in result.out
    assert (settled.remote / "z.txt").read_text() == "new here"
    assert (settled.local / "a.txt").read_text() == "changed here"
    assert (settled.remote / "a.txt").read_text() == "changed there!"


# -- options ---------------------------------------------------------------------------------------


def everything(root: Path) -> dict[str, tuple[int, int]]:
    """All of a tree, the files of pyftpsync included, so that no write at all goes unseen."""
    found = {path: path.stat() for path in root.rglob("*")}
    return {str(path): (stat.st_ino, stat.st_ctime_ns) for path, stat in found.items()}


@pytest.mark.parametrize("command", ["upload", "download", "sync"])
def test_a_dry_run_changes_nothing_on_either_side(settled: World, command: str) -> None:
    write(settled.local, "a.txt", "edited here", age=-HOUR)
    write(settled.local, "new here.txt")
    write(settled.remote, "new there.txt")
    (settled.remote / "b.txt").unlink()
    before = everything(settled.local), everything(settled.remote)
    options = ["--dry-run"] if command == "sync" else ["--dry-run", "--delete-unmatched", "--force"]
    result = settled.run(command, *options)
    assert (everything(settled.local), everything(settled.remote)) == before
    assert "(DRY-RUN)" in result.out


def test_filters_leave_files_where_they_are(world: World) -> None:
    for name in ("a.txt", "b.log", "folder/c.txt", "node_modules/d.txt"):
        write(world.local, name)
    world.run("upload", "--exclude", "node_modules", "--match", "*.txt")
    assert set(bodies(world.remote)) == {"a.txt", "folder/c.txt"}


@pytest.mark.parametrize("connections", ["1", "4"])
def test_any_number_of_connections_gives_the_same_result(world: World, connections: str) -> None:
    for number in range(40):
        write(world.local, f"{number % 7}/{number}.txt", f"body {number}")
    world.run("upload", "--connections", connections)
    assert bodies(world.remote) == bodies(world.local)


# -- TLS -------------------------------------------------------------------------------------------


def test_sync_works_over_tls_with_a_given_authority(ftps_server: Server, tmp_path: Path) -> None:
    world = make_world(ftps_server, tmp_path)
    for number in range(10):
        write(world.local, f"folder{number % 2}/up{number}.bin", os.urandom(50_000))
    write(world.remote, "down.bin", os.urandom(200_000))
    world.run("sync")
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 11


def test_an_unknown_authority_is_refused_before_the_password_is_sent(
    ftps_server: Server, tmp_path: Path
) -> None:
    world = make_world(ftps_server, tmp_path)
    write(world.local, "a.txt")
    trustme.CA().cert_pem.write_to_path(world.home / "other.pem")
    result = world.run("upload", "--tls-ca", str(world.home / "other.pem"), code=1)
    assert bodies(world.remote) == {}
    assert_clear_error(result, "certificate|tls|authority")
    assert "PASS" not in world.server.output()


def test_verification_can_be_switched_off(ftps_server: Server, tmp_path: Path) -> None:
    world = make_world(ftps_server, tmp_path)
    write(world.local, "a.txt")
    world.run("upload", "--no-verify-tls")
    assert bodies(world.remote) == bodies(world.local)


# -- errors ----------------------------------------------------------------------------------------


def test_a_wrong_password_is_one_clear_error(world: World) -> None:
    url = world.url.replace(quote(world.server.password, safe=""), "s3cret-but-wrong")
    assert url != world.url
    assert_clear_error(world.run("upload", url=url, code=1), "log ?in|password|530|auth")


def test_a_missing_remote_folder_is_one_clear_error(world: World) -> None:
    result = world.run("upload", url=f"{world.server.url}not/there", code=1)
    assert_clear_error(result, "not/there|there")
    assert not (world.server.root / "not").exists()


def test_a_missing_remote_folder_can_be_made(world: World) -> None:
    write(world.local, "a.txt")
    world.run("upload", "--create-folder", url=f"{world.server.url}now/there")
    assert bodies(world.server.root / "now" / "there") == bodies(world.local)


def test_an_unknown_host_is_one_clear_error(pyftpdlib_server: Server, tmp_path: Path) -> None:
    world = make_world(pyftpdlib_server, tmp_path)
    # RFC 6761 promises that nothing is ever found below "invalid".
    result = world.run("upload", url="ftp://user:s3cret@host.invalid/site", code=1)
    assert_clear_error(result, r"host\.invalid")


def test_a_refused_port_is_one_clear_error(pyftpdlib_server: Server, tmp_path: Path) -> None:
    world = make_world(pyftpdlib_server, tmp_path)
    with socket.socket() as bound:  # bound but not listening: nobody else gets the port meanwhile
        bound.bind(("127.0.0.1", 0))
        url = f"ftp://user:s3cret@127.0.0.1:{bound.getsockname()[1]}/site"
        result = world.run("upload", url=url, code=1)
    assert_clear_error(result, "refused")


def test_a_server_that_knows_neither_mlsd_nor_mfmt_is_enough(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.PyFtpdLib(mlsd=False, mfmt=False)), tmp_path)
    for name in ("a.txt", "folder/b.txt"):
        write(world.local, name, name)
    world.run("sync")
    assert bodies(world.remote) == bodies(world.local)
    before = world.bystand()
    world.run("sync")
    assert world.bystand() == before


def test_a_listing_that_was_cut_short_deletes_nothing(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PureFtpd(listing_limit=20)), tmp_path)
    for number in range(30):
        write(world.local, f"{number:02}.txt", f"body {number}")
    world.run("upload")
    assert len(bodies(world.remote)) == 30
    before = identities(world.local)
    world.run("sync", code=None)
    # Whether the run stops or goes on with a warning: what the listing left out is still on both sides.
    assert set(identities(world.local)) == set(before)
    assert len(bodies(world.remote)) == 30
