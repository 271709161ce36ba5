"""What only SFTP has: keys of hosts and users, names of any bytes, and `SFTPTarget` by hand."""

from __future__ import annotations

import getpass
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import servers
from ftpsync.sftp_target import AuthenticationException, PasswordRequiredException, SFTPTarget
from ftpsync.synchronizers import DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from ftpsync.util import CliSilentRuntimeError
from servers import Server, openssh
from servers.base import StartServer

QUIET = {"verbose": 0, "no_keyring": True, "no_netrc": True}


@dataclass(frozen=True)
class Place:
    """A running server, and a user with a home of his own who knows it."""

    server: Server
    home: Path

    @property
    def root(self) -> Path:
        return self.server.root

    @property
    def keys(self) -> Path:
        return openssh.secrets(self.server)

    def target(self, path: str = "", *, password: bool = True, **options: Any) -> SFTPTarget:
        target = make_target(f"{self.server.url}{path}", {**QUIET, **options})
        assert isinstance(target, SFTPTarget)
        if not password:
            target.password = None
        return target

    def files(self) -> dict[str, bytes]:
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in _files(self.root)}

    def run(self, *words: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", *words, "--no-prompt", "--no-keyring", "--no-netrc"],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "HOME": str(self.home), "NO_COLOR": "1", **environment},
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done
        assert self.server.password not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def place(openssh_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = make_place(openssh_server, tmp_path / "home")
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return made


def make_place(server: Server, home: Path) -> Place:
    home.mkdir()
    openssh.make_known(server, home)
    return Place(server, home)


# -- by hand -----------------------------------------------------------------------------------------------


def test_the_verbs_by_hand(place: Place) -> None:
    target = place.target()
    target.open()
    assert target.cur_dir == target.pwd() == target.root_dir == str(place.root)
    target.mkdir("folder")
    assert target.cwd("folder") == f"{place.root}/folder"
    target.write_text("über.txt", "hällo")
    assert target.read_text("über.txt") == "hällo"
    blocks: list[bytes] = []
    target.write_file("large", io.BytesIO(b"x" * 100_000), callback=blocks.append)
    assert b"".join(blocks) == b"x" * 100_000
    copy = io.BytesIO()
    target.copy_to_file("large", copy)
    assert copy.getvalue() == b"x" * 100_000
    target.set_mtime("large", 1_600_000_000, 100_000)
    assert (place.root / "folder/large").stat().st_mtime == 1_600_000_000
    entries = {entry.name: entry for entry in target.get_dir()}
    assert sorted(entries) == ["large", "über.txt"]
    assert (entries["large"].size, entries["large"].mtime) == (100_000, 1_600_000_000)
    assert entries["large"].unique is None
    target.remove_file("large")
    target.cwd("..")
    assert [(entry.name, entry.is_dir()) for entry in target.walk()] == [
        ("folder", True),
        ("über.txt", False),
    ]
    target.rmdir("folder")
    assert list(place.root.iterdir()) == []
    with pytest.raises(RuntimeError, match="Tried to navigate outside root"):
        target.cwd("../elsewhere")
    with pytest.raises(FileNotFoundError):
        target.cwd("missing")
    target.close()
    target.close()


def test_failures_are_exceptions_that_name_the_path(place: Place) -> None:
    target = place.target()
    target.open()
    with pytest.raises(FileNotFoundError, match='"nothing"'):
        target.read_text("nothing")
    target.write_text("file", "x")
    with pytest.raises(FileExistsError):
        target.mkdir("file")
    with pytest.raises(OSError, match='"file"'):
        target.rmdir("file")
    target.close()


def test_any_name_that_a_disk_can_hold_goes_there_and_back(place: Place, tmp_path: Path) -> None:
    names = [
        b" leading",
        b"trailing ",
        b"new\nline",
        b"latin-\xe4\xff",
        "ü".encode(),
        b"back\\slash",
        b"\x1b[31m",
    ]
    local, back = tmp_path / "local", tmp_path / "back"
    for folder in (local, back):
        folder.mkdir()
    for name in names:
        (local / os.fsdecode(name)).mkdir()
        (local / os.fsdecode(name) / os.fsdecode(name)).write_bytes(name)
    UploadSynchronizer(FsTarget(str(local)), place.target(), dict(QUIET)).run()
    assert sorted(name for name in os.listdir(os.fsencode(place.root)) if name in names) == sorted(names)
    DownloadSynchronizer(FsTarget(str(back)), place.target(), dict(QUIET)).run()
    for name in names:
        assert (back / os.fsdecode(name) / os.fsdecode(name)).read_bytes() == name
    by_hand = place.target()
    by_hand.open()
    for entry in by_hand.get_dir():
        if entry.is_dir():
            by_hand.rmdir(entry.name)
    assert [entry.name for entry in by_hand.get_dir()] == []
    by_hand.close()


def test_bytes_are_counted_and_hooks_are_called(place: Place, tmp_path: Path) -> None:
    seen: list[str] = []

    class Watching(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            seen.append(pair.name)
            self.remote.write_text("by hand.txt", "while the run is on")
            return super().on_copy_local(pair)

    local = tmp_path / "local"
    local.mkdir()
    (local / "file").write_bytes(b"x" * 70_000)
    watching = Watching(FsTarget(str(local)), place.target(), dict(QUIET))
    assert watching.run() is True
    assert seen == ["file"]
    assert watching.get_stats()["upload_bytes_written"] == 70_000
    assert (place.root / "file").stat().st_size == 70_000
    assert (place.root / "by hand.txt").read_text() == "while the run is on"


def test_two_targets_of_one_server_have_ids_of_their_own(place: Place) -> None:
    target = place.target("folder")
    port = place.server.port
    assert target.get_id() == f"127.0.0.1{place.root}/folder"
    assert target._memory_key() == f"sftp://tester@127.0.0.1:{port}{place.root}/folder"
    assert target.get_base_name() == f"sftp://127.0.0.1{place.root}/folder"
    assert place.server.password not in f"{target} {target!r} {target.get_id()}"


def test_the_connection_offers_what_pysftp_did(place: Place, tmp_path: Path) -> None:
    target = place.target()
    assert target.sftp is None
    target.open()
    sftp = target.sftp
    assert sftp is not None and type(sftp).__name__ == "PatchedPysftpConnection"
    assert sftp.pwd == str(place.root) == sftp.getcwd()
    sftp.makedirs("a/b")
    sftp.mkdir("a/c", 700)
    assert sftp.stat("a/c").st_mode == 0o040700
    (tmp_path / "file").write_bytes(b"1234")
    os.utime(tmp_path / "file", (1_500_000_000, 1_600_000_000))
    steps: list[tuple[int, int]] = []
    put = sftp.put(
        str(tmp_path / "file"), "a/file", callback=lambda *step: steps.append(step), preserve_mtime=True
    )
    assert (put.st_size, put.st_mtime, steps) == (4, 1_600_000_000, [(4, 4)])
    assert sftp.listdir("a") == ["b", "c", "file"]
    assert [str(each)[0] for each in sftp.listdir_attr("a")] == ["d", "d", "-"]
    assert sftp.exists("a/file") and sftp.isfile("a/file") and not sftp.isdir("a/file")
    assert not sftp.exists("a/nothing") and sftp.isdir("a")
    sftp.get("a/file", str(tmp_path / "back"), preserve_mtime=True)
    assert (tmp_path / "back").read_bytes() == b"1234"
    assert (tmp_path / "back").stat().st_mtime == 1_600_000_000
    taken = io.BytesIO()
    assert sftp.getfo("a/file", taken) == 4 and taken.getvalue() == b"1234"
    sftp.putfo(io.BytesIO(b"new"), "a/file")
    with sftp.open("a/file", "a") as file:
        file.write("er")
    with sftp.open("a/file") as file:
        assert file.read() == b"newer"
    sftp.rename("a/file", "a/b/file")
    sftp.chmod("a/b/file", 640)
    assert sftp.lstat("a/b/file").st_mode == 0o100640
    assert sftp.normalize("a/../a") == f"{place.root}/a"
    assert sftp.execute("echo $((6 * 7)); echo no >&2") == [b"42\n"]
    assert sftp.sftp_client.stat("a").st_mode is not None
    for mode in (0o755, 0o644, 0o600):
        sftp.sftp_client.chmod("a/b/file", mode)
        assert sftp.lstat("a/b/file").st_mode == 0o100000 | mode
    sftp.sftp_client.mkdir("a/d", 0o750)
    sftp.sftp_client.mkdir("a/e")
    assert sftp.stat("a/d").st_mode == 0o040750
    assert (sftp.stat("a/e").st_mode or 0) & 0o700 == 0o700
    for name in "de":
        sftp.sftp_client.rmdir(f"a/{name}")
    with sftp.cd("a/b"):
        assert sftp.pwd == target.pwd() == f"{place.root}/a/b"
        assert [entry.name for entry in target.get_dir()] == ["file"]
        target.remove_file("file")
    assert sftp.pwd == str(place.root)
    sftp.cwd("a")
    sftp.rmdir("b")
    target.cwd(f"{place.root}/a")
    assert sftp.pwd == f"{place.root}/a" == target.cur_dir
    with pytest.raises(FileNotFoundError):
        sftp.cwd("nothing")
    with pytest.raises(FileNotFoundError):
        sftp.remove("nothing")
    assert place.server.output().count("Accepted password") == 1, "all of it on one connection"
    target.close()
    assert target.sftp is None


def test_what_is_put_onto_a_link_by_hand_goes_where_the_link_leads(place: Place, tmp_path: Path) -> None:
    (place.root / "releases").mkdir()
    (place.root / "releases" / "one").write_bytes(b"old")
    (place.root / "current").symlink_to("releases/one")
    (place.root / "new").symlink_to("releases/two")
    (tmp_path / "file").write_bytes(b"by path")
    with place.target() as target:
        assert target.sftp is not None
        target.sftp.putfo(io.BytesIO(b"by hand"), "current")
        target.sftp.put(str(tmp_path / "file"), "new")
    assert (place.root / "current").is_symlink() and (place.root / "new").is_symlink()
    found = {path.name: path.read_bytes() for path in (place.root / "releases").iterdir()}
    assert found == {"one": b"by hand", "two": b"by path"}


def test_a_file_that_cannot_be_fetched_by_hand_leaves_the_local_one_as_it_was(
    place: Place, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"old")
    precious.chmod(0o640)
    (place.root / "big").write_bytes(bytes(3_000_000))

    def stops(count: int, total: int) -> None:
        raise RuntimeError("enough")

    with place.target() as target:
        sftp = target.sftp
        assert sftp is not None
        with pytest.raises(FileNotFoundError) as missing:
            sftp.get("nix", str(precious))
        assert f'"{place.root}/nix"' in str(missing.value), "with its first slash"
        with pytest.raises(FileNotFoundError):
            sftp.get("nix", str(tmp_path / "new"))
        with pytest.raises(RuntimeError, match="enough"):
            sftp.get("big", str(precious), callback=stops)
        with pytest.raises(OSError, match="missing/file") as refused:
            sftp.putfo(io.BytesIO(b"x"), "missing/file")
        assert f'"{place.root}/missing/file"' in str(refused.value)
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["home", "precious"]
        assert precious.read_bytes() == b"old"
        (tmp_path / "link").symlink_to(precious)
        sftp.get("big", str(tmp_path / "link"))
        sftp.get("big", os.devnull)
    assert precious.stat().st_size == 3_000_000 and (tmp_path / "link").is_symlink()
    assert precious.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("passes_on", [False, True])
def test_a_subclass_may_leave_the_lock_out(passes_on: bool, place: Place, tmp_path: Path) -> None:
    calls: list[str] = []
    seen: set[bool] = set()

    class Mine(SFTPTarget):
        def _lock(self, break_existing: bool = False) -> None:
            calls.append("lock")
            if passes_on:
                super()._lock(break_existing)

    class Watching(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            seen.add((place.root / ".pyftpsync-lock.json").exists())

    local = tmp_path / "local"
    (local / "d").mkdir(parents=True)
    for name in ("a", "d/b"):
        (local / name).write_text(name)
    like = place.target()
    remote = Mine(like.root_dir, str(like.host), like.port, like.username, like.password, extra_opts=QUIET)
    for _ in range(2):
        assert Watching(FsTarget(str(local)), remote, {"verbose": 0}).run() is True
    assert (calls, seen) == (["lock", "lock"], {passes_on})
    assert place.files()["d/b"] == b"d/b"
    assert not (place.root / ".pyftpsync-lock.json").exists()


# -- logging in --------------------------------------------------------------------------------------------


def test_a_key_file_needs_no_password(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    target = place.target(password=False, identity_file=str(place.keys / "user_ed25519"), verbose=4)
    target.open()
    target.close()
    assert f"Login as 'tester' (key file {place.keys}/user_ed25519)." in caplog.text


def test_a_keyring_that_is_missing_is_told_only_where_a_password_is_wanted(place: Place) -> None:
    (place.home / ".ssh" / "config").write_text(
        f"Host box\n HostName 127.0.0.1\n Port {place.server.port}\n User tester\n"
    )
    trouble = "Could not get password from keyring (NoKeyringError)"

    def draw(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", "tree", f"sftp://box{place.root}", "--no-prompt", *words],
            capture_output=True,
            encoding="utf-8",
            env={
                **os.environ,
                "HOME": str(place.home),
                "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            },
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    for words in ([], ["-q"]):
        code, out, err = draw("--identity-file", str(place.keys / "user_ed25519"), *words)
        assert code == 0 and trouble not in out + err
        code, _, err = draw(*words)
        assert code != 0 and err.count(trouble) == 1, err


def test_the_usual_key_of_the_home_folder_is_found(place: Place) -> None:
    for suffix in ("", ".pub"):
        name = f"id_ecdsa{suffix}"
        (place.home / ".ssh" / name).write_bytes((place.keys / f"user_ecdsa{suffix}").read_bytes())
        (place.home / ".ssh" / name).chmod(0o600)
    target = place.target(password=False)
    target.open()
    target.close()


@pytest.mark.parametrize("name", ["missing", "~/missing", "."])
def test_a_configuration_that_is_not_there_is_an_error(place: Place, name: str) -> None:
    """The host would be asked without what stands in it: another port, another way, another key."""
    target = make_target(place.server.url, {**QUIET, "ssh_config": name})
    with pytest.raises(ValueError, match=f"^there is no file '{name}'; check the path after --ssh-config"):
        target.open()
    assert not target.connected


@pytest.mark.parametrize("is_task", [False, True])
def test_a_configuration_may_be_below_the_home(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_task: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (place.home / "of-work").write_text(
        f"Host alias\n  HostName 127.0.0.1\n  Port {place.server.port}\n  User {place.server.user}\n"
    )
    url, words = f"sftp://alias{place.root}", ["--identity-file", str(place.keys / "user_rsa")]
    if is_task:
        (tmp_path / "pyftpsync.yaml").write_text(
            f"tasks: {{draw: {{command: tree, remote: '{url}', ssh_config: ~/of-work}}}}"
        )
        words = ["run", "draw", *words]
    else:
        words = ["tree", url, "--ssh-config=~/of-work", *words]
    place.run(*words)


def test_the_ssh_configuration_names_host_port_user_and_key(place: Place) -> None:
    (place.home / ".ssh" / "config").write_text(
        f"Host alias\n  HostName 127.0.0.1\n  Port {place.server.port}\n  User {place.server.user}\n"
        f"  IdentityFile {place.keys}/user_rsa\n"
    )
    target = make_target(f"sftp://alias{place.root}", dict(QUIET))
    target.open()
    assert target._memory_key() == f"sftp://tester@alias:{place.server.port}{place.root}"
    target.close()


def test_a_wrong_password_is_an_exception_that_tells_what_was_tried(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    target = place.target()
    target.password = "guessed"
    with pytest.raises(AuthenticationException, match="the server refused password") as caught:
        target.open()
    shown = caplog.text
    assert "Could not login to tester@127.0.0.1." in shown
    assert "guessed" not in f"{shown}{caught.value!r}"
    assert not target.connected and not target.ftp_socket_connected


def test_scripts_that_catch_the_exception_of_paramiko_catch_ours(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    paramiko = types.ModuleType("paramiko")
    theirs = type("AuthenticationException", (Exception,), {})
    paramiko.AuthenticationException = theirs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "paramiko", paramiko)
    target = place.target()
    target.password = "guessed"
    with pytest.raises(theirs) as caught:
        target.open()
    assert isinstance(caught.value, AuthenticationException)


def test_the_password_of_the_environment_is_that_of_the_user_in_the_url_or_in_the_configuration(
    place: Place, tmp_path: Path
) -> None:
    server = place.server
    config = tmp_path / "config"
    config.write_text(
        f"Host alias\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  UserKnownHostsFile {place.home}/.ssh/known_hosts\n"
    )
    given = {"PYFTPSYNC_PASSWORD": server.password}
    for name, host in (("a", f"{server.user}@127.0.0.1:{server.port}"), ("b", "alias")):
        local = tmp_path / f"local-{name}"
        local.mkdir()
        (local / name).write_text("x")
        words = ["upload", str(local), f"sftp://{host}{place.root}", "--ssh-config", str(config)]
        assert "Could not login" in place.run(*words, code=1)
        place.run(*words, **given)
        assert place.files()[name] == b"x"


def test_a_refused_password_is_asked_for_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return place.server.password if len(asked) == 2 else "guessed"

    monkeypatch.setattr(getpass, "getpass", answer)
    target = place.target(password=False, no_prompt=False)
    target.open()
    assert len(asked) == 2 and "tester@127.0.0.1" in asked[0]
    assert target.password == place.server.password
    target.close()


def test_a_refused_login_is_the_error_where_nobody_can_be_asked(place: Place) -> None:
    server = place.server
    (place.home / "local").mkdir()

    def upload(user: str) -> str:
        url, words = f"sftp://{user}@127.0.0.1:{server.port}{place.root}", ("--no-keyring", "--no-netrc")
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", "upload", str(place.home / "local"), url, *words],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "HOME": str(place.home), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    wrong = upload(f"{server.user}:guessed")
    assert "could not log in to" in wrong and "the server refused password" in wrong
    assert "There is nobody to ask for another password" in wrong and "PYFTPSYNC_PASSWORD" in wrong
    assert "guessed" not in wrong
    nothing = upload(server.user)
    assert "there is nothing to log in with" in nothing
    assert "There is nobody to ask for a password: set PYFTPSYNC_PASSWORD" in nothing


def test_the_passphrase_of_a_key_is_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["wrong", openssh.PASSPHRASE])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(answers))
    key = str(place.keys / "locked_ed25519")
    target = place.target(password=False, no_prompt=False, identity_file=key)
    target.open()
    target.close()
    assert next(answers, None) is None
    with pytest.raises(PasswordRequiredException, match="it is encrypted, and no passphrase is given"):
        place.target(password=False, identity_file=key).open()
    given = place.target(password=False, identity_file=key, passphrase=openssh.PASSPHRASE)
    given.open()
    given.close()


# -- the key of the host -----------------------------------------------------------------------------------


def test_an_unknown_host_is_refused_with_its_fingerprint(place: Place, tmp_path: Path) -> None:
    (place.home / ".ssh" / "known_hosts").unlink()
    configure(place, "HashKnownHosts no")  # Other systems have other habits.
    with pytest.raises(CliSilentRuntimeError, match=r"ssh-ed25519 SHA256:.*--no-verify-host-keys") as caught:
        place.target().open()
    assert caught.value.min_verbosity == 4
    url = f"sftp://{place.server.user}@127.0.0.1:{place.server.port}{place.root}"
    key = ("--identity-file", str(place.keys / "user_ed25519"))
    shown = place.run("upload", str(tmp_path), url, *key, code=1)
    assert "--accept-new-host-key" in shown and "SHA256:" in shown
    place.run("upload", str(tmp_path), url, *key, "--no-verify-host-keys", "-n")
    assert not (place.home / ".ssh" / "known_hosts").exists()
    place.run("upload", str(tmp_path), url, *key, "--accept-new-host-key", "-n")
    assert (place.home / ".ssh" / "known_hosts").read_text().startswith(f"[127.0.0.1]:{place.server.port} ")
    place.run("upload", str(tmp_path), url, *key, "-n")


def test_a_changed_key_is_always_refused_and_its_line_named(place: Place) -> None:
    known = place.home / ".ssh" / "known_hosts"
    stranger = (place.keys / "stranger.pub").read_text()
    known.write_text(f"# a comment\n[127.0.0.1]:{place.server.port} {stranger}")
    for options in ({}, {"accept_new_host_key": True}):
        with pytest.raises(CliSilentRuntimeError, match=rf"has changed: .*{known}, line 2"):
            place.target(**options).open()


# -- the command line --------------------------------------------------------------------------------------


def test_an_address_may_name_the_interface_behind_which_it_is(
    start_server: StartServer, tmp_path: Path
) -> None:
    both = (("ListenAddress", "127.0.0.1\nListenAddress ::1"),)
    place = make_place(start_server(servers.OpenSsh(settings=both)), tmp_path / "home")
    configure(place, f"HostKeyAlias [127.0.0.1]:{place.server.port}")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "file").write_text("x")
    # The number of the loopback interface, with the percent sign as RFC 6874 has it and as people write it.
    encoded, plain = (place.server.url.replace("127.0.0.1", address) for address in ("[::1%251]", "[::1%1]"))
    place.run("upload", str(tmp_path / "local"), encoded)
    assert place.files() == {"file": b"x"}
    assert "file" in place.run("tree", "--files", plain)
    assert make_target("ftp://[fe80::1%25eth0]:21/").host == "fe80::1%eth0"
    nowhere = place.run("tree", place.server.url.replace("127.0.0.1", "[fe80::1%25nowhere]"), code=1)
    assert 'could not find the host "fe80::1%nowhere"' in nowhere


def configure(place: Place, *lines: str) -> None:
    """Writes the configuration of ssh."""
    (place.home / ".ssh" / "config").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("setting", ["accept-new", "no", "off"])
def test_the_configuration_may_trust_new_hosts_and_a_changed_key_is_refused_all_the_same(
    place: Place, setting: str
) -> None:
    configure(place, f"StrictHostKeyChecking {setting}", "HashKnownHosts no")
    known = place.home / ".ssh" / "known_hosts"
    before = known.read_text()
    known.unlink()
    told = "was not known: ssh-ed25519 SHA256:"
    shown = place.run("tree", place.server.url)
    assert told in shown and f"It was added to {known}." in shown
    (learned,) = known.read_text().splitlines()
    assert learned in before
    assert told not in place.run("tree", place.server.url)
    known.write_text(f"[127.0.0.1]:{place.server.port} {(place.keys / 'stranger.pub').read_text()}")
    logins = place.server.output().count("Accepted password")
    shown = place.run("tree", place.server.url, code=1)
    assert "has changed" in shown and f"{known}, line 1" in shown
    assert ("StrictHostKeyChecking no of the ssh configuration" in shown) == (setting != "accept-new")
    assert place.server.output().count("Accepted password") == logins == 2


@pytest.mark.parametrize("setting", ["yes", "ask"])
def test_the_option_wins_over_a_configuration_that_trusts_no_new_hosts(place: Place, setting: str) -> None:
    configure(place, f"StrictHostKeyChecking {setting}")
    known = place.home / ".ssh" / "known_hosts"
    known.unlink()
    assert "is not known" in place.run("tree", place.server.url, code=1)
    assert not known.exists()
    assert f"It was added to {known}." in place.run("tree", place.server.url, "--accept-new-host-key")


def test_new_hosts_are_written_where_and_how_the_configuration_says(place: Place, tmp_path: Path) -> None:
    ssh, port = place.home / ".ssh", place.server.port
    known = (ssh / "known_hosts").read_text()
    (ssh / "known_hosts").unlink()
    everywhere = tmp_path / "of the machine"
    everywhere.write_text("")
    usual = ("StrictHostKeyChecking accept-new", f"GlobalKnownHostsFile '{everywhere}'")
    plain = (*usual, "HashKnownHosts no", "UserKnownHostsFile ~/.ssh/hosts/%k")
    url = place.server.url.replace("127.0.0.1", "box")
    host = ("Host box", "HostName 127.0.0.1")

    # One file for each host, as the manual of ssh suggests.
    (ssh / "hosts").mkdir()
    configure(place, *plain, *host)
    assert f"It was added to {ssh}/hosts/box." in place.run("tree", url)
    configure(place, *plain, *host, "HostKeyAlias alias")
    place.run("tree", url)
    assert (ssh / "hosts" / "box").read_text().startswith(f"[127.0.0.1]:{port} ssh-ed25519 ")
    assert (ssh / "hosts" / "alias").read_text().startswith("alias ssh-ed25519 ")

    # Nobody reads hashes.
    configure(place, *usual, "HashKnownHosts yes", *host)
    place.run("tree", url)
    assert "was not known" not in place.run("tree", url)
    assert (ssh / "known_hosts").read_text().startswith("|1|")
    found = openssh.keygen("-F", f"[127.0.0.1]:{port}", "-f", str(ssh / "known_hosts"))
    assert "ssh-ed25519" in found

    # What belongs to the machine is read, and never written.
    configure(place, *usual, "UserKnownHostsFile none", *host)
    for _ in range(2):
        assert "It is trusted, and kept nowhere." in place.run("tree", url)
    configure(place, *usual, "UserKnownHostsFile /dev/null", *host)
    assert "It was added to /dev/null." in place.run("tree", url)
    assert everywhere.read_text() == ""
    everywhere.write_text(known)
    assert "was not known" not in place.run("tree", url)


def test_tasks_know_the_options(place: Place, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "file").write_text("x")
    (tmp_path / "pyftpsync.yaml").write_text(
        "tasks:\n  send:\n    command: upload\n    local: local\n"
        f"    remote: sftp://{place.server.user}@127.0.0.1:{place.server.port}{place.root}\n"
        f"    identity_file: {place.keys}/user_ed25519\n    accept_new_host_key: true\n"
    )
    (place.home / ".ssh" / "known_hosts").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "ftpsync", "run", "send"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(place.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert (place.root / "file").read_text() == "x"


def test_scan_and_tree_know_sftp(place: Place) -> None:
    (place.root / "folder").mkdir()
    (place.root / "folder" / "file").write_text("x")
    assert "[folder]" in place.run("tree", place.server.url)
    assert "file" in place.run("scan", "--list", place.server.url)


@pytest.mark.parametrize(
    "form", ["/./{}", "/{}/.", "//{}//", "/{}/folder/..", "/{}/./folder/./../", "/{}/link/../deep"]
)
def test_scan_and_tree_take_every_spelling_of_a_root(place: Place, form: str) -> None:
    for folder in ("folder", "deep", "elsewhere/deep/sub", "elsewhere/aim"):
        (place.root / folder).mkdir(parents=True)
    (place.root / "link").symlink_to("elsewhere/aim")
    (place.root / "elsewhere/deep/sub/file").write_text("x")
    (place.root / "deep/wrong").write_text("x")
    root = str(place.root)
    url = place.server.url.replace(root, form.format(root.strip("/")))
    assert url != place.server.url
    drawn = place.run("tree", "--files", url)
    listed = place.run("scan", "--list", "--recursive", url)
    assert all("[sub]" in each and "file" in each for each in (drawn, listed))
    if "link" in form:
        assert "wrong" not in drawn + listed, "behind a link .. leads elsewhere"
    else:
        assert "[elsewhere]" in drawn and "[elsewhere]" in listed


def test_a_root_may_be_named_otherwise_by_hand(place: Place) -> None:
    (place.root / "folder").mkdir()
    (place.root / "folder" / "file").write_text("x")
    root = str(place.root)
    target = make_target(place.server.url.replace(root, f"/.{root}"), QUIET)
    assert isinstance(target, SFTPTarget)
    with target:
        assert target.sftp is not None
        target.cwd(f"{root}/folder")
        assert [entry.get_rel_path() for entry in target.get_dir()] == ["folder/file"]
        target.cwd("..")
        assert target.cur_dir == target.root_dir == f"/.{root}"
        target.sftp.cwd(f"{root}/folder")
        assert target.read_text("file") == "x"
        target.cwd("/." + root)
        for outside in ("..", "folder/../..", "/", f"{root}x"):
            with pytest.raises(RuntimeError, match="outside root"):
                target.cwd(outside)


def test_a_folder_that_is_there_cannot_be_made_again_by_hand(place: Place) -> None:
    (place.root / "file").write_text("x")
    with make_target(place.server.url, QUIET) as target:
        target.mkdir("folder")
        for name in ("folder", "file"):
            with pytest.raises(FileExistsError, match="it is there already"):
                target.mkdir(name)
        with pytest.raises(FileNotFoundError):
            target.mkdir("missing/folder")
        assert sorted(entry.name for entry in target.get_dir()) == ["file", "folder"]


def test_nothing_behind_the_port_is_one_clear_error(place: Place, tmp_path: Path) -> None:
    shown = place.run("upload", str(tmp_path), "sftp://joe:secret@127.0.0.1:9/x", code=1)
    assert "could not connect to" in shown and "secret" not in shown


# -- servers that end or refuse something --------------------------------------------------------------------


def test_a_server_that_grants_few_sessions_gets_few(start_server: StartServer, tmp_path: Path) -> None:
    place = make_place(start_server(servers.OpenSsh(settings=(("MaxSessions", "2"),))), tmp_path / "home")
    local = tmp_path / "local"
    for number in range(40):
        (local / f"{number % 7}").mkdir(parents=True, exist_ok=True)
        (local / f"{number % 7}" / f"{number}").write_bytes(os.urandom(1000 * number))
    place.run("upload", str(local), place.server.url, "--connections", "8")
    assert place.files() == {path.relative_to(local).as_posix(): path.read_bytes() for path in _files(local)}


@pytest.mark.parametrize("most", ["1", "2"])
def test_the_server_by_hand_needs_no_session_of_its_own(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    place = make_place(start_server(servers.OpenSsh(settings=(("MaxSessions", most),))), tmp_path / "home")
    monkeypatch.setenv("HOME", str(place.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    local = tmp_path / "local"
    local.mkdir()
    for name in ("one", "two", "three"):
        (local / name).write_text(f"text of {name}")
    (place.root / "site").mkdir()

    class Upload(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            done = super().on_copy_local(pair)
            self.remote.sftp.chmod(f"{place.root}/site/{pair.rel_path}", 640)
            return done

    target = place.target("/site")
    synchronizer = Upload(FsTarget(str(local)), target, {"verbose": 0})
    synchronizer.run()
    assert synchronizer.error_count() == 0
    assert place.files() == {
        f"site/{path.relative_to(local)}": path.read_bytes() for path in _files(local) if path.name[0] != "."
    }
    assert {path.stat().st_mode & 0o777 for path in _files(place.root)} == {0o640}
    # Outside a run as well, with the way back to the root of the target.
    with target:
        assert target.sftp is not None
        assert target.sftp.listdir("/") and target.sftp.listdir() == ["one", "three", "two"]
        target.sftp.putfo(io.BytesIO(b"by hand"), f"{place.root}/beside")
        assert (place.root / "beside").read_bytes() == b"by hand"
        assert sorted(entry.name for entry in target.get_dir()) == ["one", "three", "two"]


def test_a_server_without_sftp_is_one_clear_error(start_server: StartServer, tmp_path: Path) -> None:
    settings = (("Subsystem", "other /bin/false"),)
    place = make_place(start_server(servers.OpenSsh(settings=settings)), tmp_path / "home")
    shown = place.run("tree", place.server.url, code=1)
    assert "the server offers no SFTP" in shown and 'subsystem "sftp"' in shown


def test_a_run_survives_that_its_connection_is_killed(place: Place, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.mkdir()
    for number in range(6):
        (local / f"large {number}").write_bytes(os.urandom(30_000_000))
    killed: list[int] = []

    def kill_sessions() -> None:
        deadline = time.monotonic() + 30
        while not killed and time.monotonic() < deadline:
            time.sleep(0.02)
            if any(path.name.startswith(".pyftpsync-tmp-") for path in place.root.iterdir()):
                for pid in place.server.sessions():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill_sessions)
    killer.start()
    shown = place.run("upload", str(local), place.server.url)
    killer.join()
    assert killed, "the run was over before anything could be killed"
    assert place.files() == {path.name: path.read_bytes() for path in _files(local)}, shown


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".pyftpsync-")]


# -- Defects of 4.1 --------------------------------------------------------------------------------


def test_d32_a_server_that_says_nothing_ends_in_an_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = SFTPTarget(
            "/", "127.0.0.1", mute.getsockname()[1], "joe", "secret", timeout=1, extra_opts=QUIET
        )
        with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
            target.open()
    assert not target.connected
    assert "secret" not in str(caught.value)


def test_d35_bytes_sent_by_sftp_are_counted(place: Place, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "file").write_bytes(b"x" * 12_345)
    synchronizer = UploadSynchronizer(FsTarget(str(tmp_path / "local")), place.target(), {"verbose": 0})
    synchronizer.run()
    stats = synchronizer.get_stats()
    assert stats["upload_bytes_written"] == stats["bytes_written"] == 12_345
