"""Rows of what servers in the field do that need a real one; the table is in tests/core/servers_rows.rs."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

import servers
from server_worlds import World, bodies, make_world, write
from servers import Kind
from servers.base import StartServer
from small_worlds import command_line

#: pyftpdlib replaces what is not UTF-8 before anybody sees it.
KEEPERS_OF_BYTES = [servers.VSFTPD, servers.PROFTPD, servers.PUREFTPD]


def on_server(world: World, name: bytes) -> Path:
    return world.remote / os.fsdecode(name)


@pytest.mark.parametrize("kind", KEEPERS_OF_BYTES, ids=lambda kind: kind.name)
def test_q21_names_in_another_encoding_are_the_same_file_both_ways(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    folder, file = b"f\xf6lder", b"\xfcml\xe4ut \xa4.txt"
    on_server(world, folder).mkdir()
    for name in (file, folder + b"/" + file):
        on_server(world, name).write_text("from there")
    world.run("sync")
    here = [world.local / "ümläut ¤.txt", world.local / "földer" / "ümläut ¤.txt"]
    assert [path.read_text() for path in here] == ["from there"] * 2
    for path in here:
        path.write_text("edited here, and longer")
    world.run("sync")
    for name in (file, folder + b"/" + file):
        assert on_server(world, name).read_text() == "edited here, and longer"
    found = sorted(os.listdir(os.fsencode(world.remote)))
    assert [name for name in found if not name.startswith(b".")] == [folder, file], "nothing is there twice"
    here[0].unlink()
    world.run("sync", "--allow-mass-delete")
    assert not on_server(world, file).exists()


@pytest.mark.parametrize("kind", KEEPERS_OF_BYTES, ids=lambda kind: kind.name)
def test_q21_an_encoding_can_be_named(start_server: StartServer, tmp_path: Path, kind: Kind) -> None:
    world = make_world(start_server(kind), tmp_path)
    on_server(world, "привет".encode("cp1251")).write_text("x")
    world.run("sync", "--encoding", "cp1251")
    assert (world.local / "привет").read_text() == "x"
    write(world.local, "мир", "y")
    world.run("sync", "--encoding", "cp1251")
    assert on_server(world, "мир".encode("cp1251")).read_text() == "y"


def modes(folder: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_mode & 0o777
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }


#: Its MLSD does not tell permissions; where it is asked to, it tells wrong ones.
LISTS_PERMISSIONS = [kind for kind in servers.EVERY if kind.name != "pyftpdlib"]


@pytest.mark.parametrize(
    "kind", [*LISTS_PERMISSIONS, servers.PyFtpdLib(mlsd=False)], ids=lambda kind: kind.name
)
def test_what_is_replaced_hands_on_its_permissions(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    names = [f"file {number}" for number in range(12)]
    for name in names:
        write(world.local, name, "first")
    world.run("upload", "--connections", "1")
    wanted = dict(zip(sorted(names), [0o600, 0o755, 0o640, 0o444, 0o700, 0o644] * 2, strict=True))
    for name, mode in wanted.items():
        (world.remote / name).chmod(mode)
    # One alone, then many in a row, also where what is replaced is kept: then the new one gets the name later.
    for name, kept in (names[:1], []), (names[1:], []), (names, ["--backup-dir", ".older"]):
        for each in name:
            write(world.local, each, "edited, and longer" if not kept else "once more, and still longer")
        done = world.run("upload", "--connections", "1", *kept)
        assert modes(world.remote) == wanted
        assert "permissions" not in done.out + done.err
    assert {bodies(world.remote)[name] for name in names} == {b"once more, and still longer"}
    assert modes(world.local) == dict.fromkeys(sorted(names), modes(world.local)[names[0]])


def test_permissions_that_are_lost_are_told(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PyFtpdLib(mlsd=False, lacks=("SITE CHMOD",))), tmp_path)
    for name in ("a", "b", "c"):
        write(world.local, name, "first")
    world.run("upload")
    (world.remote / "c").chmod(0o600)
    for name, told in (("ab", False), ("abc", True)):
        for each in name:
            write(world.local, each, f"edited, and longer: {name}")
        done = world.run("upload", "--connections", "1")
        assert ("sets no permissions" in done.out) == told, done
        assert "c had 600" not in done.out and ('"c" had 600' in done.out) == told
    (world.remote / "c").chmod(0o600)
    write(world.local, "c", "edited once more")
    world.run("upload", "--inplace")
    assert modes(world.remote)["c"] == 0o600


#: What servers, or lines of listings, may take for something else.
ODD_NAMES = [
    *[" leading", "trailing ", "  both  ", "in  side", " . ", "...", "..dots", "dot."],
    *["[brackets]", "[a-z]", "{braces}", "star*", "*", "ques?tion", "~", "~root", "~joe name", "-a", "--all"],
    *[
        "semi;colon",
        "semi; colon",
        "type=dir; x",
        "a -> b",
        'quo"te',
        '"',
        "it's",
        "back\\slash",
        "\\",
        "tab\tin",
    ],
    *["100%20", "a:b|c<d>", "$HOME", "`id`", "#", "ümläut", "日本", "e\u0301"],
]


#: It keeps no blank at the end of a name and no control characters, and refuses backslashes.
NOT_ON_PURE_FTPD = [name for name in ODD_NAMES if name.endswith(" ") or "\\" in name or "\t" in name]


@pytest.mark.parametrize("kind", servers.EVERY, ids=lambda kind: kind.name)
def test_q17_q19_odd_names_go_up_and_down_and_away(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    names = [name for name in ODD_NAMES if kind.name != "pureftpd" or name not in NOT_ON_PURE_FTPD]
    # ProFTPD takes stars in names of files, but not in those of folders.
    in_folders = [name for name in names if kind.name != "proftpd" or "*" not in name]
    files = [f"files/{name}" for name in names] + [f"folders/{name}/{name}" for name in in_folders]
    for number, name in enumerate(files):
        write(world.local, name, f"{number}")
    for side in (world.local, world.remote):
        world.run("sync")
        assert sorted(bodies(world.local)) == sorted(files)
        assert bodies(world.local) == bodies(world.remote)
        before = world.bystand()
        world.run("sync")
        assert world.bystand() == before, "nothing is sent twice"
        for name in files:
            (side / name).write_text(f"edited in {side.name}: {name}")
    world.run("sync")
    assert bodies(world.local) == bodies(world.remote)
    assert all(b"edited in site" in body for body in bodies(world.local).values())
    # Half of them goes here, the other half there.
    for number, name in enumerate(names):
        side = (world.local, world.remote)[number % 2]
        (side / "files" / name).unlink()
        if name in in_folders:
            shutil.rmtree(side / "folders" / name)
    world.run("sync", "--allow-mass-delete")
    assert not [name for name in (*bodies(world.local), *bodies(world.remote)) if not name.endswith("/")]
    for side in (world.local, world.remote):
        assert not [path for path in side.rglob("*") if path.is_dir() and path.name in ODD_NAMES]


def test_q19_names_that_pure_ftpd_does_not_keep_are_told_and_leave_no_others(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.PUREFTPD), tmp_path)
    for name in NOT_ON_PURE_FTPD:
        write(world.local, f"files/{name}")
        write(world.local, f"folders {name}/file")
    write(world.local, "files/fine")
    mine = bodies(world.local)
    for _ in range(2):
        result = world.run("sync", code=1)
        problems = [line for line in result.err.splitlines() if line.startswith("Could not ")]
        assert len(problems) == 2 * len(NOT_ON_PURE_FTPD), result
        assert "does not keep a blank at the end" in result.err and "control characters" in result.err
        assert "Traceback" not in result.err
        there = sorted(
            path.name for path in world.remote.rglob("*") if not path.name.startswith(".pyftpsync-meta")
        )
        assert there == ["files", "fine"], "nothing under another name, and no temporary files"
        assert bodies(world.local) == mine


@pytest.mark.parametrize("zone", ["EAST-9", "WEST5"])
@pytest.mark.parametrize("sets_times", [False, True])
def test_q10_where_times_are_those_of_another_zone_the_older_edit_never_replaces_the_newer_one(
    start_server: StartServer, tmp_path: Path, sets_times: bool, zone: str
) -> None:
    world = make_world(start_server(servers.VsFtpd(zone=zone, sets_times=sets_times)), tmp_path)
    # Edits: so many hours ago here, and on the server.
    edits = {"close": (2, 1), "closer": (1, 2), "there": (20, 1), "here": (1, 20)}
    for name in edits:
        write(world.local, name, "as it was")
    world.run("sync")
    now = time.time()
    for name, ages in edits.items():
        for root, text, age in zip((world.local, world.remote), ("here", "there"), ages, strict=True):
            write(root, name, text)
            os.utime(root / name, (now - age * 3600,) * 2)
    result = world.run("sync", "--resolve", "new")
    found = {name: ((world.local / name).read_text(), (world.remote / name).read_text()) for name in edits}
    newer = {"close": "there", "closer": "here", "there": "there", "here": "here"}
    # Which times were set by somebody, and are right, nobody can tell there.
    doubtful = [] if not sets_times else ["close"] if zone == "WEST5" else ["closer"]
    expected = {name: (text, text) for name, text in newer.items()} | dict.fromkeys(
        doubtful, ("here", "there")
    )
    assert found == expected, result
    assert ("Cannot resolve using 'new' strategy" in result.out) == bool(doubtful), result
    assert "both are left alone" in result.out


@pytest.mark.parametrize("shows_dots", [False, True])
def test_q16_vsftpd_tells_of_hidden_names_when_asked_for_them(
    start_server: StartServer, tmp_path: Path, shows_dots: bool
) -> None:
    world = make_world(start_server(servers.VsFtpd(shows_dots=shows_dots)), tmp_path)
    write(world.remote, ".hidden")
    write(world.remote, "folder/.too")
    world.run("sync")
    assert (world.local / ".hidden").exists() and (world.local / "folder" / ".too").exists()
    before = world.bystand()
    world.run("sync")
    assert world.bystand() == before
    (world.remote / ".hidden").unlink()
    world.run("sync", "--allow-mass-delete")
    assert not (world.local / ".hidden").exists()


def test_q20_a_local_name_with_a_line_end_is_left_out_and_the_rest_goes_on(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    write(world.local, "fine")
    write(world.local, "a\nb")
    result = world.run("sync", code=1)
    assert "line feed, which cannot be sent over FTP" in result.err
    assert (world.remote / "fine").exists() and len(list(world.remote.glob("[!.]*"))) == 1


def test_q34_a_server_with_one_connection_for_each_user_is_enough(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.PyFtpdLib(connections=1)), tmp_path)
    for number in range(20):
        write(world.local, f"folder{number % 3}/up{number}")
    world.run("sync")
    assert len([path for path in world.remote.rglob("up*") if path.is_file()]) == 20


def test_q34_the_first_login_waits_for_a_session_that_is_just_going(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(servers.PyFtpdLib(connections=1))
    world = make_world(server, tmp_path)
    write(world.local, "file")
    last = socket.create_connection((server.host, server.port))
    while last.recv(3) != b"220":
        # It still counts the one who looked whether it was there.
        last.close()
        last = socket.create_connection((server.host, server.port))
    going = threading.Timer(0.7, last.close)
    going.start()
    world.run("upload")
    going.join()
    assert (world.remote / "file").exists()


@pytest.mark.parametrize("kind", [servers.PYFTPDLIB, servers.OPENSSH], ids=lambda kind: kind.name)
def test_q45_recycle_bins_and_other_litter_of_servers_are_left_alone(
    start_server: StartServer, tmp_path: Path, kind: Kind
) -> None:
    world = make_world(start_server(kind), tmp_path)
    litter = ["#recycle/old", "@eaDir/thumb", ".ftpquota", "folder/#recycle/old", "folder/@eaDir/thumb"]
    for name in litter:
        write(world.remote, name, "theirs")
    write(world.remote, "folder/file")
    world.run("sync")
    world.run("download", "--delete")
    assert sorted(bodies(world.local)) == ["folder/file"]
    (world.local / "folder" / "file").unlink()
    write(world.local, "other")
    world.run("sync")
    world.run("upload", "--delete", "--force")
    assert sorted(bodies(world.remote)) == sorted(["other", *litter])


@pytest.mark.parametrize("connections", ["1", "4"])
def test_q01_q09_q38_a_server_of_the_last_century_is_enough(
    start_server: StartServer, tmp_path: Path, connections: str
) -> None:
    """GNU inetutils: a short FEAT, no MLSD, times that cannot be set."""
    world = make_world(start_server(servers.INETUTILS), tmp_path)
    for number in range(20):
        write(world.local, f"folder{number % 2}/up {number}", f"up {number}", age=number * 1000)
        write(world.remote, f"folder{number % 2}/down {number}", f"down {number}", age=number * 1000)
    write(world.remote, ".hidden")
    result = world.run("sync", "--connections", connections)
    assert "errors: 0" in result.out
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 41
    before = world.bystand()
    again = world.run("sync", "--connections", connections)
    assert world.bystand() == before, again
    write(world.local, "folder0/up 0", "edited!", age=-100)
    (world.local / "folder1" / "down 1").unlink()
    world.run("sync", "--connections", connections)
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 40


def test_a_server_that_wants_tls_is_not_taken_for_one_without_the_folder(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    for kind in (servers.PYFTPDLIB, servers.VSFTPD):
        root = tmp_path / kind.name
        root.mkdir()
        with kind.start(root, tls=True) as server:
            url = server.url.replace("ftps://", "ftp://")
            for more in ((), ("--create-folder", "--dry-run")):
                done = command_line(
                    "upload", str(tmp_path / "local"), url, "--no-prompt", *more, cwd=tmp_path
                )
                assert done.returncode == 1, done
                assert "wants TLS: write ftps:// instead of ftp://" in done.stderr
                assert "create-folder" not in done.stderr and "would be created" not in done.stdout


def test_a_server_without_tls_is_not_taken_for_one_with_another_password(tmp_path: Path) -> None:
    """vsftpd answers AUTH as it answers everything before the login, by 530."""
    (tmp_path / "local").mkdir()
    for kind in (servers.PYFTPDLIB, servers.VSFTPD):
        root = tmp_path / kind.name
        root.mkdir()
        with kind.start(root) as server:
            url = server.url.replace("ftp://", "ftps://")
            for engine in ("own", "suppaftp"):
                words = ("upload", str(tmp_path / "local"), url, "--ftp-engine", engine)
                done = command_line(*words, cwd=tmp_path)
                assert done.returncode == 1, done
                assert "refuses to encrypt the connection" in done.stderr
                assert "Could not login" not in done.stderr and "Enter password" not in done.stderr


def test_a_missing_folder_may_be_called_tls(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "root").mkdir()
    with servers.PROFTPD.start(tmp_path / "root") as server:
        arguments = ("upload", str(tmp_path / "local"), f"{server.url.rstrip('/')}/tls", "--no-prompt")
        done = command_line(*arguments, cwd=tmp_path)
        assert "create-folder" in done.stderr and "wants TLS" not in done.stderr
        assert command_line(*arguments, "--create-folder", cwd=tmp_path).returncode == 0
