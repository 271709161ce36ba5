"""What pyftpsync 4.1 gets wrong with FTP servers, row by row; see `test_defects`."""

from __future__ import annotations

import ftplib
import io
import logging
import os
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync import util
from ftpsync.ftp_target import FTPTarget
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from small_servers import READ_ONLY, ftp_server, listing_server
from small_worlds import (
    LOCK,
    Sides,
    command_line,
    fill,
    make_sides,
    names,
    printing,
    put,
    synchronise,
)

QUIET = ("--no-prompt", "--no-keyring", "--no-netrc", "--no-color")


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return make_sides(tmp_path)


# -- FTP servers ---------------------------------------------------------------------------------------------


def listed(server: Any, **options: Any) -> list[Any]:
    target = make_target(server.url, options)
    target.open()
    try:
        return sorted(target.get_dir(), key=lambda entry: str(entry.name))
    finally:
        target.close()


def test_d15_a_listing_may_come_in_any_pieces() -> None:
    line = b"type=file;size=1;modify=20200102030405; %s\r\n"
    with listing_server(line[:-1] % b"a", b"\n" + line % b"b", line[:-2] % b"c") as server:
        assert [entry.name for entry in listed(server)] == ["a", "b", "c"]


def test_d16_a_lock_where_we_may_not_write_is_no_obstacle_to_reading(tmp_path: Path) -> None:
    fill(tmp_path / "served", "a")
    (tmp_path / "served" / LOCK).write_text('{"lock_time": 1.0, "lock_holder": null}')
    (tmp_path / "local").mkdir()
    with ftp_server(tmp_path / "served", rights=READ_ONLY) as server:
        assert [entry.name for entry in listed(server)] == ["a"]
        synchronise(DownloadSynchronizer, FsTarget(str(tmp_path / "local")), make_target(server.url))
    assert names(tmp_path / "local") == {"a"}


def test_d17_a_target_that_could_not_be_opened_is_closed(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "served").mkdir()
    with ftp_server(tmp_path / "served") as server:
        target = make_target(f"{server.url}missing")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="^Unable to navigate to working directory "):
                target.open()
            assert not target.connected
        (tmp_path / "served" / "missing").mkdir()
        target.open()
        target.close()


