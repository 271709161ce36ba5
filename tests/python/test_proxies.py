"""Servers behind a proxy: every connection goes through it, and its password is seen nowhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

import ftpsync._proxy
import servers
from ftpsync._proxy import proxy_for, without_password
from server_worlds import World, assert_clear_error, bodies, make_world, write
from servers import Server, openssh, proxies
from servers.base import StartServer
from small_servers import ftp_server

LOGIN = ":".join(quote(each, safe="") for each in proxies.CREDENTIALS)


@pytest.fixture(params=[servers.PYFTPDLIB, servers.PROFTPD], ids=lambda kind: kind.name)
def world(request: pytest.FixtureRequest, start_server: StartServer, tls: bool, tmp_path: Path) -> World:
    world = make_world(start_server(request.param, tls=tls), tmp_path)
    write(world.local, "up", os.urandom(300_000))
    write(world.local, "folder/up too")
    write(world.remote, "down", os.urandom(300_000))
    return world


def by_name(server: Server, name: str) -> str:
    return server.url.replace("127.0.0.1", name) + "site"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_commands_and_data_go_through_the_proxy(world: World, scheme: str) -> None:
    with proxies.running(wants_login=True) as proxy:
        # In the certificate of the server; SOCKS5 without h resolves it here.
        url = by_name(world.server, "localhost")
        result = world.run("sync", "--proxy", f"{scheme}://{LOGIN}@127.0.0.1:{proxy.port}", "-vvv", url=url)
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 3
    hosts = {host for host, _ in proxy.asked}
    assert hosts <= ({"127.0.0.1", "::1"} if scheme == "socks5" else {"localhost"})
    ports = [port for _, port in proxy.asked]
    assert world.server.port in ports
    assert len(ports) - ports.count(world.server.port) >= 5, "two listings at least, and three files"
    assert "s3cret" not in result.out + result.err and quote(proxies.CREDENTIALS[1]) not in result.out


def test_a_name_that_only_the_proxy_knows_is_enough(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    write(world.local, "up")
    url = by_name(world.server, "inside.test")
    with proxies.running() as proxy:
        for scheme in ("socks5h", "http"):
            done = world.run("sync", "--proxy", f"{scheme}://127.0.0.1:{proxy.port}", url=url)
            assert "The password for inside.test:" in done.out and "in clear text" in done.out
            assert done.out.count("The password for") == 1
        assert {host for host, _ in proxy.asked} == {"inside.test"}
        here = world.run("sync", "--proxy", f"socks5://127.0.0.1:{proxy.port}", url=url, code=1)
        assert_clear_error(here, 'unknown host "inside.test"')
    assert bodies(world.remote) == bodies(world.local)


def test_a_password_on_the_command_line_is_told_with_what_to_use_instead(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    url = by_name(world.server, "inside.test")
    seen = "others of this computer see it in the list of processes: use the variable PYFTPSYNC_PASSWORD"
    with proxies.running() as proxy:
        through = ["--proxy", f"http://127.0.0.1:{proxy.port}"]
        done = world.run("sync", *through, url=url)
        (line,) = (line for line in done.out.splitlines() if "The password for" in line)
        assert "in clear text" in line and seen in line, "both in one line"
        assert "The password for" not in world.run("sync", "-q", *through, url=url).out
        assert seen not in world.run("sync").out, "a server on this computer is no secret to its users"
        monkeypatch.setenv("PYFTPSYNC_PASSWORD", world.server.password)
        login = url.partition("://")[2].rpartition("@")[0]
        unseen = world.run("sync", *through, url=url.replace(login, login.partition(":")[0]))
        assert "in clear text" in unseen.out and seen not in unseen.out


def test_the_environment_names_proxies_and_exceptions(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    write(world.local, "up")
    with proxies.running() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        world.run("sync")
        assert proxy.asked
        proxy.asked.clear()
        for exempt in ({"no_proxy": "127.0.0.0/8"}, {"NO_PROXY": "*"}):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in exempt.items():
                    patch.setenv(name, value)
                world.run("sync")
        world.run("sync", "--proxy", "none")
        assert not proxy.asked
    assert bodies(world.remote) == bodies(world.local)


@pytest.fixture
def over_ssh(start_server: StartServer, tmp_path: Path) -> World:
    """A server for SFTP that is known under every name."""
    world = make_world(start_server(servers.OPENSSH), tmp_path)
    configure(world, "Host *", f"HostKeyAlias [127.0.0.1]:{world.server.port}")
    write(world.local, "up", os.urandom(300_000))
    write(world.local, "folder/up too")
    write(world.remote, "down", os.urandom(300_000))
    return world


def configure(world: World, *lines: str) -> None:
    """Writes the configuration of ssh."""
    (world.home / ".ssh" / "config").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_sftp_goes_through_the_proxy(over_ssh: World, scheme: str) -> None:
    world = over_ssh
    with proxies.running(wants_login=True) as proxy:
        through = ("--proxy", f"{scheme}://{LOGIN}@127.0.0.1:{proxy.port}", "-vvv")
        runs = [
            world.run(command, *through, url=by_name(world.server, "localhost"))
            for command in ("upload", "download", "sync")
        ]
    assert bodies(world.local) == bodies(world.remote)
    assert len(bodies(world.local)) == 3
    assert {port for _, port in proxy.asked} == {world.server.port}
    hosts = {host for host, _ in proxy.asked}
    assert hosts <= ({"127.0.0.1", "::1"} if scheme == "socks5" else {"localhost"})
    shown = "".join(run.out + run.err for run in runs)
    assert "s3cret" not in shown and quote(proxies.CREDENTIALS[1]) not in shown


def test_for_sftp_names_that_only_the_proxy_knows_are_enough(over_ssh: World) -> None:
    url = by_name(over_ssh.server, "inside.test")
    with proxies.running() as proxy:
        for scheme in ("socks5h", "http"):
            over_ssh.run("sync", "--proxy", f"{scheme}://127.0.0.1:{proxy.port}", url=url)
        assert proxy.asked == [("inside.test", over_ssh.server.port)] * 2
        here = over_ssh.run("sync", "--proxy", f"socks5://127.0.0.1:{proxy.port}", url=url, code=1)
        assert_clear_error(here, 'could not connect to "inside.test.*unknown host "inside.test"')
    assert bodies(over_ssh.remote) == bodies(over_ssh.local)


def test_for_sftp_exceptions_may_name_the_host_as_it_is_called_or_as_it_is(
    over_ssh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = over_ssh.server.port
    configure(over_ssh, "Host box", "HostName 127.0.0.1", f"HostKeyAlias [127.0.0.1]:{port}")
    url = by_name(over_ssh.server, "box")
    with proxies.running() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        over_ssh.run("sync", url=url)
        assert proxy.asked == [("127.0.0.1", port)]
        for exempt in ("127.0.0.0/8", "box", "*"):
            monkeypatch.setenv("NO_PROXY", exempt)
            over_ssh.run("sync", url=url)
        over_ssh.run("sync", "--proxy", "none", url=url)
        assert len(proxy.asked) == 1
    assert bodies(over_ssh.remote) == bodies(over_ssh.local)


def test_the_first_jump_host_is_what_the_proxy_is_asked_for(
    over_ssh: World, start_server: StartServer, tmp_path: Path
) -> None:
    jump = start_server(servers.OPENSSH)
    openssh.make_known(jump, over_ssh.home)
    configure(
        over_ssh,
        "Host behind",
        "  HostName 127.0.0.1",
        "  ProxyJump jump",
        f"  HostKeyAlias [127.0.0.1]:{over_ssh.server.port}",
        "Host jump",
        "  HostName 127.0.0.1",
        f"  Port {jump.port}",
        f"  User {jump.user}",
        f"  IdentityFile {openssh.secrets(jump)}/user_ed25519",
    )
    with proxies.running() as proxy:
        through = ("--proxy", f"http://127.0.0.1:{proxy.port}")
        over_ssh.run("sync", *through, url=by_name(over_ssh.server, "behind"))
    assert proxy.asked == [("127.0.0.1", jump.port)]
    assert bodies(over_ssh.remote) == bodies(over_ssh.local)


def test_the_option_wins_over_a_proxy_command_and_that_over_the_environment(
    over_ssh: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, script, called = over_ssh.server.port, tmp_path / "relay.py", tmp_path / "called"
    script.write_text(
        "import os, pathlib, socket, sys, threading\n"
        f"pathlib.Path({str(called)!r}).touch()\n"
        f"s = socket.create_connection(('127.0.0.1', {port}))\n"
        "def up():\n    while data := os.read(0, 65536): s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := s.recv(65536): os.write(1, data)\n"
    )
    command = f"ProxyCommand {sys.executable} {script}"
    configure(over_ssh, "Host *", f"HostKeyAlias [127.0.0.1]:{port}", command)
    told = "The ProxyCommand of the ssh configuration is not used: --proxy names another way."
    with proxies.running() as proxy:
        url = f"socks5://127.0.0.1:{proxy.port}"
        assert told in over_ssh.run("sync", "--proxy", url).out
        assert proxy.asked == [("127.0.0.1", port)] and not called.exists()
        monkeypatch.setenv("ALL_PROXY", url)
        for options in ([], ["--proxy", "none"]):
            assert told not in over_ssh.run("sync", *options).out
            assert called.exists()
            called.unlink()
        assert len(proxy.asked) == 1
    assert bodies(over_ssh.remote) == bodies(over_ssh.local)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_for_sftp_what_the_proxy_refuses_is_said_in_its_words(over_ssh: World, scheme: str) -> None:
    at = f'could not connect to "127.0.0.1:{over_ssh.server.port}": '
    with proxies.running(wants_login=True) as proxy:
        place = f"127.0.0.1:{proxy.port}"
        for login in ("", "joe:geheim@"):
            result = over_ssh.run("sync", "--proxy", f"{scheme}://{login}{place}", code=1)
            assert_clear_error(result, f"{at}the proxy {scheme}://{place} says: .*(user|password)")
            assert "geheim" not in result.err + result.out
        proxy.wants_login = False
        proxy.allows = {443}
        result = over_ssh.run("sync", "--proxy", f"{scheme}://{place}", code=1)
        assert_clear_error(result, "rules do not allow" if scheme == "socks5" else "port 443")
    result = over_ssh.run("sync", "--proxy", f"{scheme}://joe:geheim@{place}", code=1)
    assert_clear_error(result, f"{at}the proxy {scheme}://{place} cannot be reached: connection refused")
    assert "geheim" not in result.err + result.out
    result = over_ssh.run("sync", "--proxy", f"https://joe:geheim@{place}", code=1)
    assert_clear_error(result, "URL of the proxy.*socks5h and http")
    assert "geheim" not in result.err + result.out


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_for_sftp_a_silent_proxy_and_a_silent_server_are_told_apart(over_ssh: World, scheme: str) -> None:
    with proxies.running(is_silent=True) as proxy, socket.create_server(("127.0.0.1", 0)) as mute:
        options = ("--proxy", f"{scheme}://127.0.0.1:{proxy.port}", "--timeout", "1")
        assert_clear_error(over_ssh.run("sync", *options, code=1), "the proxy .* does not answer")
        proxy.is_silent = False
        port = mute.getsockname()[1]
        url = over_ssh.url.replace(f":{over_ssh.server.port}/", f":{port}/")
        result = over_ssh.run("sync", *options, url=url, code=1)
        assert_clear_error(result, f'"127.0.0.1:{port}": no answer for 1 seconds; it goes through the proxy')
    assert bodies(over_ssh.remote).keys() == {"down"}, "nothing was done"


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_more_connections_are_used_where_the_server_is_far_behind_a_proxy_next_door(
    scheme: str, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    for folder in (local, remote):
        folder.mkdir()
    for number in range(80):
        write(local, f"file{number}")
    with ftp_server(remote) as server, proxies.running() as proxy:
        words = [
            sys.executable,
            "-m",
            "ftpsync",
            "upload",
            str(local),
            server.url,
            "--no-prompt",
            "--no-netrc",
        ]

        def logins(*more: str) -> int:
            server.commands.clear()
            done = subprocess.run([*words, *more], capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done
            return sum(command.startswith("USER") for command in server.commands)

        # Bytes of a file must not overtake the command they belong to: this server would wait for others.
        proxy.delays[server.port] = 0.005
        far = logins("--proxy", f"{scheme}://127.0.0.1:{proxy.port}")
        assert bodies(local) == bodies(remote)
        for name in [name for name in os.listdir(remote) if name.startswith("file")]:
            (remote / name).unlink()
        assert 4 < far <= 8
        assert logins() <= 4, "near by, four are enough"


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_what_the_proxy_refuses_is_said_in_its_words(
    start_server: StartServer, tmp_path: Path, scheme: str
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    with proxies.running(wants_login=True) as proxy:
        place = f"127.0.0.1:{proxy.port}"
        for login in ("", "joe:geheim@"):
            result = world.run("sync", "--proxy", f"{scheme}://{login}{place}", code=1)
            assert_clear_error(result, f"the proxy {scheme}://{place} says: .*(user|password)")
            assert "geheim" not in result.err
        proxy.wants_login = False
        proxy.allows = {443}
        result = world.run("sync", "--proxy", f"{scheme}://{place}", code=1)
        assert_clear_error(result, "rules do not allow" if scheme == "socks5" else "port 443")
        proxy.allows = {world.server.port}
        # A download writes no lock, the failure of which would be a line of its own.
        result = world.run("download", "--proxy", f"{scheme}://{place}", code=1)
        assert_clear_error(result, "no data connection.*the proxy may connect to some ports only")
    result = world.run("sync", "--proxy", f"{scheme}://{place}", code=1)
    assert_clear_error(result, f"the proxy {scheme}://{place} cannot be reached: connection refused")


def test_a_silent_proxy_is_given_up(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    with proxies.running(is_silent=True) as proxy:
        started = time.monotonic()
        options = ("--proxy", f"http://127.0.0.1:{proxy.port}", "--timeout", "1")
        assert_clear_error(world.run("sync", *options, code=1), "the proxy .* does not answer")
        assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (("--proxy", "https://joe:geheim@proxy"), "URL of the proxy.*socks5h and http"),
        (("--proxy", "proxy:8080"), "URL of the proxy.*no scheme"),
        (("--proxy", "socks5://proxy", "--ftp-active"), "leave out --ftp-active, .*--proxy none"),
    ],
)
def test_proxies_of_no_use_are_named(
    start_server: StartServer, tmp_path: Path, options: tuple[str, ...], pattern: str
) -> None:
    world = make_world(start_server(servers.PYFTPDLIB), tmp_path)
    result = world.run("sync", *options, code=1)
    assert_clear_error(result, pattern)
    assert "geheim" not in result.err


@pytest.mark.parametrize(
    ("host", "exceptions", "is_exempt"),
    [
        ("ftp.example.com", "example.com", True),
        ("ftp.example.com", "other, .example.com", True),
        ("FTP.Example.com.", "*.example.COM", True),
        ("example.com", "example.com:21", True),
        ("badexample.com", "example.com", False),
        ("example.com.evil", "example.com", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[::1]", "::1", True),
        ("host", "", False),
        ("host", ",", False),
    ],
)
def test_exceptions_are_names_networks_or_all(
    monkeypatch: pytest.MonkeyPatch, host: str, exceptions: str, is_exempt: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy")
    monkeypatch.delenv("all_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(host, None) is None) == is_exempt
    assert proxy_for(host, "http://mine") == "http://mine", "the option wins"


def test_small_letters_win_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for("host", None) is None
    monkeypatch.setenv("all_proxy", "socks5://small")
    assert proxy_for("host", None) == "socks5://small"
    monkeypatch.setenv("ALL_PROXY", "socks5://large")
    assert proxy_for("host", None) == "socks5://small"
    monkeypatch.setenv("NO_PROXY", "host")
    assert proxy_for("host", None) is None
    monkeypatch.setenv("no_proxy", "other")
    assert proxy_for("host", None) == "socks5://small"
    for none in ("none", "direct", ""):
        assert proxy_for("elsewhere", none) is None


def test_a_proxy_is_shown_without_its_login() -> None:
    assert without_password("socks5://joe:a@b@host:1/") == "socks5://***@host:1/"
    assert without_password("4") == "4"
    assert ftpsync._proxy.__all__ == ["proxy_for", "without_password"]
