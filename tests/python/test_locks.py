"""The lock file on real servers: processes that meet, die and are stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

import servers
from ftpsync import pyftpsync
from ftpsync.ftp_target import FTPTarget
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from servers import Server, openssh
from servers.base import StartServer
from waiting import wait_for

LOCK = ".pyftpsync-lock.json"
QUIET = ("--no-prompt", "--no-keyring", "--no-netrc", "--no-color")
LONG_AGO = 1_577_934_245


@dataclass(frozen=True)
class World:
    """A local folder, the root of a server, and an empty home."""

    local: Path
    server: Server
    home: Path

    @property
    def remote(self) -> Path:
        return self.server.root

    @property
    def lock(self) -> Path:
        return self.remote / LOCK

    def command(self, command: str, *options: str) -> list[str]:
        places = [self.server.url] if command in ("scan", "tree") else [str(self.local), self.server.url]
        tls = ["--tls-ca", str(self.server.ca)] if self.server.ca else []
        return [sys.executable, "-m", "ftpsync", command, *places, *QUIET, *tls, *options]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "PYTHONIOENCODING": "utf-8"}

    def run(self, command: str, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(command, *options),
            capture_output=True,
            encoding="utf-8",
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (
            f"{done.args[3:]}\n{done.stdout}\n{done.stderr}\n{self.server.output()[-2000:]}"
        )
        return done

    @contextmanager
    def at_work(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """A run that holds the lock, because it asks about a conflict."""
        put(self.local, "asked", "here")
        put(self.remote, "asked", "over there")
        process = subprocess.Popen(
            self.command("sync", "--resolve", "ask", *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**self.environment(), "PYTHONUNBUFFERED": "1"},
            cwd=self.home,
        )
        try:
            assert process.stdout
            told = ""
            while "Use Local" not in told:
                char = process.stdout.read(1)
                assert char, f"{told}\n{process.communicate()[1]}"
                told += char
            wait_for(lambda: holder_of(self.lock) is not None)
            yield process
        finally:
            process.kill()
            process.communicate()

    def leave_lock(self, age: float, holder: Any = None) -> str:
        written = time.time() - age
        text = json.dumps({"lock_time": written, "lock_holder": holder})
        self.lock.write_text(text)
        os.utime(self.lock, (written, written))
        return text


def put(root: Path, name: str, body: str = "body") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def holder_of(lock: Path) -> dict[str, Any] | None:
    """Who holds the lock; None while there is none, or it is being written."""
    try:
        holder: dict[str, Any] = json.loads(lock.read_text())["lock_holder"]
    except (OSError, ValueError):
        return None
    return holder


def make_world(server: Server, tmp_path: Path) -> World:
    world = World(tmp_path / "local", server, tmp_path / "home")
    world.local.mkdir()
    world.home.mkdir()
    openssh.make_known(server, world.home)
    return world


@pytest.fixture
def world(any_server: Server, tmp_path: Path) -> World:
    """Once for each kind of server."""
    return make_world(any_server, tmp_path)


@pytest.fixture
def one_world(pyftpdlib_server: Server, tmp_path: Path) -> World:
    return make_world(pyftpdlib_server, tmp_path)


# -- Two runs at once --------------------------------------------------------------------------------


def test_a_second_run_is_refused_and_names_the_first(world: World) -> None:
    with world.at_work() as first:
        holder = holder_of(world.lock)
        assert holder is not None
        assert (holder["host"], holder["process"]) == (socket.gethostname(), first.pid)
        put(world.local, "later")
        for command in ("sync", "upload"):
            refused = world.run(command, code=1)
            told = refused.stderr.strip().splitlines()
            assert told[0] == "ERROR:", refused.stderr
            assert f"process {first.pid} on {socket.gethostname()} is at work there" in refused.stderr
            assert "--break-lock" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert len(told) == 2
        assert not (world.remote / "later").exists()
        assert holder_of(world.lock) == holder
        first.communicate("s\n", timeout=30)
        assert first.returncode == 0
    assert not world.lock.exists()
    world.run("sync", "--resolve", "skip")
    assert (world.remote / "later").exists()
    assert not world.lock.exists()


def test_with_tls_as_well(start_server: StartServer, tmp_path: Path) -> None:
    world = make_world(start_server(servers.PYFTPDLIB, tls=True), tmp_path)
    with world.at_work() as first:
        assert f"process {first.pid} on " in world.run("upload", code=1).stderr
    assert "that process has ended" in world.run("upload", "--resolve", "skip").stdout


def test_what_only_reads_or_only_looks_goes_on(one_world: World) -> None:
    world = one_world
    with world.at_work():
        before = world.lock.read_bytes()
        world.run("download", "--resolve", "skip")
        world.run("sync", "-n", "--resolve", "skip")
        world.run("scan")
        world.run("tree")
        assert world.lock.read_bytes() == before


def test_after_a_run_was_killed_the_next_one_starts_at_once(world: World) -> None:
    with world.at_work() as first:
        first.kill()
        first.wait()
    assert world.lock.exists()
    done = world.run("sync", "--resolve", "skip")
    line = f"Took over the lock of process {first.pid} on {socket.gethostname()}: that process has ended."
    assert line in done.stdout.splitlines()
    assert not world.lock.exists()


def test_break_lock_takes_over(one_world: World) -> None:
    world = one_world
    put(world.local, "a")
    with world.at_work() as first:
        done = world.run("sync", "--break-lock", "--resolve", "skip")
        assert f"Took over the lock of process {first.pid} on " in done.stdout
        assert "as --break-lock asks." in done.stdout
        assert not world.lock.exists()


def test_a_lost_lock_ends_the_run_before_it_does_what_was_answered(one_world: World) -> None:
    """The lock is renewed every fifth of its age: of a second, that is soon."""
    world = one_world
    with world.at_work("--lock-age", "1") as first:
        written = world.lock.read_text()
        wait_for(lambda: holder_of(world.lock) is not None and world.lock.read_text() != written)
        theirs = json.dumps({"lock_time": time.time(), "lock_holder": {"host": "web9", "process": 12}})
        while holder_of(world.lock) != {"host": "web9", "process": 12}:
            world.lock.write_text(theirs)  # A renewal may just have been on its way.
            time.sleep(0.5)
        _, told = first.communicate("l\n", timeout=30)
        assert first.returncode == 1
    assert "process 12 on web9 has taken the lock over; nothing more is changed" in told
    assert (world.remote / "asked").read_text() == "over there"
    assert world.lock.read_text() == theirs


def test_ctrl_c_removes_the_lock(world: World) -> None:
    with world.at_work() as first:
        started = time.monotonic()
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        assert first.returncode == 3
        assert time.monotonic() - started < 15
    assert not world.lock.exists()


# -- Locks that are found --------------------------------------------------------------------------


def test_a_lock_of_release_4_1_is_honoured_while_it_is_fresh(one_world: World) -> None:
    world = one_world
    put(world.local, "a")
    text = world.leave_lock(30.0)
    left = time.monotonic()
    refused = world.run("upload", code=1)
    assert "a program that does not tell its name is at work there" in refused.stderr
    told = re.search(r"written (\d+) seconds ago", refused.stderr)
    assert told is not None and 30 <= int(told[1]) <= 31 + time.monotonic() - left, refused.stderr
    assert world.lock.read_text() == text
    done = world.run("upload", "--lock-age", "20")
    assert "Took over the lock of a program that does not tell its name: it was written 3" in done.stdout
    world.leave_lock(1000.0)
    assert "it was written 16 minutes ago." in world.run("upload").stdout
    assert not world.lock.exists()
    assert (world.remote / "a").exists()


def test_an_empty_lock_file_counts_by_its_time(world: World) -> None:
    put(world.local, "a")
    world.lock.write_text("")
    assert "is at work there" in world.run("upload", code=1).stderr
    # Nobody writes a lock for so long, by the clock of the server; one that says who holds it would still count.
    some_minutes_ago = time.time() - 300
    os.utime(world.lock, (some_minutes_ago, some_minutes_ago))
    assert (
        "Took over the lock of a program that does not tell its name: it was " in world.run("upload").stdout
    )
    assert [path.name for path in world.remote.iterdir() if path.name.startswith(".pyftpsync-tmp")] == []
    assert not world.lock.exists()


def test_where_it_cannot_be_written_the_run_goes_on(world: World) -> None:
    world.lock.mkdir()
    put(world.local, "a")
    done = world.run("upload")
    assert "Could not write lock file: " in done.stderr + done.stdout
    assert (world.remote / "a").exists()
    assert world.lock.is_dir()


def test_nothing_is_written_where_nothing_is_changed(one_world: World) -> None:
    world = one_world
    put(world.local, "a")
    put(world.remote, "b")
    world.run("download")
    world.run("upload", "-n")
    world.run("sync", "-n")
    world.run("scan")
    world.run("tree")
    _, remote = both(world)
    remote.open()
    remote.get_dir()
    remote.close()
    assert LOCK not in world.server.output()
    world.run("upload")
    assert LOCK in world.server.output(), "the log would have shown it"


def test_a_lock_is_never_synchronised(one_world: World) -> None:
    world = one_world
    world.leave_lock(1e6)
    put(world.remote, f"sub/{LOCK}", "{}")
    put(world.remote, "sub/a")
    put(world.local, LOCK, "{}")
    world.run("sync")
    assert [path.name for path in world.local.rglob(LOCK)] == [LOCK]
    assert (world.local / LOCK).read_text() == "{}"
    assert (world.local / "sub" / "a").exists()


def test_scan_removes_locks_and_metadata(world: World) -> None:
    names = [
        f"{folder}{name}" for folder in ("", "sub/", "sub/deep/") for name in (LOCK, ".pyftpsync-meta.json")
    ]
    for name in names:
        put(world.remote, name, '{"_file_version": 3, "mtimes": {}, "peer_sync": {}}')
    put(world.remote, "sub/deep/keep")

    def deleted(*options: str) -> list[str]:
        out = world.run("scan", "-r", *options).stdout
        root = urlparse(world.server.url).path.rstrip("/")
        start = f"DELETE {root}/"
        return sorted(line.removeprefix(start) for line in out.splitlines() if line.startswith("DELETE "))

    locks = [name for name in names if name.endswith(LOCK)]
    assert deleted("-n", "--remove-locks") == sorted(locks)
    assert all((world.remote / name).exists() for name in names)
    assert deleted("--remove-locks") == sorted(locks)
    assert [name for name in names if (world.remote / name).exists()] == [n for n in names if n not in locks]
    assert deleted("--remove-meta") == sorted(set(names) - set(locks))
    assert [path.name for path in world.remote.rglob("*") if path.is_file()] == ["keep"]


# -- In a script -----------------------------------------------------------------------------------


def both(world: World) -> tuple[FsTarget, Any]:
    remote = make_target(world.server.url, {"no_prompt": True, "no_keyring": True, "no_netrc": True})
    return FsTarget(str(world.local)), remote


def test_the_target_tells_about_its_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(world.home))
    put(world.local, "a")
    local, remote = both(world)
    seen: list[Any] = []

    class Curious(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            seen.append((self.remote.lock_data, self.remote.lock_write_time))  # type: ignore[attr-defined]
            seen.append(json.loads(world.lock.read_text()))

    assert remote.lock_data is None
    Curious(local, remote, {"verbose": 0}).run()
    (data, written), on_disk = seen
    assert data == on_disk
    assert data["lock_holder"]["process"] == os.getpid()
    assert abs(written - data["lock_time"]) < 10
    assert remote.lock_data is None
    assert remote.lock_write_time is None
    assert remote.server_time_ofs is not None
    assert abs(remote.server_time_ofs) < 3


@pytest.mark.parametrize("passes_on", [False, True])
def test_a_subclass_may_leave_the_lock_out(passes_on: bool, one_world: World) -> None:
    calls: list[str] = []
    seen: set[bool] = set()

    class Mine(FTPTarget):
        def _lock(self, break_existing: bool = False) -> None:
            calls.append("lock")
            if passes_on:
                super()._lock(break_existing)

    class Watching(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            seen.add(one_world.lock.exists())

    for name in ("a", "d/b"):
        put(one_world.local, name)
    like = make_target(one_world.server.url)
    remote = Mine("/", like.host, like.port, like.username, like.password)
    for _ in range(2):
        assert Watching(FsTarget(str(one_world.local)), remote, {"verbose": 0}).run() is True
    assert (calls, seen) == (["lock", "lock"], {passes_on})
    assert (one_world.remote / "d/b").read_text() == (one_world.local / "d/b").read_text()
    assert not one_world.lock.exists()


def test_the_offset_of_the_server_is_told_in_detail(one_world: World) -> None:
    lines = one_world.run("upload", "-v").stdout.splitlines()
    assert [line.split(":")[0] for line in lines if "time offset" in line] == ["Server time offset"]
    assert "time offset" not in one_world.run("upload").stdout


def test_a_lock_that_cannot_be_written_is_false(one_world: World) -> None:
    one_world.lock.mkdir()
    local, remote = both(one_world)
    seen: list[Any] = []

    class Curious(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            seen.append(self.remote.lock_data)  # type: ignore[attr-defined]

    put(one_world.local, "a")
    Curious(local, remote, {"verbose": 0}).run()
    assert seen == [False]


def test_both_sides_are_locked_where_both_are_servers(start_server: StartServer, tmp_path: Path) -> None:
    one, other = (start_server(servers.PYFTPDLIB) for _ in range(2))
    put(one.root, "a")
    targets = [make_target(server.url) for server in (one, other)]
    for target in targets:
        target.extra_opts.update(no_prompt=True, no_keyring=True, no_netrc=True)
    BiDirSynchronizer(*targets, {"verbose": 0}).run()
    assert all(server.output().count(LOCK) > 0 for server in (one, other))
    assert (other.root / "a").exists()
    assert not any((server.root / LOCK).exists() for server in (one, other))
    before = one.output().count(LOCK)
    put(one.root, "b")
    UploadSynchronizer(*targets, {"verbose": 0}).run()
    assert one.output().count(LOCK) == before, "it was only read"


# -- Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("lock_age", value) for value in ("900", True, 0, -5, float("nan"), float("inf"), [1])),
        *(("break_lock", value) for value in ("yes", 1, 0, [])),
    ],
)
def test_a_wrong_option_fails_clearly(tmp_path: Path, key: str, value: Any) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for kind in (BiDirSynchronizer, DownloadSynchronizer):
        (tmp_path / kind.__name__).mkdir()
        targets = [FsTarget(str(tmp_path / kind.__name__)), FsTarget(str(place))]
        with pytest.raises(ValueError, match=f"invalid option {key}: "):
            kind(*targets, {key: value, "verbose": 0}).run()


@pytest.mark.parametrize("options", [("--lock-age", "0"), ("--lock-age", "soon"), ("--lock-age", "nan")])
def test_a_wrong_argument_is_a_usage_error(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pyftpsync", "upload", "a", "b", *options])
    with pytest.raises(SystemExit, match="2"):
        pyftpsync.run()
    assert "expected a number of seconds, at least 1" in capsys.readouterr().err


def test_tasks_know_the_options_and_the_command_line_overrides_them(one_world: World) -> None:
    world = one_world
    put(world.local, "a")

    def run(settings: str, *options: str, code: int) -> str:
        (world.local / "pyftpsync.yaml").write_text(
            f"tasks:\n  up: {{command: upload, remote: '{world.server.url}', local: ., {settings}}}\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", "run", "up", *QUIET, *options],
            capture_output=True,
            encoding="utf-8",
            env=world.environment(),
            cwd=world.local,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    world.leave_lock(30.0)
    assert "is at work there" in run("lock_age: 600", code=1)
    assert "Invalid entry: tasks.up.lock_age: 'ten'" in run("lock_age: ten", code=2)
    assert "Invalid entry: tasks.up.break_lock: 'yes please'" in run("break_lock: yes please", code=2)
    assert "it was written 3" in run("lock_age: 600", "--lock-age", "10", code=0)
    world.leave_lock(1.0)
    assert "as --break-lock asks" in run("break_lock: true", code=0)
    world.leave_lock(1.0)
    assert "as --break-lock asks" in run("lock_age: 600", "--break-lock", code=0)
    assert not world.lock.exists()
