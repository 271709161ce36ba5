"""Where ours is meant to differ from pyftpsync 4.1.0, and how. Read as text; `tests/oracle/test_worlds.py`
uses it.

Two kinds. A `Repair` is a defect that can be taken out of the reference exactly
(`tests/oracle/repairs.py`): what the repaired reference does is then what ours must do. A `Rule` covers a
difference from the repaired reference: in the worlds it speaks of only the fields it names may differ, and
ours must look as `ours` says.

Each difference is covered by exactly one rule; a rule or repair that changes nothing is stale and must go.
Worlds are told by their `fields`, see `tests/oracle/worlds.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Fields = dict[str, Any]
Steps = list[dict[str, Any]]

FILES = ("same", "newer", "older", "resized")
SIDES = ("local", "remote")


@dataclass(frozen=True)
class Repair:
    """A defect of the reference; `worlds` says where taking it out may show."""

    id: str
    reason: str
    worlds: Callable[[Fields], bool]


@dataclass(frozen=True)
class Rule:
    """A difference from the repaired reference. `stats` among the fields stands for all counters."""

    id: str
    contract: str
    reason: str
    worlds: Callable[[Fields], bool]
    fields: frozenset[str]
    #: (steps of the reference, steps of ours) -> does ours look as it should?
    ours: Callable[[Steps, Steps], bool]


# --- words used below --------------------------------------------------------------------------------------

ANY_LINE_OR_COUNT = frozenset({"lines", "stats"})
ANY_CHANGE = frozenset({"local", "remote", "lines", "stats", "record"})
ANYTHING = ANY_CHANGE | {"error", "returned"}


def trees(step: dict[str, Any]) -> tuple[Any, Any]:
    return step["local"], step["remote"]


def no_error(steps: Steps) -> bool:
    return all(step["error"] is None for step in steps)


def same_trees(reference: Steps, ours: Steps) -> bool:
    return [trees(step) for step in reference] == [trees(step) for step in ours]


def nothing_lost(reference: Steps, ours: Steps) -> bool:
    """Whatever either side still has in the reference it has in ours, too."""
    pairs = zip(reference, ours, strict=True)
    return all(one[side].keys() <= other[side].keys() for one, other in pairs for side in SIDES)


def one_way(world: Fields) -> bool:
    return world["mode"] in ("upload", "download")


def source(world: Fields) -> str:
    return "local" if world["mode"] == "upload" else "remote"


def stopped(steps: Steps) -> bool:
    """Every run ended with an error, and nothing was deleted in any."""
    return all(step["error"] and not step["stats"].get("files_deleted") for step in steps)


def clash(world: Fields) -> bool:
    states = world.get("local"), world.get("remote")
    return "folder" in states and any(state in FILES for state in states)


def removed_folder(world: Fields) -> bool:
    """A cell where a name that was known is a folder on one side and gone from the other."""
    return (
        world["kind"] in ("cell", "rehearsal")
        and world["past"] in ("file", "folder")
        and {world["local"], world["remote"]} == {"folder", "absent"}
    )


# --- repairs -----------------------------------------------------------------------------------------------

REPAIRS = [
    Repair(
        id="D1",
        reason="folders whose name has a capital letter are descended into",
        worlds=lambda world: world["kind"] == "folder with a capital" and world["case"] != "strict",
    ),
    Repair(
        id="D2",
        reason="match, exclude and the reserved names hold inside a folder that is copied as a whole",
        worlds=lambda world: world["kind"].startswith("new folder"),
    ),
    Repair(
        id="D3",
        reason="migrate starts from an empty record; so does a meta file that is no document of ours (12.2)",
        worlds=lambda world: world["kind"] == "odd meta file",
    ),
    Repair(
        id="D4",
        reason="an excluded folder that both sides have is left alone, with all that is in it",
        worlds=lambda world: world.get("excluded") is True or bool(world.get("exclude")),
    ),
    Repair(
        id="D5",
        reason="the removal of an unlisted name does not keep the folder's record from being written",
        worlds=lambda world: one_way(world) or world["kind"] == "stroll",
    ),
    Repair(
        id="D6",
        reason="the answers old and new exist; between an edit and a deletion old and new mean skip",
        worlds=lambda world: (
            world["mode"] == "sync" and (world.get("resolve") in ("old", "new") or world["kind"] == "answer")
        ),
    ),
]


# --- rules -------------------------------------------------------------------------------------------------

RULES = [
    Rule(
        id="file against folder",
        contract="section 9: file against folder of one name",
        reason="A bare AssertionError tells nobody what to do. Ours names the path, and changes as little.",
        worlds=clash,
        fields=frozenset({"error", "lines", "stats"}),
        ours=lambda reference, ours: (
            same_trees(reference, ours)
            and all(step["error"] and step["error"][0] == "RuntimeError" for step in ours)
            and all("x" in step["error"][1] for step in ours)
        ),
    ),
    Rule(
        id="removed folder",
        contract="section 0: folder removed on one side, edited inside on the other; D40",
        reason="Decided per file: what is not as the last sync left it stays, and is reported.",
        worlds=lambda world: (
            removed_folder(world)
            or (world["kind"].startswith("removed folder") and world["what"] != "unchanged")
        ),
        fields=ANY_CHANGE,
        ours=lambda reference, ours: no_error(ours) and nothing_lost(reference[:1], ours[:1]),
    ),
    Rule(
        id="lost files",
        contract="section 0: deletion guards",
        reason="A side that has lost most of what was known, or all of it, is not followed.",
        worlds=lambda world: (
            world["kind"] == "lost files"
            and (
                world["left"] == 0 and world["side"] == source(world) if one_way(world) else world["left"] < 3
            )
        ),
        fields=ANYTHING,
        ours=lambda reference, ours: stopped(ours) and nothing_lost(reference, ours),
    ),
    Rule(
        id="empty source",
        contract="section 0: deletion guards",
        reason="With delete, an empty source stops an upload or download.",
        worlds=lambda world: (
            (world["kind"], world["mode"])
            in (
                ("empty source, nothing remembered", "upload"),
                ("empty peer, nothing remembered", "download"),
                ("both empty", "upload"),
                ("both empty", "download"),
            )
        ),
        fields=ANYTHING,
        ours=lambda reference, ours: stopped(ours) and nothing_lost(reference, ours),
    ),
    Rule(
        id="damaged meta file",
        contract="12.2, D3",
        reason="Another parser tells why a meta file could not be read; nothing is removed twice.",
        worlds=lambda world: world["kind"] == "odd meta file",
        fields=ANY_LINE_OR_COUNT,
        ours=lambda reference, ours: same_trees(reference, ours),
    ),
    Rule(
        id="spelling of one side",
        contract="D21, section 14: names differing in case",
        reason="With case=local or case=remote an entry keeps its real name for reading and writing.",
        worlds=lambda world: world["kind"] == "case across sides" and world["case"] in SIDES,
        fields=ANYTHING,
        # Either spelling, but never two files out of one.
        ours=lambda reference, ours: (
            no_error(ours) and all(len(step[side]) == 2 for step in ours for side in SIDES)
        ),
    ),
    Rule(
        id="links",
        contract="section 0: symbolic links; D12, D37",
        reason="Size and time are those of what the link leads to.",
        worlds=lambda world: world["kind"] == "links",
        fields=ANY_CHANGE,
        ours=lambda reference, ours: no_error(ours) and nothing_lost(reference, ours),
    ),
]