def test_d17_what_happened_is_not_hidden_by_how_it_ended(tmp_path: Path, capsys: Any) -> None:
    fill(tmp_path / "local", "a")
    (tmp_path / "served").mkdir()

    class Interrupted(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            raise LookupError("mine")

    class Closing(FsTarget):
        def close(self) -> None:
            was_connected = self.connected
            super().close()
            if was_connected:
                raise OSError("the lock is gone already")

    with pytest.raises(LookupError, match="mine"):
        synchronise(Interrupted, FsTarget(str(tmp_path / "local")), Closing(str(tmp_path / "served")))
    assert "the lock is gone already" in capsys.readouterr().err


def test_d19_a_name_that_is_not_utf8_is_told_in_a_log(capsys: Any) -> None:
    log = io.StringIO()
    logger = logging.Logger("log")
    logger.addHandler(logging.StreamHandler(log))
    util.set_pyftpsync_logger(logger)
    with listing_server(b"type=file;size=1;modify=20200102030405; f\xfcr\r\n") as server:
        assert [entry.name for entry in listed(server, verbose=4)] == ["für"]
    assert "für" in log.getvalue()
    assert "Logging error" not in capsys.readouterr().err


@pytest.mark.parametrize("differ", ["port", "user"])
def test_d20_two_servers_on_one_host_have_two_histories(tmp_path: Path, differ: str) -> None:
    for folder in ("local", "one", "two"):
        (tmp_path / folder).mkdir()
    fill(tmp_path / "local", "a b c d")
    with (
        ftp_server(tmp_path / "one", users=["joe", "sue"]) as one,
        ftp_server(tmp_path / "two", users=["sue"]) as two,
    ):
        synchronise(BiDirSynchronizer, FsTarget(str(tmp_path / "local")), make_target(one.url))
        if differ == "user":  # Another account shows another root.
            second = one.url.replace("joe", "sue")
            for name in names(tmp_path / "one"):
                (tmp_path / "one" / name).unlink()
        else:
            second = two.url.replace("joe", "sue") if differ == "both" else two.url.replace("joe:", "sue:")
        synchronise(BiDirSynchronizer, FsTarget(str(tmp_path / "local")), make_target(second))
        assert names(tmp_path / "local") == {"a", "b", "c", "d"}
        assert names(tmp_path / ("one" if differ == "user" else "two")) == {"a", "b", "c", "d"}


def test_d25_a_folder_goes_with_its_hidden_files(tmp_path: Path, capsys: Any) -> None:
    fill(tmp_path / "served", "folder/.hidden folder/sub/.deep folder/plain")
    (tmp_path / "served" / "folder" / "empty").mkdir()
    with ftp_server(tmp_path / "served", hides_dots=True) as server:
        target = make_target(server.url)
        target.open()
        try:
            target.rmdir("folder")
        finally:
            target.close()
    assert list((tmp_path / "served").iterdir()) == []
    assert capsys.readouterr().out == ""


def test_d26_what_only_looks_leaves_no_trace_on_the_server(tmp_path: Path) -> None:
    fill(tmp_path / "local", "a")
    fill(tmp_path / "served", "b")
    with ftp_server(tmp_path / "served") as server:
        synchronise(
            UploadSynchronizer, FsTarget(str(tmp_path / "local")), make_target(server.url), dry_run=True
        )
        for command in ("scan", "tree"):
            assert command_line(command, server.url, *QUIET).returncode == 0
        changing = ("STOR", "DELE", "MKD", "RMD", "RNTO", "MFMT", "SITE")
        assert [command for command in server.commands if command.startswith(changing)] == []
        assert any(command.startswith("MLSD") for command in server.commands)


def test_d27_a_file_that_changes_on_a_local_server_stays_known(sides: Sides, capsys: Any) -> None:
    fill(sides[1], "a b c")
    with (
        ftp_server(sides[0], without=["MFMT"]) as local,
        ftp_server(sides[1], without=["MFMT"]) as remote,
    ):
        synchronise(BiDirSynchronizer, make_target(local.url), make_target(remote.url))
        assert names(sides[0]) == {"a", "b", "c"}
        later = time.time() + 100
        (sides[0] / "a").write_text("changed")
        os.utime(sides[0] / "a", (later, later))
        capsys.readouterr()
        synchronise(BiDirSynchronizer, make_target(local.url), make_target(remote.url))
    assert re.search(r"^COPY MODIFIED +> +a", capsys.readouterr().out, re.MULTILINE)
    assert (sides[1] / "a").read_text() == "changed"


def test_d36_a_name_that_ftp_cannot_say_is_an_error_with_that_file_only(sides: Sides) -> None:
    for name in ("a", "line\nend", "z"):
        put(sides[0], name)
    with ftp_server(sides[1]) as server:
        synchronizer = UploadSynchronizer(FsTarget(str(sides[0])), make_target(server.url), {"verbose": 0})
        with pytest.raises((ValueError, RuntimeError, OSError), match="line"):
            synchronizer.run()
    assert names(sides[1]) == {"a", "z"}
    assert synchronizer.get_stats()["errors"] == 1


def test_d23_a_certificate_is_verified_unless_that_is_switched_off(tmp_path: Path, start_server: Any) -> None:
    import servers

    (tmp_path / "local").mkdir()
    fill(tmp_path / "served", "a")
    server = start_server(servers.PYFTPDLIB, tmp_path / "served", tls=True)
    with pytest.raises(ssl.SSLError, match="sha256:"):
        synchronise(DownloadSynchronizer, FsTarget(str(tmp_path / "local")), make_target(server.url))
    assert names(tmp_path / "local") == set()
    for options in ({"tls_verify": False}, {"no_verify_tls": True}, {"tls_ca": str(server.ca)}):
        remote = make_target(server.url, options)
        synchronise(DownloadSynchronizer, FsTarget(str(tmp_path / "local")), remote)
    assert names(tmp_path / "local") == {"a"}


@pytest.mark.parametrize("path", ["site", "~/site", "./site"])
def test_d38_a_path_on_a_server_is_absolute(tmp_path: Path, path: str) -> None:
    (tmp_path / "served" / "site").mkdir(parents=True)
    with ftp_server(tmp_path / "served") as server:
        target = FTPTarget(path, "127.0.0.1", server.port, "joe", "pass-word")
        with pytest.raises(RuntimeError, match="^Unable to navigate to working directory "):
            target.open()


@pytest.mark.parametrize("kind", [b"dir", b"cdir"])
def test_d39_dots_and_missing_facts_do_not_break_a_listing(kind: bytes, tmp_path: Path) -> None:
    listing = (
        b"type=%s;modify=20200102030405; .\r\ntype=dir;modify=20200102030405; ..\r\n"
        b"type=file;modify=20200102030405; no-size\r\ntype=file;size=5; no-time\r\ntype=dir; folder\r\n"
    ) % kind
    with listing_server(listing) as server:
        entries = listed(server)
    assert [entry.name for entry in entries] == ["folder", "no-size", "no-time"]
    assert [entry.is_dir() for entry in entries] == [True, False, False]
    for entry in entries:
        assert entry.name in str(entry)
        assert isinstance(entry.as_string(), str)


def test_d39_a_file_of_unknown_size_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    with listing_server(b"type=dir; .\r\ntype=file;modify=20200102030405; no-size\r\n") as server:
        sides = FsTarget(str(tmp_path / "local")), make_target(server.url)
        synchronizer = DownloadSynchronizer(*sides, {"verbose": 0})
        # There are no files behind the listing: what counts is that this one was asked for.
        with pytest.raises(ftplib.error_perm):
            synchronizer.run()
        assert any(command.startswith("RETR") and "no-size" in command for command in server.commands)
    stats = synchronizer.get_stats()
    assert (stats["local_dirs"], stats["remote_dirs"], stats["remote_files"]) == (0, 0, 1)
