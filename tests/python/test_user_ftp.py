"""`target.ftp`: commands of the user's own share the conversation of the target."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import servers
from ftpsync.ftp_target import FTPTarget
from ftpsync.synchronizers import UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from servers import Kind, Server
from servers.base import StartServer

Open = Callable[..., FTPTarget]


@pytest.fixture(params=servers.ALL, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, start_server: StartServer, tls: bool) -> Server:
    """A server of each kind, plain and with TLS, with a small tree."""
    kind: Kind = request.param
    running = start_server(kind, tls=tls)
    plant(running)
    return running


@pytest.fixture
def plain(start_server: StartServer) -> Server:
    running = start_server(servers.PYFTPDLIB)
    plant(running)
    return running


def plant(server: Server) -> None:
    base = server.root / "base"
    (base / "sub" / "deep").mkdir(parents=True)
    (base / "a.txt").write_bytes(b"one\ntwo\n")
    (base / "sub" / "b.txt").write_bytes(b"bbb")


@pytest.fixture
def open_target() -> Iterator[Open]:
    targets: list[FTPTarget] = []

    def open_it(server: Server, **options: Any) -> FTPTarget:
        if server.ca is not None:
            options["tls_ca"] = str(server.ca)
        target = make_target(server.url + "base", {"verbose": 3, **options})
        assert isinstance(target, FTPTarget)
        target.timeout = 10
        target.open()
        targets.append(target)
        return target

    yield open_it
    for target in targets:
        target.close()


def conversations(server: Server) -> int:
    """Counts the control connections that are open, as the system sees them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{server.port:04X}") and row[3] == "01" for row in rows)


# --- The object ---


class Own(ftplib.FTP_TLS):
    """What a script puts in the place of the object."""


