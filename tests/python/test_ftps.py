"""FTPS with servers as people run them: sessions that are resumed, implicit TLS, certificates of all sorts."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from pathlib import Path

import pytest
import trustme

import servers
from server_worlds import World, assert_clear_error, bodies, make_world, write
from servers import Kind
from servers.base import StartServer
from servers.certificates import Certificates
from small_servers import ftp_server
from small_worlds import command_line

MANY = 100


# -- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls_max", [(), ("--tls-max", "1.3")], ids=["default", "1.3"])
@pytest.mark.parametrize("kind", servers.ALL, ids=lambda kind: kind.name)
def test_the_session_is_resumed_for_every_file(
    start_server: StartServer, tmp_path: Path, kind: Kind, tls_max: tuple[str, ...]
) -> None:
    """vsftpd and ProFTPD refuse data connections that do not resume the session of their control connection."""
    world = make_world(start_server(kind, tls=True), tmp_path)
    for connections in ("1", "4"):
        for number in range(MANY):
            write(world.local, f"{connections}/up{number}", os.urandom(number * 10))
            write(world.remote, f"{connections}/down{number}", os.urandom(number * 10))
        result = world.run("sync", "--connections", connections, "-v", *tls_max)
        assert "errors: 0" in result.out
        version = "TLSv1.3" if tls_max else "TLSv1.2"
        assert re.search(rf"^TLS: {version}, TLS", result.out, re.MULTILINE), result
        found = re.search(r"^TLS of data connections: (.*)$", result.out, re.MULTILINE)
        assert found and found[1].startswith(version), result
        # Pure-FTPd neither wants nor grants it in TLS 1.3.
        grants = kind.name != "pureftpd" or not tls_max
        assert found[1].endswith(", session resumed") == grants, result
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 4 * MANY
    # Nor was any connection refused and made again behind the scenes. Only ProFTPD has no more tickets of TLS 1.3
    # than it gives at the login; a run finds that out by a refusal for each of its first connections.
    log = world.server.output()
    assert "Failure reading network stream" not in log and "Failure writing network stream" not in log
    refusals = re.findall(r'" ?(?:522|425|426) .*', log)
    assert len(refusals) <= (5 if kind.name == "proftpd" and tls_max else 0), refusals


def test_a_server_with_tls_13_only_is_met_on_the_second_try(
    start_server: StartServer, tmp_path: Path
) -> None:
    """ProFTPD gives no further tickets for TLS 1.3, so that every few files take a new conversation."""
    world = make_world(start_server(servers.ProFtpd(versions="TLSv1.3"), tls=True), tmp_path)
    for number in range(20):
        write(world.local, f"up{number}", os.urandom(number * 10))
        write(world.remote, f"down{number}", os.urandom(number * 10))
    result = world.run("sync", "-v")
    assert re.search(r"^TLS: TLSv1.3, ", result.out, re.MULTILINE), result
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 40
    refused = world.run("sync", "--tls-max", "1.2", code=1)
    assert_clear_error(refused, "does not speak TLS 1.2.*try it without --tls-max 1.2")


# -- implicit TLS ----------------------------------------------------------------------------------

IMPLICIT = [servers.VsFtpd(implicit=True), servers.ProFtpd(implicit=True)]


@pytest.mark.parametrize("kind", IMPLICIT, ids=lambda kind: kind.name)
def test_tls_may_begin_with_the_first_byte(start_server: StartServer, tmp_path: Path, kind: Kind) -> None:
    world = make_world(start_server(kind, tls=True), tmp_path)
    write(world.local, "up", os.urandom(100_000))
    write(world.remote, "down", os.urandom(100_000))
    world.run("sync", "--tls-implicit")
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 2


def test_the_two_kinds_of_tls_are_told_apart(start_server: StartServer, tmp_path: Path) -> None:
    explicit = make_world(start_server(servers.PYFTPDLIB, tls=True), tmp_path / "explicit")
    assert_clear_error(explicit.run("sync", "--tls-implicit", code=1), "try it without --tls-implicit")
    implicit = make_world(start_server(IMPLICIT[0], tls=True), tmp_path / "implicit")
    silent = implicit.run("sync", "--timeout", "1", code=1)
    assert_clear_error(silent, "no answer .* for 1 seconds.*--tls-implicit")


def test_a_plain_server_does_not_get_the_password(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    result = world.run("sync", url=world.url.replace("ftp://", "ftps://"), code=1)
    assert_clear_error(result, "refuses to encrypt the connection.*--tls-implicit.*ftp://")
    assert "PASS" not in world.server.output()


# -- who is who ------------------------------------------------------------------------------------


def proof(folder: Path, leaf: trustme.LeafCert, authority: trustme.CA | None = None) -> Certificates:
    """The files of a certificate."""
    folder.mkdir(parents=True)
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    leaf.private_key_and_cert_chain_pem.write_to_path(made.both)
    leaf.private_key_pem.write_to_path(made.key)
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(made.chain, append=True)
    if authority:
        authority.cert_pem.write_to_path(made.authority)
    return made


def refused(start_server: StartServer, tmp_path: Path, shown: Certificates) -> tuple[World, str]:
    world = make_world(start_server(servers.PYFTPDLIB, tls=True, proof=shown), tmp_path / "world")
    result = world.run("sync", code=1)
    assert_clear_error(result, "cannot be trusted .*sha256:[0-9a-f]{64}")
    assert "PASS" not in world.server.output()
    return world, result.err


def test_an_expired_certificate_is_called_that(start_server: StartServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    leaf = authority.issue_cert("127.0.0.1", not_before=long_ago, not_after=long_ago.replace(month=2))
    world, said = refused(start_server, tmp_path, proof(tmp_path / "proof", leaf, authority))
    assert "it has expired" in said and "renew it" in said
    pin = re.search(r"--tls-pin (sha256:\w+)", said)
    assert pin
    write(world.local, "a")
    world.run("sync", "--tls-pin", pin[1])
    assert bodies(world.remote) == bodies(world.local)


def test_what_the_system_trusts_is_trusted(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, another = trustme.CA(), trustme.CA()
    shown = proof(tmp_path / "proof", authority.issue_cert("127.0.0.1"), another)
    world, said = refused(start_server, tmp_path, shown)
    assert "its issuer is unknown" in said
    authority.cert_pem.write_to_path(tmp_path / "system.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    write(world.local, "a")
    world.run("sync")
    assert bodies(world.remote) == bodies(world.local)


def test_a_certificate_for_another_host_names_it(start_server: StartServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("ftp.example.com", "example.com")
    _, said = refused(start_server, tmp_path, proof(tmp_path / "proof", leaf, authority))
    assert "it is for ftp.example.com, example.com" in said
    assert "use a name that it is for instead of 127.0.0.1" in said


def test_a_certificate_that_signs_itself_can_be_trusted_by_file_or_pin(
    start_server: StartServer, tmp_path: Path
) -> None:
    """What `openssl req -x509` makes: a certificate that calls itself an authority."""
    folder = tmp_path / "proof"
    folder.mkdir()
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=nas"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(made.key), "-out", str(made.chain)]
    subprocess.run(command, check=True, capture_output=True)
    made.both.write_text(made.key.read_text() + made.chain.read_text())
    other = trustme.CA()
    other.cert_pem.write_to_path(made.authority)
    world, said = refused(start_server, tmp_path, made)
    assert "it is that of an authority, or signs itself" in said
    assert "--tls-ca FILE" in said
    write(world.local, "a")
    world.run("sync", "--tls-ca", str(made.chain))
    assert bodies(world.remote) == bodies(world.local)


def test_a_certificate_without_names_for_servers_is_called_that(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Old devices have a certificate whose host is in its common name only."""
    folder = tmp_path / "proof"
    folder.mkdir()
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    authority = [
        *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=authority"]
    ]
    authority += ["-keyout", str(folder / "ca.key"), "-out", str(made.authority)]
    wish = [*["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]]
    wish += ["-keyout", str(made.key), "-out", str(folder / "wish.pem")]
    sign = [*["openssl", "x509", "-req", "-days", "30", "-CAcreateserial"], "-in", str(folder / "wish.pem")]
    (folder / "extensions").write_text("basicConstraints=CA:FALSE\n")  # makes it one of version 3
    sign += ["-extfile", str(folder / "extensions")]
    sign += ["-CA", str(made.authority), "-CAkey", str(folder / "ca.key"), "-out", str(made.chain)]
    for command in (authority, wish, sign):
        subprocess.run(command, check=True, capture_output=True)
    made.both.write_text(made.key.read_text() + made.chain.read_text())
    world, said = refused(start_server, tmp_path, made)
    assert "names none as servers have to" in said
    pin = re.search(r"--tls-pin (sha256:\w+)", said)
    assert pin
    write(world.local, "a")
    world.run("sync", "--tls-pin", pin[1])
    assert bodies(world.remote) == bodies(world.local)


@pytest.mark.parametrize(
    "old",
    [
        servers.PyFtpdLib(newest_tls="TLS1_VERSION", ciphers="ALL:@SECLEVEL=0"),
        servers.PyFtpdLib(newest_tls="TLS1_2_VERSION", ciphers="AES128-GCM-SHA256:@SECLEVEL=0"),
        servers.PyFtpdLib(newest_tls="TLS1_2_VERSION", ciphers="ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
    ],
    ids=["tls 1.0", "rsa key exchange", "cbc"],
)
def test_old_tls_is_explained(start_server: StartServer, tmp_path: Path, old: Kind) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    shown = proof(tmp_path / "proof", leaf, authority)
    world = make_world(start_server(old, tls=True, proof=shown), tmp_path / "world")
    result = world.run("sync", code=1)
    assert_clear_error(result, "not safe any more.*before TLS 1.2, or without ECDHE.*operator")


def test_a_server_that_negotiates_anew_in_the_middle_is_told_with_the_option_that_helps(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.ProFtpd(renegotiates=True), tls=True), tmp_path)
    (world.remote / "large").write_bytes(os.urandom(6 << 20))
    result = world.run("download", code=1)
    assert_clear_error(result, "large.*demands to negotiate TLS anew.*--tls-max 1.3.*TLSRenegotiate none")
    assert not (world.local / "large").exists()
    world.run("download", "--tls-max", "1.3")
    assert bodies(world.local) == bodies(world.remote)


@pytest.mark.parametrize("options", [[], ["--tls-max", "1.2"], ["--tls-max", "1.3"]])
def test_a_server_with_nothing_but_chacha20_is_used_as_well(
    start_server: StartServer, tmp_path: Path, options: list[str]
) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    shown = proof(tmp_path / "proof", leaf, authority)
    kind = servers.PyFtpdLib(newest_tls="TLS1_2_VERSION", ciphers="ECDHE-RSA-CHACHA20-POLY1305")
    world = make_world(start_server(kind, tls=True, proof=shown), tmp_path / "world")
    write(world.local, "a")
    result = world.run("sync", "-v", "--tls-ca", str(shown.authority), *options)
    assert "TLSv1.2, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" in result.out + result.err
    assert bodies(world.remote) == bodies(world.local)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_server_may_ask_for_a_certificate_of_the_user(
    start_server: StartServer, tmp_path: Path, version: str
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    mine = proof(tmp_path / "mine", authority.issue_cert("joe@example.com"), authority)
    wrong = proof(tmp_path / "wrong", stranger.issue_cert("joe@example.com"))
    kind = servers.ProFtpd(versions=version, client_authority=mine.authority)
    world = make_world(start_server(kind, tls=True), tmp_path / "world")
    write(world.local, "a")
    assert_clear_error(world.run("sync", code=1), "certificate of yours.*--tls-cert FILE")
    unwelcome = world.run("sync", "--tls-cert", str(wrong.both), code=1)
    assert_clear_error(unwelcome, "--tls-cert")
    world.run("sync", "--tls-cert", str(mine.chain), "--tls-key", str(mine.key))
    assert bodies(world.remote) == bodies(world.local)
    write(world.local, "b")
    world.run("sync", "--tls-cert", str(mine.both))
    assert bodies(world.remote) == bodies(world.local)


def test_a_certificate_of_the_user_that_is_of_no_use_is_a_usage_error(
    start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB, tls=True), tmp_path)
    mine = proof(tmp_path / "mine", trustme.CA().issue_cert("joe@example.com"))
    other = proof(tmp_path / "other", trustme.CA().issue_cert("joe@example.com"))
    missing = world.run("sync", "--tls-cert", str(tmp_path / "nix.pem"), code=1)
    assert_clear_error(missing, "cannot read certificates from .*nix.pem")
    no_key = world.run("sync", "--tls-cert", str(mine.chain), code=1)
    assert_clear_error(no_key, "cannot read the key of your certificate from .*chain.pem")
    strange = world.run("sync", "--tls-cert", str(mine.chain), "--tls-key", str(other.key), code=1)
    assert_clear_error(strange, "certificate of --tls-cert is of no use.*key is that of another one")
    for locks in (["pkcs8", "-topk8", "-passout"], ["ec", "-aes128", "-passout"]):
        locked = tmp_path / locks[0]
        lock = ["openssl", *locks, "pass:x", "-in", str(mine.key), "-out", str(locked)]
        subprocess.run(lock, check=True, capture_output=True)
        answer = world.run("sync", "--tls-cert", str(mine.chain), "--tls-key", str(locked), code=1)
        assert_clear_error(answer, "locked by a password.*openssl pkey -in ")


def test_a_server_that_protects_no_data_gets_none_and_is_not_asked_for_another_password(
    tmp_path: Path,
) -> None:
    for folder in ("local", "remote"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "local", "a")
    shown = proof(tmp_path / "proof", trustme.CA().issue_cert("127.0.0.1"))
    refuses = {"PROT": "534 Unwilling to accept security parameters"}
    with ftp_server(tmp_path / "remote", certificate=shown.both, refuses=refuses) as server:
        words = ("upload", str(tmp_path / "local"), server.url, "--tls-ca", str(shown.chain))
        done = command_line(*words, cwd=tmp_path)
    assert done.returncode == 1, done
    assert "refuses to encrypt data connections (PROT P): 534" in done.stderr
    assert "Could not login" not in done.stderr and "Enter password" not in done.stderr
    assert not os.listdir(tmp_path / "remote")
