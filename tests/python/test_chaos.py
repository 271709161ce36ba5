"""Lines to real servers that break at any byte, stall, fall silent and change a bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import servers
from chaos import Chaos, Plan, Trouble, chaos, weather
from effort import is_thorough
from rough import contents
from server_worlds import Result, World, make_world
from servers import Kind
from servers.base import StartServer

FTP = [pytest.param(kind, id=kind.name) for kind in servers.ALL]
EVERY = [pytest.param(kind, id=kind.name) for kind in servers.EVERY]
LARGE = b"0123456789abcde\n" * 40_000


class Rough:
    """Two folders and a server behind a relay. All runs go through it, so that they know each other."""

    def __init__(self, world: World, relay: Chaos) -> None:
        self.world, self.relay = world, relay
        self.local, self.remote = world.local, world.remote
        self.url = world.url.replace(f":{world.server.port}/", f":{relay.port}/")

    def calm(self, verb: str, *options: str) -> str:
        self.relay.plan = lambda number, is_data: Trouble()
        return str(self.run(verb, *options, code=0))

    def in_trouble(self, plan: Plan, verb: str, *options: str) -> tuple[int, str]:
        self.relay.plan, self.relay.connections, self.relay.happened = plan, 0, 0
        done = self.run(verb, "--timeout", "2", *options, code=None)
        assert done.code in (0, 1) and "Traceback" not in done.err, done
        return done.code, str(done)

    def run(self, verb: str, *options: str, code: int | None) -> Result:
        is_sftp = self.world.server.kind.scheme == "sftp"
        known = ("--no-verify-host-keys",) if is_sftp else ()
        return self.world.run(verb, *known, *options, url=self.url, code=code)


@contextmanager
def rough(kind: Kind, start_server: StartServer, folder: Path) -> Iterator[Rough]:
    folder.mkdir(exist_ok=True)
    world = make_world(start_server(kind), folder)
    with chaos(world.server.port) as relay:
        yield Rough(world, relay)


def fill(at: Rough) -> None:
    """Two sides that were in step, and of which each has edits that the other lacks."""
    for name in ("same", "mine", "theirs", "sub/mine", "sub/theirs"):
        path = at.local / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"old {name}")
    at.calm("sync")
    for side, what in ((at.local, "mine"), (at.remote, "theirs")):
        (side / what).write_text(f"edited {what}")
        (side / "sub" / what).write_bytes(LARGE + what.encode())
        (side / f"new {what}").mkdir()
        for number in range(4):
            (side / f"new {what}" / f"{number}").write_bytes(f"new {what} {number} ".encode() * 500)


@pytest.mark.parametrize("kind", EVERY)
def test_rows_64_and_75_lines_that_break_at_any_byte_leave_each_file_old_or_new(
    kind: Kind, start_server: StartServer, tmp_path: Path
) -> None:
    happened = 0
    # Over SSH all goes through one connection, and the login alone takes some thousand bytes.
    usual = {"control": 100_000, "share": 0.9} if kind.scheme == "sftp" else {}
    for seed in range(30 if is_thorough() else 1):
        with rough(kind, start_server, tmp_path / str(seed)) as at:
            fill(at)
            before = [contents(side) for side in (at.local, at.remote)]
            good = {**before[0], **before[1], **{name: before[0][name] for name in ("mine", "sub/mine")}}
            for attempt in range(2):
                code, told = at.in_trouble(weather(1000 * seed + attempt, **usual), "sync", "--break-lock")
                happened += at.relay.happened
                for old, side in zip(before, (at.local, at.remote), strict=True):
                    now = contents(side)
                    assert old.keys() <= now.keys(), f"seed {seed}: something was lost: {told}"
                    for name, body in now.items():
                        assert body in (old.get(name), good[name]), f"seed {seed}: {name} is half: {told}"
                if code == 0:
                    break
            again = at.calm("sync", "--break-lock")
            assert contents(at.local) == contents(at.remote) == good, f"seed {seed}: {again}"
            assert "conflict" not in again.lower(), f"seed {seed}: {again}"
            at.world.server.stop()
    assert happened > 0, "nothing went wrong"


@pytest.mark.parametrize("kind", EVERY)
def test_row_68_a_transfer_that_stalls_is_given_up_and_done_again(
    kind: Kind, start_server: StartServer, tmp_path: Path
) -> None:
    with rough(kind, start_server, tmp_path) as at:
        (at.remote / "large").write_bytes(LARGE)
        (at.local / "large").write_bytes(b"old")

        def plan(_: int, is_data: bool) -> Trouble:
            # Beyond any listing, and in the middle of the file.
            is_meant = (is_data or kind.scheme == "sftp") and at.relay.happened == 0
            return Trouble("stall", 100_000) if is_meant else Trouble()

        code, told = at.in_trouble(plan, "download", "--force", "--connections", "1")
        assert at.relay.happened == 1, told
        assert (code, (at.local / "large").read_bytes() == LARGE) == (0, True), told
        assert not list(at.local.glob("*-tmp-*")), told


@pytest.mark.parametrize("kind", FTP)
def test_row_79_a_conversation_that_a_router_has_forgotten_does_not_cost_the_upload(
    kind: Kind, start_server: StartServer, tmp_path: Path
) -> None:
    with rough(kind, start_server, tmp_path) as at:
        for number in range(30):
            (at.local / f"small {number}").write_text("x")
        (at.local / "large").write_bytes(LARGE)

        def plan(_: int, is_data: bool) -> Trouble:
            # Mute from a moment on at which files are under way.
            return Trouble() if is_data or at.relay.happened else Trouble("mute", 3_000)

        code, told = at.in_trouble(plan, "upload", "--connections", "1")
        assert at.relay.happened == 1, told
        assert code == 0, told
        assert contents(at.remote) == contents(at.local)


@pytest.mark.parametrize("kind", EVERY)
def test_row_105_a_bit_that_flips_does_not_get_into_a_file(
    kind: Kind, start_server: StartServer, tmp_path: Path
) -> None:
    """With FTP by `--verify`; over SSH the connection ends, and the file is fetched again."""
    with rough(kind, start_server, tmp_path) as at:
        (at.remote / "large").write_bytes(LARGE)
        (at.local / "large").write_bytes(b"old")

        def plan(_: int, is_data: bool) -> Trouble:
            is_meant = (is_data or kind.scheme == "sftp") and at.relay.happened == 0
            return Trouble("flip", 100_000) if is_meant else Trouble()

        code, told = at.in_trouble(plan, "download", "--force", "--verify", "--connections", "1")
        assert at.relay.happened == 1, told
        body = (at.local / "large").read_bytes()
        assert (code, body == b"old", body == LARGE) in ((1, True, False), (0, False, True)), told
        at.calm("download", "--force", "--verify")
        assert (at.local / "large").read_bytes() == LARGE