def test_an_object_of_the_users_own_is_connected_and_led(server: Server, tmp_path: Path) -> None:
    class Mine(FTPTarget):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.ftp = Own(context=ssl._create_unverified_context()) if server.tls else ftplib.FTP()

    class Telling(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            seen.append((pair.name, self.remote.ftp.pwd()))

    seen: list[tuple[str, str]] = []
    like = make_target(server.url, {"tls_ca": str(server.ca)} if server.tls else {})
    login = {"username": like.username, "password": like.password, "tls": like.tls}
    target = Mine("/base", like.host, like.port, **login, extra_opts=like.extra_opts)
    own = target.ftp
    assert own.sock is None
    with target:
        assert target.ftp is own and target.ftp.pwd() == "/base"
    assert own.sock is None
    for name in ("new", "sub/deeper"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    Telling(FsTarget(str(tmp_path)), target, {"verbose": 0}).run()
    assert sorted(seen) == [("deeper", "/base/sub"), ("new", "/base")]
    assert own.sock is None


def test_it_is_there_from_the_beginning_without_connecting() -> None:
    plain, encrypted = FTPTarget("/", "host"), FTPTarget("/", "host", tls=True)
    assert isinstance(plain.ftp, ftplib.FTP) and not isinstance(plain.ftp, ftplib.FTP_TLS)
    assert isinstance(encrypted.ftp, ftplib.FTP_TLS)
    assert plain.ftp.sock is None and encrypted.ftp.sock is None
    assert (plain.ftp.debugging, plain.ftp.passiveserver, plain.ftp.encoding) == (0, True, "utf-8")
    assert plain.ftp is plain.ftp


def test_its_attributes_tell_about_the_conversation(server: Server, open_target: Open) -> None:
    target = open_target(server)
    ftp = target.ftp
    assert (ftp.host, ftp.port, ftp.timeout) == (server.host, server.port, 10)
    assert (ftp.encoding, ftp.passiveserver, ftp.debugging) == ("utf-8", True, 0)
    assert ftp.getwelcome().startswith("220")
    assert ftp.sock.getpeername() == (server.host, server.port)
    assert ftp.sock.getsockname()[0] == server.host
    ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    assert ftp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    assert ftp.voidcmd("NOOP").startswith("2")
    target.close()
    assert ftp.sock is None
    target.close()


# --- One conversation ---


def test_the_verbs_of_ftplib_work(server: Server, open_target: Open) -> None:
    target = open_target(server)
    base = server.root / "base"
    ftp = target.ftp
    assert ftp.pwd() == "/base"
    assert sorted(name for name in ftp.nlst() if not name.startswith(".")) == ["a.txt", "sub"]
    assert ftp.mkd("made").endswith("made")
    assert ftp.rename("made", "moved").startswith("2")
    assert (base / "moved").is_dir()
    assert ftp.rmd("moved").startswith("2")
    ftp.voidcmd("TYPE I")
    assert ftp.size("a.txt") == 8
    lines: list[str] = []
    assert ftp.retrlines("RETR a.txt", lines.append).startswith("2")
    assert lines == ["one", "two"]
    ftp.dir(lines.append)
    assert any(line.endswith("a.txt") for line in lines)
    assert ftp.storbinary("STOR new", io.BytesIO(b"x" * 100_000)).startswith("2")
    assert (base / "new").read_bytes() == b"x" * 100_000
    blocks: list[bytes] = []
    assert ftp.retrbinary("RETR new", blocks.append, rest=99_990).startswith("2")
    assert b"".join(blocks) == b"x" * 10
    assert ftp.storlines("STOR lines", io.BytesIO(b"a\nb\n")).startswith("2")
    assert (base / "lines").read_bytes().splitlines() == [b"a", b"b"]
    assert ftp.delete("new").startswith("2")
    if server.kind.mlsd:
        assert {"a.txt", "sub", "lines"} <= {name for name, _ in ftp.mlsd()}
    assert ftp.sendcmd("SYST").startswith("215")
    with pytest.raises(ftplib.error_perm, match=r"^5\d\d "):
        ftp.delete("nix")


def test_commands_and_verbs_take_turns_on_one_connection(server: Server, open_target: Open) -> None:
    target = open_target(server)
    for _ in range(3):
        assert {entry.name for entry in target.get_dir()} == {"a.txt", "sub"}
        target.ftp.retrlines("NLST", lambda line: None)  # In ASCII, which would spoil the next verb.
        assert target.read_text("a.txt") == "one\ntwo\n"
        assert target.ftp.pwd() == "/base"
        target.write_text("t", "1\r\n2\n")
        assert (server.root / "base" / "t").read_bytes() == b"1\r\n2\n"
        target.ftp.delete("t")
        assert conversations(server) == 1


def test_the_folder_is_one(server: Server, open_target: Open) -> None:
    target = open_target(server)
    target.cwd("sub")
    assert target.ftp.pwd() == "/base/sub"
    target.cwd("..")
    target.ftp.cwd("sub")
    assert (target.cur_dir, target.pwd(), target.ftp.pwd()) == ("/base", "/base/sub", "/base/sub")
    entries = {str(entry).split(",")[0] for entry in target.get_dir()}
    assert entries == {"FileEntry('/base/b.txt'", "DirectoryEntry([/base/deep])"}
    assert target.read_text("b.txt") == "bbb"
    assert target.cwd("deep") == "/base/deep"
    assert (target.pwd(), target.ftp.pwd()) == ("/base/sub/deep", "/base/sub/deep")
    with pytest.raises(ftplib.error_perm):
        target.cwd("nix")
    target.cwd("..")
    assert (target.cur_dir, target.pwd(), target.ftp.pwd()) == ("/base", "/base/sub", "/base/sub")
    target.ftp.cwd("..")
    assert (target.cur_dir, target.pwd()) == ("/base", "/base")
    target.ftp.cwd("/")
    assert "DirectoryEntry([/base/base])" in {str(entry).split(",")[0] for entry in target.get_dir()}
    with pytest.raises(RuntimeError, match="^Tried to navigate outside root"):
        target.cwd(".")


def test_names_outside_the_root_are_found_by_hand(server: Server, open_target: Open) -> None:
    (server.root / "logs").mkdir()
    (server.root / "logs" / "x.log").write_text("log")
    target = open_target(server)
    assert target.read_text("/logs/x.log") == target.read_text("../logs/x.log") == "log"
    target.mkdir("/logs/n")
    target.write_text("../logs/n/t", "text")
    target.ftp.cwd("/logs")
    assert target.read_text("n/t") == "text"
    target.remove_file("n/t")
    assert sorted(entry.name for entry in target.get_dir()) == ["n", "x.log"]
    assert target.ftp.pwd() == "/logs"
    with pytest.raises(RuntimeError, match="^Tried to navigate outside root"):
        target.rmdir("n")
    target.close()


def test_a_hook_of_a_run_finds_none_outside_the_root(server: Server, tmp_path: Path) -> None:
    class Escaping(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            self.remote.mkdir("/elsewhere")

    (tmp_path / "a").write_text("a")
    target = make_target(f"{server.url}base", {"tls_ca": str(server.ca)} if server.tls else {})
    with pytest.raises(RuntimeError, match="^Tried to navigate outside root"):
        Escaping(FsTarget(str(tmp_path)), target, {"verbose": 0}).run()
    assert not (server.root / "elsewhere").exists()


def test_the_data_connections_are_encrypted_like_the_conversation(server: Server, open_target: Open) -> None:
    target = open_target(server)
    for _ in range(4):  # The sessions of TLS are resumed, as servers require.
        blocks: list[bytes] = []
        target.ftp.retrbinary("RETR a.txt", blocks.append)
        assert b"".join(blocks) == b"one\ntwo\n"
    connection = target.ftp.transfercmd("RETR a.txt")
    assert connection._connection.is_encrypted == server.tls
    with connection.makefile("r", encoding="utf-8") as lines:
        assert lines.readline() == "one\n"
    connection.close()
    target.ftp.voidresp()


def test_protection_is_taken_up_again_by_the_verbs(start_server: StartServer, open_target: Open) -> None:
    running = start_server(servers.PYFTPDLIB, tls=True)
    plant(running)
    target = open_target(running, ftp_debug=1)
    assert isinstance(target.ftp, ftplib.FTP_TLS)
    target.ftp.voidcmd("PROT C")
    with pytest.raises(ftplib.error_perm, match=r"^5\d\d "):  # This server insists.
        target.ftp.nlst()
    assert target.read_text("sub/b.txt") == "bbb"
    assert running.output().rfind("PROT P") > running.output().rfind("PROT C")


def test_active_mode_is_that_of_the_target(plain: Server, open_target: Open, capsys: Any) -> None:
    target = open_target(plain, ftp_active=True, ftp_debug=1)
    assert target.ftp.passiveserver is False
    assert "a.txt" in target.ftp.nlst()
    assert target.read_text("a.txt").startswith("one")
    shown = capsys.readouterr().out
    assert shown.count("*cmd* 'PORT ") == 2 and "*cmd* 'PASV" not in shown and "*cmd* 'EPSV" not in shown
    target.ftp.set_pasv(True)
    assert "a.txt" in target.ftp.nlst()
    assert target.read_text("a.txt").startswith("one")
    shown = capsys.readouterr().out
    assert "*cmd* 'PASV'" in shown and "*cmd* 'EPSV'" in shown and "*cmd* 'PORT" not in shown


def test_a_host_that_the_server_names_is_used_only_where_it_is_trusted(
    plain: Server, open_target: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_trusted in (False, True):
        target = open_target(plain, trust_pasv_host=is_trusted)
        assert target.ftp.trust_server_pasv_ipv4_address is is_trusted
        named = target.ftp.makepasv
        # Nobody listens there.
        monkeypatch.setattr(target.ftp, "makepasv", lambda named=named: ("127.0.0.9", named()[1]))
        if is_trusted:
            with pytest.raises(ftplib.all_errors, match="127.0.0.9.*refused"):
                target.ftp.nlst()
        else:
            assert "a.txt" in target.ftp.nlst()


def test_a_line_that_would_be_two_commands_is_refused(plain: Server, open_target: Open) -> None:
    target = open_target(plain)
    for line in ("DELE x\r\nDELE a.txt", "DELE x\nDELE a.txt", "DELE a.txt\0"):
        with pytest.raises(ValueError, match="newline|NUL"):
            target.ftp.sendcmd(line)
    assert target.ftp.pwd() == "/base"


# --- What is given up ---


class Enough(Exception):
    pass


def enough(block: bytes) -> None:
    raise Enough


def big(server: Server) -> None:
    (server.root / "base" / "big").write_bytes(b"z" * 3_000_000)


def test_an_abandoned_download_leaves_the_conversation_usable(server: Server, open_target: Open) -> None:
    big(server)
    target = open_target(server)
    with pytest.raises(Enough):
        target.ftp.retrbinary("RETR big", enough)
    assert target.ftp.pwd() == "/base"
    with pytest.raises(Enough):
        target.copy_to_file("big", io.BytesIO(), enough)
    assert target.ftp.pwd() == "/base"
    target.ftp.transfercmd("RETR big").close()
    assert {entry.name for entry in target.get_dir()} == {"a.txt", "sub", "big"}


def test_an_abandoned_upload_is_not_taken_for_complete(server: Server, open_target: Open) -> None:
    class Torn(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if self.tell_count:
                raise Enough
            self.tell_count = 1
            return b"y" * 100

        tell_count = 0

    target = open_target(server)
    with pytest.raises(Enough):
        target.ftp.storbinary("STOR torn", Torn())
    assert target.ftp.pwd() == "/base"
    with pytest.raises(Enough):
        target.write_file("whole", Torn())
    assert target.ftp.pwd() == "/base"
    assert "whole" not in {entry.name for entry in target.get_dir()}


def test_an_open_transfer_is_not_disturbed_by_a_verb(plain: Server, open_target: Open) -> None:
    big(plain)
    target = open_target(plain)
    connection = target.ftp.transfercmd("RETR big")
    with pytest.raises(ftplib.error_reply, match="still open"):
        target.get_dir()
    count = 0
    while block := connection.recv(65536):
        count += len(block)
    connection.close()
    assert (count, target.ftp.voidresp()[:3]) == (3_000_000, "226")
    assert len(target.get_dir()) == 3
    del connection
    forgotten = target.ftp.transfercmd("RETR big")
    del forgotten
    assert len(target.get_dir()) == 3


def test_a_transfer_can_be_aborted(plain: Server, open_target: Open) -> None:
    big(plain)
    target = open_target(plain)
    connection = target.ftp.transfercmd("RETR big")
    connection.recv(10)
    connection.close()
    assert target.ftp.abort()[:3] in ("225", "226")
    assert target.ftp.pwd() == "/base"


# --- Ends and beginnings ---


def test_after_quit_the_target_closes_quietly(server: Server, open_target: Open, capsys: Any) -> None:
    target = open_target(server)
    assert target.ftp.quit().startswith("221")
    assert target.ftp.sock is None
    with pytest.raises(EOFError):
        target.get_dir()
    target.close()
    assert capsys.readouterr().err == ""


def test_the_user_can_connect_again(server: Server, open_target: Open) -> None:
    target = open_target(server)
    target.cwd("sub")
    target.ftp.close()
    assert target.ftp.connect(server.host, server.port).startswith("220")
    assert target.ftp.login(server.user, server.password).startswith("230")
    assert target.ftp.pwd() == "/base/sub"
    assert {entry.name for entry in target.get_dir()} == {"b.txt", "deep"}


def test_before_open_it_connects_wherever_the_user_likes(server: Server) -> None:
    options = {"tls_ca": str(server.ca)} if server.tls else {}
    target = FTPTarget("/base", "nowhere.invalid", tls=server.tls, extra_opts=options)
    with target.ftp as ftp:
        ftp.connect(server.host, server.port, 10)
        ftp.login(server.user, server.password)
        assert ftp.pwd() == "/"


def test_a_certificate_that_is_not_trusted_is_refused(start_server: StartServer) -> None:
    running = start_server(servers.PYFTPDLIB, tls=True)
    target = make_target(running.url)
    assert isinstance(target, FTPTarget)
    target.ftp.connect(running.host, running.port, 10)
    with pytest.raises(ssl.SSLCertVerificationError):
        target.ftp.login(running.user, running.password)
    target.ftp.close()


def test_a_verb_on_a_closed_target_says_so(plain: Server) -> None:
    target = make_target(plain.url + "base")
    with pytest.raises(RuntimeError, match="^Target is not open"):
        target.get_dir()


# --- What is shown ---


def test_the_conversation_can_be_watched(server: Server, open_target: Open, capsys: Any) -> None:
    target = open_target(server)
    target.get_dir()
    target.ftp.nlst()
    assert capsys.readouterr().out == ""
    target.ftp.set_debuglevel(1)
    target.get_dir()
    listing = capsys.readouterr().out
    verb = "MLSD /base" if server.kind.mlsd else "LIST -a"
    assert f"*cmd* '{verb}'\n" in listing and "*cmd* 'EPSV'\n*" in listing
    assert "*resp* '229 " in listing and "*resp* '226" in listing
    target.ftp.nlst()
    own = capsys.readouterr().out
    assert own.count("*cmd* 'NLST'\n") == 1 and own.count("*cmd* 'PASV'\n*resp* '227 ") == 1
    target.ftp.set_debuglevel(0)
    target.get_dir()
    assert capsys.readouterr().out == ""


def test_the_password_is_never_shown(server: Server, open_target: Open, capsys: Any) -> None:
    target = open_target(server, ftp_debug=1)
    with pytest.raises(ftplib.Error):
        target.ftp.sendcmd(f"NIX {server.password}")
    shown = capsys.readouterr().out
    assert "*cmd* 'PASS ***'" in shown and "*cmd* 'USER tester'" in shown
    assert server.password not in shown


def test_a_root_may_be_spelt_in_any_way(server: Server) -> None:
    options = {"tls_ca": str(server.ca)} if server.ca is not None else {}
    for root in ("./base", "/base/.", "base/sub/.."):
        with make_target(server.url + root, {"verbose": 3, **options}) as target:
            assert isinstance(target, FTPTarget)
            found = [entry.get_rel_path() for entry in target.walk()]
            assert sorted(found) == ["a.txt", "sub", "sub/b.txt", "sub/deep"]
            target.cwd("sub")
            assert "b.txt" in target.ftp.nlst()
            target.ftp.cwd("deep")
            if ".." not in root:  # Behind a link it would lead elsewhere, and nobody has told.
                assert target.get_dir() == []
