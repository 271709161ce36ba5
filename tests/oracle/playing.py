"""Plays scenarios of the command line, and says what could be seen after each step.

Each play of a scenario (see `scenario.py`) has a home of its own, with a local folder in it, and a folder of its own
on a server. What differs from play to play (paths, ports, clocks) is taken out; what is left is an outcome:

    exit             the exit code
    stdout, stderr   lines, in alphabetical order: the order of listings is free
    first, last      the first and the last line of stdout
    local, remote    the trees: "folder" or [size, content, time]; a time that metadata tells goes before the server's
    meta             what the metadata files hold
    stats            the statistics, where they are shown
    progress         whether progress was shown
    talk             whether the conversation with the server was shown
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import Environment
from looking import Look
from running import DEADLINE, PASSWORD, USER, ftp_server
from scenario import File, Scenario, Step
from terminal import converse

SITE = "site"
ALTERED = Path(__file__).with_name("altered.py")
#: The exit code of a program that had to be ended.
HANGS = -99
#: Times below are seconds since the play began.
EARLIEST = 1_000_000_000

Outcome = dict[str, Any]


@dataclass
class Servers:
    """The servers of one environment: one for each set of abilities, shared by all scenarios."""

    python: Environment
    root: Path
    running: ExitStack
    known: dict[tuple[str, ...], tuple[Path, int]] = field(default_factory=dict)

    def with_options(self, options: tuple[str, ...]) -> tuple[Path, int]:
        """Returns what a server with these options serves, and its port."""
        if options not in self.known:
            served = self.root / f"server{len(self.known)}" / "served"
            served.mkdir(parents=True)
            port = self.running.enter_context(ftp_server(self.python, served, *options))
            self.known[options] = (served, port)
        return self.known[options]


@contextmanager
def servers(python: Environment, root: Path) -> Iterator[Servers]:
    with ExitStack() as running:
        yield Servers(python, root, running)


@dataclass
class Stage:
    """Where one scenario is played in one environment."""

    environment: Environment
    home: Path
    local: Path
    remote: Path
    address: str
    more: Mapping[str, str]
    altered: Sequence[str]
    began: float = field(default_factory=time.time)

    @property
    def places(self) -> dict[str, Path]:
        return {"local": self.local, "remote": self.remote, "home": self.home}

    def fill(self, text: str) -> str:
        """Puts the places of this play into an argument, a script or a file."""
        server = self.address.split("/")[0]
        for name, value in {
            "{local}": str(self.local),
            "{home}": str(self.home),
            "{url}": f"ftp://{USER}:{PASSWORD}@{self.address}",
            "{address}": self.address,
            "{port}": server.split(":")[1],
            "{path}": self.address.removeprefix(server),
            "{ftp_target}": "FTPTarget" if self.environment.name == "4.1.0" else "FtpTarget",
        }.items():
            text = text.replace(name, value)
        return text


def play(
    scenario: Scenario,
    environment: Environment,
    available: Servers,
    root: Path,
    more: Mapping[str, str],
    altered: Sequence[str] = (),
) -> list[Outcome]:
    """Returns what could be seen after each step, of a package as it is or altered as `altered.py` can."""
    served, port = available.with_options(scenario.server)
    home = root / scenario.folder / "home"
    stage = Stage(
        environment,
        home,
        home / "work",
        served / scenario.folder / SITE,
        f"127.0.0.1:{port}/{scenario.folder}/{SITE}",
        more,
        altered,
    )
    stage.local.mkdir(parents=True)
    stage.remote.mkdir(parents=True)
    for side, tree in (("local", scenario.local), ("remote", scenario.remote), ("home", scenario.home)):
        for path, node in tree.items():
            put(stage, side, path, node)
    return [take(stage, step) for step in scenario.steps]


def put(stage: Stage, side: str, path: str, node: File | None) -> None:
    full = stage.places[side] / path
    if node is None:
        full.mkdir(parents=True, exist_ok=True)
        return
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(stage.fill(node.text).encode())
    when = node.when if node.when > EARLIEST else stage.began + node.when
    os.utime(full, (when, when))
    if full.name == ".netrc":
        full.chmod(0o600)  # Others are not believed.


def remove(stage: Stage, side: str, path: str) -> None:
    full = stage.places[side] / path
    if full.is_dir():
        shutil.rmtree(full)
    else:
        full.unlink()


def take(stage: Stage, step: Step) -> Outcome:
    """One step: the edits, the command, and a look at everything."""
    for side, path, *node in step.edits:
        if node:
            put(stage, side, path, node[0])
        else:
            remove(stage, side, path)
    code, out, err = run(stage, step)
    look = Look(stage.places, stage.address, stage.began)
    return {"exit": code, **look.words(out, err), **look.things()}


def run(stage: Stage, step: Step) -> tuple[int, str, str]:
    """Runs the command of a step; returns the exit code and what was written."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" or stage.environment.name == "ours"
    }
    variables |= {
        "HOME": str(stage.home),
        "USERPROFILE": str(stage.home),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "500",
        "TERM": "xterm",
        "TZ": "UTC",
        **stage.more,
    }
    command = command_of(stage, step)
    where = stage.places[step.at] / step.folder
    if step.answers is not None:
        return converse(command, where, variables, step.answers)
    try:
        ran = subprocess.run(
            command, cwd=where, env=variables, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE
        )
    except subprocess.TimeoutExpired as late:
        return HANGS, (late.stdout or b"").decode(), (late.stderr or b"").decode()
    # As bytes, since a carriage return is how progress goes back to the beginning of its line.
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


def command_of(stage: Stage, step: Step) -> list[str]:
    """The installed command, the module, or a script."""
    python = str(stage.environment.python)
    args = [stage.fill(arg) for arg in step.args]
    if step.script:
        program = stage.home / "script.py"
        program.write_text(stage.fill(step.script), encoding="utf-8")
        args = [str(program), *args]
    if stage.altered:
        return [python, str(ALTERED), *stage.altered, *args]
    if step.script:
        return [python, *args]
    if step.as_module:
        return [python, "-m", "ftpsync.pyftpsync", *args]
    return [str(Path(python).with_name("pyftpsync")), *args]
