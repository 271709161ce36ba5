"""The exit codes of real runs: 0 all done, 1 an error, 2 usage, 10 problems that were asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rough import Sides, nobody
from small_servers import ftp_server


def nothing(sides: Sides) -> None:
    pass


def copy_error(sides: Sides) -> None:
    (sides.local / "closed").write_text("may not be read")
    (sides.local / "closed").chmod(0)


def closed_folder(sides: Sides) -> None:
    (sides.local / "closed").mkdir(0o555)
    (sides.remote / "closed").mkdir()
    (sides.remote / "closed" / "new").write_text("nowhere to be put")


def conflict(sides: Sides) -> None:
    for side in (sides.local, sides.remote):
        (side / "both").write_text(f"edited in {side.name}")


def clash(sides: Sides) -> None:
    (sides.local / "name").write_text("file")
    (sides.remote / "name").mkdir()
    (sides.remote / "name" / "in").write_text("folder")


def mass_deletion(sides: Sides) -> None:
    for path in sides.local.glob("[!.]*"):
        path.unlink()


def deep(sides: Sides) -> None:
    (sides.local / "one/two").mkdir(parents=True)
    (sides.local / "one/two/file").write_text("deep")


ZERO, PROBLEMS = "--exit-zero-on-copy-errors", "--report-problems"


@pytest.mark.parametrize(
    ("happens", "options", "code"),
    [
        (nothing, (), 0),
        (nothing, (PROBLEMS,), 0),
        (copy_error, (), 1),
        (copy_error, (ZERO,), 0),
        (copy_error, (PROBLEMS,), 10),
        (closed_folder, (), 1),
        (closed_folder, (ZERO,), 0),
        (closed_folder, (PROBLEMS,), 10),
        # Nobody can be asked: that is an error, unless it was said what to do then.
        (conflict, (), 1),
        (conflict, (PROBLEMS,), 10),
        (conflict, ("--resolve", "skip"), 0),
        (conflict, ("--resolve", "skip", PROBLEMS), 10),
        (conflict, ("--resolve", "local", PROBLEMS), 0),
        (clash, (), 1),
        (clash, (ZERO,), 1),
        (mass_deletion, (), 1),
        (mass_deletion, (ZERO,), 1),
        (mass_deletion, ("--allow-mass-delete",), 0),
        (deep, ("--max-depth", "2"), 0),
        (deep, ("--max-depth", "1"), 1),
        (nothing, ("--no-such-option",), 2),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    tmp_path: Path, happens: Callable[[Sides], None], options: tuple[str, ...], code: int
) -> None:
    sides = Sides(tmp_path)
    (sides.local / "both").write_text("old")
    os.utime(sides.local / "both", (1.6e9, 1.6e9))
    with ftp_server(sides.remote) as server:
        assert sides.run("sync", server.url).returncode == 0
        happens(sides)
        done = sides.run("sync", server.url, *options, launcher=nobody(sides))
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
