"""Lines that drip, break and go silent on the way to a server, and a disk that has no room left."""

from __future__ import annotations

import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from small_servers import Small, ftp_server

LARGE = 400_000


class Rough:
    """A relay for one port: everything passes through `treat`, which gets the count of bytes so far and a piece."""

    def __init__(self, target: int, piece: int, treat: Callable[[int, bytes], bytes | None]) -> None:
        self.target, self.piece, self.treat = target, piece, treat
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, True), daemon=True).start()

    def pass_on(self, source: socket.socket, sink: socket.socket, is_treated: bool) -> None:
        passed = 0
        try:
            while piece := source.recv(self.piece):
                treated = self.treat(passed, piece) if is_treated else piece
                if treated is None:
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                sink.sendall(treated)
                passed += len(piece)
        except OSError:
            pass
        source.close()
        sink.close()


@contextmanager
def rough(server: Small, piece: int, treat: Callable[[int, bytes], bytes | None]) -> Iterator[str]:
    relay = Rough(server.port, piece, treat)
    try:
        yield f"ftp://joe:pass-word@127.0.0.1:{relay.port}/"
    finally:
        relay.listener.close()


class Sides:
    def __init__(self, folder: Path) -> None:
        self.local, self.remote = folder / "local", folder / "remote"
        self.local.mkdir()
        self.remote.mkdir()
        (self.local / "mine").write_text("mine")
        (self.remote / "theirs").write_text("theirs")

    def run(
        self, verb: str, url: str, *options: str, room: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ftpsync", verb, str(self.local), url, "--timeout", "1", *options]

        def limit() -> None:
            if room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=limit,
            stdin=subprocess.DEVNULL,
        )

    def contents(self) -> list[dict[str, bytes]]:
        return [
            {path.name: path.read_bytes() for path in side.iterdir() if ".pyftpsync-" not in path.name}
            for side in (self.local, self.remote)
        ]

    def litter(self) -> list[str]:
        return [
            path.name for side in (self.local, self.remote) for path in side.iterdir() if "-tmp-" in path.name
        ]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


@pytest.fixture
def server(sides: Sides) -> Iterator[Small]:
    with ftp_server(sides.remote) as small:
        yield small


def test_row_80_replies_one_byte_at_a_time(sides: Sides, server: Small) -> None:
    with rough(server, 1, lambda _, piece: piece) as url:
        done = sides.run("sync", url)
    assert done.returncode == 0, done.stdout + done.stderr
    local, remote = sides.contents()
    assert local == remote == {"mine": b"mine", "theirs": b"theirs"}


@pytest.mark.parametrize("after", [0, 200])
def test_row_75_a_line_that_breaks_again_and_again(sides: Sides, server: Small, after: int) -> None:
    before = sides.contents()
    with rough(server, 16, lambda passed, piece: None if passed >= after else piece) as url:
        done = sides.run("sync", url)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert sides.contents() == before
    again = sides.run("sync", server.url)
    assert again.returncode == 0, again.stdout + again.stderr
    local, remote = sides.contents()
    assert local == remote == {"mine": b"mine", "theirs": b"theirs"}


@pytest.mark.parametrize("after", [60])
def test_row_78_a_line_that_goes_silent(sides: Sides, server: Small, after: int) -> None:
    def silence(passed: int, piece: bytes) -> bytes:
        return b"" if passed >= after else piece

    before = sides.contents()
    begun = time.monotonic()
    with rough(server, 16, silence) as url:
        done = sides.run("sync", url)
    assert done.returncode == 1, done.stdout
    assert time.monotonic() - begun < 60
    assert sides.contents() == before


def test_rows_17_and_19_no_room_for_a_download(sides: Sides, server: Small) -> None:
    (sides.remote / "large").write_bytes(b"y" * LARGE)
    (sides.local / "large").write_bytes(b"old")
    done = sides.run("download", server.url, "--force", room=LARGE // 2)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "large" in done.stdout + done.stderr
    assert (sides.local / "large").read_bytes() == b"old"
    assert (sides.local / "theirs").read_text() == "theirs", "others go on"
    assert sides.litter() == []


def test_row_18_no_room_for_metadata(sides: Sides, server: Small) -> None:
    assert sides.run("sync", server.url).returncode == 0
    meta = sides.local / ".pyftpsync-meta.json"
    old = meta.read_bytes()
    for number in range(40):
        (sides.remote / f"new{number}").write_text("x")
    done = sides.run("sync", server.url, room=len(old) + 100)
    assert done.returncode == 1, done.stdout
    assert ".pyftpsync-meta.json" in done.stderr
    assert meta.read_bytes() == old
    assert sides.litter() == []
    again = sides.run("sync", server.url)
    assert again.returncode == 0, again.stdout + again.stderr
    assert sides.run("sync", server.url).returncode == 0
