"""Lines that drip, break and go silent on the way to a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rough import Sides, Treatment, relayed
from small_servers import LOGIN, Small


@contextmanager
def rough(server: Small, piece: int, treat: Treatment) -> Iterator[str]:
    with relayed(server.port, piece, treat) as port:
        yield f"ftp://{LOGIN}@127.0.0.1:{port}/"


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
