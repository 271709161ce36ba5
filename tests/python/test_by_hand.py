"""Targets without a synchronizer: on the disk and on servers, plain and with TLS."""

from __future__ import annotations

import ftplib
import gc
import io
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import servers
from ftpsync import pyftpsync
from ftpsync.ftp_target import FTPTarget
from ftpsync.synchronizers import UploadSynchronizer
from ftpsync.targets import FsTarget, _Target, make_target
from servers import Server
from servers.base import StartServer
from waiting import wait_for

KINDS = ["disk", *(f"{kind.name}{tls}" for kind in servers.ALL for tls in ("", "+tls"))]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, start_server: StartServer) -> tuple[Path, _Target]:
    """A folder, and a target over it that is not open yet."""
    if request.param == "disk":
        return tmp_path, make_target(str(tmp_path))
    name, _, tls = request.param.partition("+")
    kind = next(kind for kind in servers.ALL if kind.name == name)
    return over(start_server(kind, tls=bool(tls)))


@pytest.fixture
def on_server(start_server: StartServer) -> tuple[Path, _Target]:
    return over(start_server(servers.PYFTPDLIB))


def over(server: Server) -> tuple[Path, _Target]:
    (server.root / "base").mkdir()
    options = {"tls_ca": str(server.ca)} if server.tls else {}
    target = make_target(server.url + "base", options)
    assert isinstance(target, FTPTarget)
    target.timeout = 10
    return server.root / "base", target


def test_every_verb_works_without_a_synchronizer(place: tuple[Path, _Target]) -> None:
    folder, target = place
    with target as opened:
        assert opened is target and target.connected
        root = target.cur_dir
        assert target.pwd() == root == target.root_dir
        target.mkdir("sub")
        with target.enter_subdir("sub"):
            target.write_text("ä.txt", "grüße\n")
            target.mkdir("deep")
            assert target.pwd() == f"{root}/sub"
        assert (folder / "sub" / "ä.txt").read_text() == "grüße\n"
        target.cwd("sub")
        assert target.read_text("ä.txt") == "grüße\n"
        with target.open_readable("ä.txt") as stream:
            assert stream.read() == "grüße\n".encode()
        copied, seen = io.BytesIO(), []
        target.copy_to_file("ä.txt", copied, seen.append)
        assert copied.getvalue() == b"".join(seen) == "grüße\n".encode()
        sent: list[bytes] = []
        target.write_file("big", io.BytesIO(b"b" * 50_000), 8192, sent.append)
        assert (folder / "sub" / "big").stat().st_size == len(b"".join(sent)) == 50_000
        assert max(map(len, sent)) <= 8192
        target.cwd("..")
        assert sorted(entry.get_rel_path() for entry in target.walk()) == [
            "sub",
            "sub/big",
            "sub/deep",
            "sub/ä.txt",
        ]
        drawing = [prefix + entry.name for prefix, entry in target.walk_tree(files=True)]
        assert drawing == [" `- sub", "     +- big", "     +- ä.txt", "     `- deep"]
        target.remove_file("sub/big")
        target.rmdir("sub")
        assert target.get_dir() == []
    assert not target.connected
    target.close()
    with target:  # It can be opened again.
        assert target.get_dir() == []


def test_a_folder_that_is_there_cannot_be_made_again(place: tuple[Path, _Target]) -> None:
    folder, target = place
    (folder / "file").write_text("here")
    with target:
        target.mkdir("sub")
        for name in ("sub", "file"):
            with pytest.raises(ftplib.all_errors):
                target.mkdir(name)
        with target.enter_subdir("sub"):
            target.mkdir("sub")
        assert sorted(entry.name for entry in target.get_dir()) == ["file", "sub"]


def test_a_block_that_fails_closes_the_target(on_server: tuple[Path, _Target]) -> None:
    _, target = on_server
    with pytest.raises(ZeroDivisionError), target:
        raise ZeroDivisionError
    assert not target.connected


def test_a_walk_that_is_left_early_comes_back(place: tuple[Path, _Target]) -> None:
    folder, target = place
    (folder / "sub" / "deep").mkdir(parents=True)
    with target:
        walk = target.walk()
        assert [next(walk).name, next(walk).name] == ["sub", "deep"]
        walk.close()
        assert target.pwd() == target.root_dir
        assert len(target.get_dir()) == 1


