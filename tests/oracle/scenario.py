"""The words in which scenarios are told: trees with files, edits, and the commands of a user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: When files of a starting tree were changed, unless something else is said.
T0 = 1_600_000_000
#: What a server that cannot set times is started with. Both sides then keep times in metadata, so all can be compared.
KEEPS_NO_TIMES = ("--no-mfmt",)
SETS_TIMES: tuple[str, ...] = ()


class File(NamedTuple):
    """A file; `when` counts from the beginning of the play if it is small."""

    text: str
    when: float = T0


Tree = Mapping[str, File | None]


def file(text: str, later: float = 0) -> File:
    """A file of the starting trees, changed so many seconds after the others."""
    return File(text, T0 + later)


def edited(text: str, strides: int = 1) -> File:
    """A file that was changed since the play began, later than anything the play itself writes."""
    return File(text, 1000.0 * strides)


@dataclass(frozen=True)
class Step:
    """Some edits, then one command.

    In arguments, scripts and files `{local}`, `{url}`, `{home}`, `{address}` (host, port and path), `{port}` and
    `{path}` stand for the places of the play.
    """

    args: Sequence[str] = ()
    #: (place, path, node) puts something there, (place, path) removes it; places are local, remote and home.
    edits: Sequence[Sequence[Any]] = ()
    #: Given at a terminal, by what is asked about; without answers there is no terminal.
    answers: Mapping[str, Sequence[str]] | None = None
    at: str = "home"
    folder: str = "."
    #: A Python program to run instead of the command.
    script: str = ""
    as_module: bool = False


@dataclass(frozen=True)
class Scenario:
    """What a user does, one command after the other."""

    name: str
    about: str
    steps: Sequence[Step]
    local: Tree = field(default_factory=dict)
    remote: Tree = field(default_factory=dict)
    home: Tree = field(default_factory=dict)
    server: tuple[str, ...] = KEEPS_NO_TIMES
    #: Defects of the reference, see `repairs.py`, that show here; they are taken out of it before it is compared with.
    repairs: tuple[str, ...] = ()
    #: The releases that are compared with.
    releases: tuple[str, ...] = ("4.1.0",)

    @property
    def folder(self) -> str:
        return re.sub(r"\W+", "-", self.name)


def do(*args: str, **more: Any) -> Step:
    """A command."""
    return Step(args, **more)


def upload(*options: str, **more: Any) -> Step:
    return _copying("upload", options, **more)


def download(*options: str, **more: Any) -> Step:
    return _copying("download", options, **more)


def sync(*options: str, **more: Any) -> Step:
    return _copying("sync", options, **more)


def _copying(command: str, options: Sequence[str], asks: bool = False, **more: Any) -> Step:
    """A command for the usual places. Only where there is a terminal, or nobody's absence is the point, it may ask."""
    settles = any(option.startswith("--resolve") for option in options)
    if not settles and not asks and "answers" not in more:
        options = [*options, "--resolve", "skip"]
    return do(command, "{local}", "{url}", *options, **more)


#: A little of everything that is no conflict for anybody who looks at it for the first time.
HERE: Tree = {
    "same.txt": file("the same"),
    "newer here.txt": file("newer here", 100),
    "newer there.txt": file("older", -100),
    "only here.txt": file("only here"),
    "empty": file(""),
    ".dots": file("a dot file"),
    "sub/both.txt": file("both"),
    "sub/here.txt": file("here"),
    "sub/deep/inner.txt": file("inner"),
    "new here/n.txt": file("n"),
    "new here/deeper/m.txt": file("m"),
    "empty folder": None,
}
THERE: Tree = {
    "same.txt": file("the same"),
    "newer here.txt": file("older", -100),
    "newer there.txt": file("newer there", 100),
    "only there.txt": file("only there"),
    "sub/both.txt": file("both"),
    "sub/there.txt": file("there"),
    "new there/t.txt": file("t"),
}
#: Enough that stays as it is, so that a few deletions are no mass deletion.
ANCHORS: Tree = {f"anchor{number}.txt": file(f"anchor {number}") for number in range(8)}
