"""The servers of the other tests do what those tests rely on; asked by ftplib, not by our own code."""

from __future__ import annotations

import ftplib
import io
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import servers
from servers import Kind, Server
from servers.base import StartServer


class ResumingTls(ftplib.FTP_TLS):
    """An `FTP_TLS` that resumes the session of the control connection, as vsftpd and ProFTPD demand."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        session = self.sock.session
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size


@contextmanager
def connected(server: Server, **login: str) -> Iterator[ftplib.FTP]:
    ftp: Any
    if server.ca:
        context = ssl.create_default_context(cafile=str(server.ca))
        ftp = ResumingTls(context=context, encoding="utf-8", timeout=20)
    else:
        ftp = ftplib.FTP(encoding="utf-8", timeout=20)
    with ftp:
        ftp.connect(server.host, server.port)
        ftp.login(**{"user": server.user, "passwd": server.password, **login})
        if server.ca:
            ftp.prot_p()
        yield ftp


def features(ftp: ftplib.FTP) -> set[str]:
    return {line.split()[0].upper() for line in ftp.sendcmd("FEAT").splitlines()[1:-1]}


def names(ftp: ftplib.FTP, kind: Kind) -> set[str]:
    if kind.mlsd:
        return {name for name, facts in ftp.mlsd() if facts["type"] in ("file", "dir")}
    lines: list[str] = []
    ftp.retrlines("LIST", lines.append)
    return {line.split(maxsplit=8)[8] for line in lines}


def read(ftp: ftplib.FTP, name: str) -> bytes:
    body = io.BytesIO()
    ftp.retrbinary(f"RETR {name}", body.write)
    return body.getvalue()


@pytest.fixture(params=servers.ALL, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, start_server: StartServer, tls: bool) -> Server:
    return start_server(request.param, tls=tls)


def test_a_file_lives_through_upload_listing_download_rename_and_deletion(server: Server) -> None:
    body = os.urandom(100_000)
    with connected(server) as ftp:
        ftp.mkd("a folder")
        ftp.cwd("/a folder")
        ftp.storbinary("STOR ümläut.bin", io.BytesIO(body))
        assert (server.root / "a folder" / "ümläut.bin").read_bytes() == body
        assert names(ftp, server.kind) == {"ümläut.bin"}
        assert read(ftp, "ümläut.bin") == body

        ftp.storbinary("STOR old", io.BytesIO(b"old"))
        ftp.rename("ümläut.bin", "old")
        assert names(ftp, server.kind) == {"old"}
        assert read(ftp, "old") == body

        ftp.delete("old")
        assert names(ftp, server.kind) == set()
        ftp.cwd("/")
        ftp.rmd("a folder")
    assert list(server.root.iterdir()) == []


def test_the_folder_is_the_root_of_the_server(server: Server) -> None:
    with connected(server) as ftp:
        assert ftp.pwd() == "/"
        ftp.cwd("..")
        assert ftp.pwd() == "/"


def test_files_that_the_test_wrote_can_be_changed_by_the_server(server: Server) -> None:
    nested = server.root / "nested"
    nested.mkdir()
    (nested / "file").write_bytes(b"before")
    with connected(server) as ftp:
        ftp.storbinary("STOR nested/file", io.BytesIO(b"after"))
    assert (nested / "file").read_bytes() == b"after"


def test_a_wrong_password_is_refused(server: Server) -> None:
    with pytest.raises(ftplib.error_perm, match="^530"), connected(server, passwd="wrong"):
        pass


def test_features_are_those_the_kind_declares(server: Server) -> None:
    with connected(server) as ftp:
        known = features(ftp)
        assert ("MLST" in known) == server.kind.mlsd
        assert ("MFMT" in known) == server.kind.mfmt
        if not server.kind.mlsd:
            with pytest.raises(ftplib.error_perm, match="^50"):
                list(ftp.mlsd())


def test_times_are_set_by_mfmt_or_else_by_mdtm(server: Server) -> None:
    (server.root / "file").touch()
    with connected(server) as ftp:
        if server.kind.mfmt:
            ftp.sendcmd("MFMT 20200102030405 file")
        else:
            with pytest.raises(ftplib.error_perm, match="^50"):
                ftp.sendcmd("MFMT 20200102030405 file")
            ftp.sendcmd("MDTM 20200102030405 file")
        assert ftp.sendcmd("MDTM file") == "213 20200102030405"
    assert (server.root / "file").stat().st_mtime == 1577934245


def test_a_tls_server_refuses_to_hear_a_password_in_the_clear(ftps_server: Server) -> None:
    with ftplib.FTP(timeout=20) as ftp:
        ftp.connect(ftps_server.host, ftps_server.port)
        with pytest.raises(ftplib.Error):
            ftp.login(ftps_server.user, ftps_server.password)


@pytest.mark.parametrize("kind", [servers.VSFTPD, servers.PROFTPD], ids=lambda kind: kind.name)
def test_a_data_connection_must_resume_the_tls_session(start_server: StartServer, kind: Kind) -> None:
    server = start_server(kind, tls=True)
    context = ssl.create_default_context(cafile=str(server.ca))
    ftp = ftplib.FTP_TLS(context=context, timeout=20)
    try:
        ftp.connect(server.host, server.port)
        ftp.login(server.user, server.password)
        ftp.prot_p()
        with pytest.raises((ftplib.Error, ssl.SSLError, OSError, EOFError)):
            ftp.storbinary("STOR file", io.BytesIO(b"body"))
    finally:
        ftp.close()  # Without a goodbye: the reply to the transfer may still come.


def test_pyftpdlib_can_be_told_to_know_less(start_server: StartServer) -> None:
    server = start_server(servers.PyFtpdLib(mlsd=False, mfmt=False))
    with connected(server) as ftp:
        assert not {"MLST", "MFMT"} & features(ftp)
        for command in ("MLST /", "MFMT 20200102030405 /"):
            with pytest.raises(ftplib.error_perm, match="^50"):
                ftp.sendcmd(command)


def test_pureftpd_cuts_listings_short_and_says_so_only_in_its_last_line(start_server: StartServer) -> None:
    server = start_server(servers.PureFtpd(listing_limit=20))
    for number in range(30):
        (server.root / f"file{number}").touch()
    with connected(server) as ftp:
        lines: list[str] = []
        assert "truncated" in ftp.retrlines("MLSD", lines.append)
    assert len(lines) < 30


def test_stopping_ends_the_server_and_its_sessions(start_server: StartServer, tmp_path: Path) -> None:
    for kind in servers.ALL:
        server = start_server(kind, root=tmp_path / kind.name)
        with connected(server) as ftp:
            server.stop()
            with pytest.raises((OSError, EOFError, ftplib.Error)):
                ftp.voidcmd("NOOP")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), timeout=5)