def test_callbacks_come_on_the_calling_thread(on_server: tuple[Path, _Target]) -> None:
    _, target = on_server
    threads: set[threading.Thread] = set()

    class Source(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            threads.add(threading.current_thread())
            return super().read(size)

    def note(block: bytes) -> None:
        threads.add(threading.current_thread())

    with target:
        target.write_file("a", Source(b"a" * 300_000), callback=note)
        target.copy_to_file("a", io.BytesIO(), note)
    assert threads == {threading.current_thread()}


def test_a_callback_that_uses_the_target_gets_an_error(on_server: tuple[Path, _Target]) -> None:
    folder, target = on_server
    (folder / "a").write_bytes(b"a" * 300_000)
    with target:
        with pytest.raises(RuntimeError, match="is busy"):
            target.copy_to_file("a", io.BytesIO(), lambda block: target.get_dir())
        assert len(target.get_dir()) == 1


def test_a_callback_can_close_the_target(on_server: tuple[Path, _Target]) -> None:
    folder, target = on_server
    (folder / "a").write_bytes(b"a" * 3_000_000)
    target.open()
    with pytest.raises((OSError, EOFError)):
        target.copy_to_file("a", io.BytesIO(), lambda block: target.close())
    assert not target.connected
    with target:
        assert len(target.get_dir()) == 1


def test_another_thread_cannot_open_what_is_in_use(place: tuple[Path, _Target]) -> None:
    _, target = place
    errors: list[BaseException] = []

    def use(work: Callable[[], Any]) -> None:
        def attempt() -> None:
            try:
                work()
            except Exception as exc:
                errors.append(exc)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    with target:
        use(target.open)
        target.connected = False  # As a script does that wants no complaints from __del__.
        use(target.open)
        target.connected = True
    assert [type(error) for error in errors] == [RuntimeError, RuntimeError]
    assert str(errors[0]).startswith("Target already open: ")
    assert str(errors[1]).startswith("Could not acquire _Target lock on open")


def test_a_target_that_is_forgotten_ends_its_conversation(start_server: StartServer) -> None:
    server = start_server(servers.PYFTPDLIB)
    target = make_target(server.url)
    assert isinstance(target, FTPTarget)
    target.open()
    target.ftp.set_debuglevel(1)
    target.ftp.pwd()
    assert established(server.port) == 1
    del target
    gc.collect()
    wait_for(lambda: established(server.port) == 0, "the end of the conversation")


def established(port: int) -> int:
    """Counts the connections to a port that are open, as the system sees them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_a_hook_can_send_commands_of_its_own(start_server: StartServer, tmp_path: Path) -> None:
    class Listing(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            result = super().on_copy_local(pair)
            seen.append((pair.rel_path, self.remote.ftp.pwd(), self.remote.ftp.voidcmd("NOOP")[:3]))
            return result

    seen: list[tuple[str, str, str]] = []
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub" / "b").write_text("b")
    folder, remote = over(start_server(servers.PYFTPDLIB))
    (folder / "sub").mkdir()
    Listing(FsTarget(str(tmp_path)), remote, {"verbose": 0}).run()
    assert sorted(seen) == [("a", "/base", "200"), ("sub/b", "/base/sub", "200")]


@pytest.mark.parametrize("command", ["tree", "scan"])
def test_the_command_line_shows_the_conversation_at_verbosity_6(
    start_server: StartServer,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = start_server(servers.PYFTPDLIB)
    shown = {}
    for verbosity in ("-vv", "-vvv"):
        monkeypatch.setattr("sys.argv", ["pyftpsync", command, verbosity, server.url])
        pyftpsync.run()
        shown[verbosity] = capsys.readouterr().out
    assert "*cmd*" not in shown["-vv"]
    assert "*cmd* 'PASS ***'\n" in shown["-vvv"] and "*cmd* 'MLSD /'\n" in shown["-vvv"]
    assert server.password not in shown["-vvv"]


def test_the_usual_timeout_of_sockets_counts_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = FTPTarget("/", "127.0.0.1", mute.getsockname()[1], "joe", "secret")
        with pytest.raises(Exception, match=r"no answer from .* for 1 seconds"):
            target.open()
    assert not target.connected
