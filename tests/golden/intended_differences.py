"""Where ours is meant to differ from pyftpsync 4.1.0, and how. Read as text; `tests/oracle/test_worlds.py`
uses it.

Two kinds. A `Repair` is a defect that can be taken out of the reference exactly
(`tests/oracle/repairs.py`): what the repaired reference does is then what ours must do. A `Rule` covers a
difference from the repaired reference: in the worlds it speaks of only the fields it names may differ, and
ours must look as `ours` says.

What loses when two files meet for the first time in sync is kept in `.pyftpsync-trash` of the local root (the
reference overwrites it). The trees are compared without that folder, so a loser shows in no world; that the
right one is kept is said in `tests/python/test_keeping.py`.

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
    #: (world, steps of the reference, steps of ours) -> does ours look as it should?
    ours: Callable[[Fields, Steps, Steps], bool]
    #: Name of a world -> name of another one, in which the reference does what ours has to do here. It is
    #: compared in everything but what the meta files hold; `ours` gets its steps as those of the reference.
    instead: Callable[[str], str] | None = None


# --- words used below --------------------------------------------------------------------------------------

ANY_CHANGE = frozenset({"local", "remote", "lines", "stats", "record"})
ANYTHING = ANY_CHANGE | {"error", "returned"}
#: What the meta files hold, and whether any were read or written.
WRITTEN = {"record", "stats.meta_bytes_read", "stats.meta_bytes_written"}
UNREADABLE = ("not json", "empty", "a list")
ABOUT_META = ("Could not read meta info", "Migrating meta data", "Remove empty meta data file")


def trees(step: dict[str, Any]) -> tuple[Any, Any]:
    return step["local"], step["remote"]


def no_error(steps: Steps) -> bool:
    return all(step["error"] is None for step in steps)


def same_trees(reference: Steps, ours: Steps) -> bool:
    return [trees(step) for step in reference] == [trees(step) for step in ours]


def same_lines_but(extra: str | tuple[str, ...], reference: Steps, ours: Steps) -> bool:
    """The lines are the same, those that begin with `extra` aside."""
    plain = [
        [[r for r in step["lines"] if not r[1].startswith(extra)] for step in s] for s in (reference, ours)
    ]
    return plain[0] == plain[1]


def same_counters(reference: Steps, ours: Steps) -> bool:
    return all(
        count == other["stats"].get(name)
        for one, other in zip(reference, ours, strict=True)
        for name, count in one["stats"].items()
        if f"stats.{name}" not in WRITTEN
    )


def nothing_lost(reference: Steps, ours: Steps) -> bool:
    """Whatever either side still has in the reference it has in ours, too."""
    pairs = zip(reference, ours, strict=True)
    return all(one[side].keys() <= other[side].keys() for one, other in pairs for side in SIDES)


def one_way(world: Fields) -> bool:
    return world["mode"] in ("upload", "download")


def source(world: Fields) -> str:
    return "local" if world["mode"] == "upload" else "remote"


def stopped(steps: Steps) -> bool:
    """Every run ended with the error of the guard, and nothing was deleted in any."""
    return all(
        step["error"]
        and step["error"][0] == "CliSilentRuntimeError"
        and not step["stats"]["files_deleted"]
        and not step["stats"]["dirs_deleted"]
        for step in steps
    )


def one_error_line(step: dict[str, Any], *words: str) -> bool:
    """The run says once what is wrong, counts it, and ends with it as a RuntimeError."""
    said = [text for level, text in step["lines"] if level == "ERROR"]
    if len(said) != 1 or step["stats"]["errors"] != 1 or not step["error"]:
        return False
    kind, message = step["error"]
    return kind == "RuntimeError" and all(word in said[0] and word in message for word in words)


def is_cell(world: Fields) -> bool:
    return world["kind"] in ("cell", "rehearsal")


def lost_its_memory(world: Fields) -> bool:
    """Sync where the local side cannot read what it remembers."""
    about = (world["kind"], world["mode"], world.get("side"))
    return about == ("odd meta file", "sync", "local") and world["what"] in UNREADABLE


def clash(world: Fields) -> bool:
    states = world.get("local"), world.get("remote")
    return is_cell(world) and "folder" in states and any(state in FILES for state in states)


def record_but(name: str, step: dict[str, Any]) -> dict[str, Any]:
    """What the meta files remember of other names."""
    without = {
        folder: {key: seen for key, seen in names.items() if key != name}
        if isinstance(names, dict)
        else names
        for folder, names in step["record"].items()
    }
    return {folder: names for folder, names in without.items() if names}


def other_kind(world: Fields) -> bool:
    """A file where a folder is remembered, or the other way; on one side, or on both alike."""
    if not is_cell(world) or clash(world):
        return False
    states = {world["local"], world["remote"]} - {"absent"}
    unexpected = {"file": {"folder"}, "folder": set(FILES)}.get(world["past"], set())
    return states <= unexpected


def alike(world: Fields) -> bool:
    """Both sides changed a file, and came to have the same size and time."""
    return (
        is_cell(world)
        and world["past"] == "file"
        and world["local"] == world["remote"]
        and world["local"] in ("newer", "older", "resized")
    )


def remembers_the_edit(world: Fields, ours: Steps) -> bool:
    """From the first run that is no rehearsal on; an excluded file is none of its business."""
    edited = {"newer": [1_600_000_010, 4], "older": [1_599_999_990, 4], "resized": [1_600_000_000, 7]}
    expected = [edited[world["local"]]] * len(ours)
    if world["kind"] == "rehearsal":
        expected[0] = [1_600_000_000, 4]
    return world["excluded"] or [step["record"]["local:."]["x"] for step in ours] == expected


def refuses_the_strategy(reference: Steps, ours: Steps) -> bool:
    """AssertionError in both; with a message in ours, where the reference has a line."""
    return same_lines_but("ERROR: ", reference, ours) and all(
        one["error"] == ["AssertionError", ""]
        and other["error"][0] == "AssertionError"
        and '"x"' in other["error"][1]
        and not any(text.startswith("ERROR: ") for _, text in other["lines"])
        for one, other in zip(reference, ours, strict=True)
    )


def clash_is_told(reference: Steps, ours: Steps) -> bool:
    return same_trees(reference, ours) and all(
        one_error_line(other, '"x"')
        and any(text.endswith(" keep") for _, text in other["lines"])
        and record_but("keep", one) == record_but("keep", other)
        for one, other in zip(reference, ours, strict=True)
    )


def same_record_but_on_a_source(world: Fields, reference: Steps, ours: Steps) -> bool:
    """A download changes nothing on the remote side, not even a meta file that is of no use."""
    stays = {"remote:."} if (world["mode"], world["side"]) == ("download", "remote") else set()
    return all(
        {folder: names for folder, names in one["record"].items() if folder not in stays}
        == {folder: names for folder, names in other["record"].items() if folder not in stays}
        for one, other in zip(reference, ours, strict=True)
    )


def left_out(world: Fields, ours: Steps) -> bool:
    """One line says that `x` is skipped or, where that was asked for, deleted; nothing else is done about it."""
    deletes = world["mode"] != "sync" and bool(world.get("delete_unmatched"))
    word = "SKIP MISMATCH" if world["mode"] == "sync" else "SKIP UNMATCHED"
    about = [text for _, text in ours[0]["lines"] if text.endswith((" x", " [x]"))]
    return len(about) == 1 and about[0].startswith("DELETE UNMATCHED" if deletes else word)


def case_is_told(reference: Steps, ours: Steps) -> bool:
    """The same first words as in the reference, and both spellings."""
    pairs = list(zip(reference, ours, strict=True))
    return all(one_error_line(other, '"Read"', '"read"', "--case") for _, other in pairs) and all(
        one["error"][1].split("(")[0].split(":")[0].strip()
        == other["error"][1].split("(")[0].split(":")[0].strip()
        for one, other in pairs
    )


def decided_per_file(world: Fields, ours: Steps) -> bool:
    """The one file that was edited or added stays, goes or comes back as the strategy says; the rest goes."""
    path = {"edited": "d/a", "edited deep": "d/e/c", "added": "d/added"}[world["what"]]
    kept = {"skip": {s for s in SIDES if s != world["side"]}, world["side"]: set()}.get(
        world["resolve"], set(SIDES)
    )
    return (
        no_error(ours)
        and ours[-2]["stats"]["conflict_files"] == 1
        and all(
            {name for name, node in step[side].items() if name.startswith("d/") and node != "folder"}
            == ({path} if side in kept else set())
            for step in ours[-2:]
            for side in SIDES
        )
    )


def forgets_only_the_lost(reference: Steps, ours: Steps) -> bool:
    """Of what is remembered only names are missing that neither side has; nothing is remembered otherwise."""
    for one, other in zip(reference, ours, strict=True):
        if one["record"].keys() != other["record"].keys():
            return False
        for folder, names in one["record"].items():
            mine = other["record"][folder]
            where = folder.removeprefix("local:")
            there = {name if where == "." else f"{where}/{name}" for name in names.keys() - mine.keys()}
            if mine != {name: names.get(name) for name in mine} or any(
                there & side.keys() for side in trees(one)
            ):
                return False
    return True


def settled(steps: Steps) -> bool:
    """The last run found nothing to do."""
    return not steps[-1]["stats"]["entries_touched"]


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
        reason="A bare AssertionError tells nobody what to do, and stops all the rest. Ours leaves that pair "
        "alone, names it once, counts it, goes on, and raises at the end.",
        worlds=lambda world: clash(world) and not world["excluded"],
        fields=frozenset({"error", "lines", "stats", "record"}),
        ours=lambda world, reference, ours: clash_is_told(reference, ours),
    ),
    Rule(
        id="excluded file against excluded folder",
        contract="section 9: file against folder of one name; section 0: excluded files",
        reason="What the filter leaves out cannot clash: it is skipped, or removed from the target side when "
        "that was asked for. Excluding a name is the way out of a clash.",
        worlds=lambda world: clash(world) and world["excluded"],
        fields=ANYTHING,
        ours=lambda world, reference, ours: no_error(ours) and left_out(world, ours),
    ),
    Rule(
        id="names differing in case",
        contract="section 14: names differing in case",
        reason="The folder is skipped, the rest goes on, and the error comes at the end; it names both.",
        worlds=lambda world: (
            (world["kind"] == "case across sides" and not world["case"])
            or (world["kind"] == "case on one side" and world["case"] != "strict")
        ),
        fields=frozenset({"error", "lines", "stats"}),
        ours=lambda world, reference, ours: case_is_told(reference, ours),
    ),
    Rule(
        id="spelling of one side",
        contract="D21, section 14: names differing in case",
        reason="With case=local or case=remote an entry keeps its real name for reading and writing.",
        worlds=lambda world: world["kind"] == "case across sides" and world["case"] in SIDES,
        fields=ANYTHING,
        # Either spelling, but never two files out of one.
        ours=lambda world, reference, ours: (
            no_error(ours)
            and settled(ours)
            and all(sorted(step["local"].values()) == sorted(step["remote"].values()) for step in ours)
        ),
    ),
    Rule(
        id="changed alike",
        contract="section 9: modified/modified",
        reason="Files that both sides changed to one size and time are equal, and remembered so. It is how a "
        "run looks to the next one that was ended between a copy and the record.",
        worlds=lambda world: alike(world) and (world["mode"] == "sync" or not world.get("force")),
        fields=ANYTHING | {"printed"},
        ours=lambda world, reference, ours: no_error(ours) and remembers_the_edit(world, ours),
        instead=lambda name: name.replace("past file", "past unlisted"),
    ),
    Rule(
        id="remembered as the other kind",
        contract="section 7: classification",
        reason="What is remembered of a file says nothing about a folder of that name, and the other way: "
        "such a name is new. The reference deletes a folder it never saw for a file that is gone.",
        worlds=other_kind,
        fields=ANYTHING | {"printed"},
        ours=lambda world, reference, ours: (
            [record_but("x", step) for step in reference] == [record_but("x", step) for step in ours]
        ),
        instead=lambda name: name.replace(
            f"past {'folder' if 'past folder' in name else 'file'}", "past unlisted"
        ),
    ),
    Rule(
        id="forgotten by both",
        contract="section 7: classification; section 12.2",
        reason="A name that neither side has any more is no longer remembered: when it comes back it is new.",
        worlds=lambda world: world["kind"] == "comes back after both lost it" and world["listed"],
        fields=ANY_CHANGE,
        ours=lambda world, reference, ours: [s["record"] for s in reference] == [s["record"] for s in ours],
        instead=lambda name: name.replace("listed True", "listed False"),
    ),
    Rule(
        id="forgotten by both, strolls",
        contract="section 7: classification; section 12.2",
        reason="As before; here the name does not come back, so only the record tells.",
        worlds=lambda world: world["kind"] == "stroll",
        fields=frozenset({"record", "stats"}),
        ours=lambda world, reference, ours: (
            same_counters(reference, ours) and forgets_only_the_lost(reference, ours)
        ),
    ),
    Rule(
        id="unknown strategy",
        contract="section 9: conflict resolution, other values",
        reason="The error says what is wrong, so no line with an empty message is needed.",
        worlds=lambda world: is_cell(world) and one_way(world) and world["resolve"] == "new",
        fields=frozenset({"error", "lines"}),
        ours=lambda world, reference, ours: refuses_the_strategy(reference, ours),
    ),
    Rule(
        id="removed folder",
        contract="section 0: folder removed on one side, edited inside on the other; D40",
        reason="Decided per file: what is not as the last sync left it is a conflict. (Where the record went "
        "with a local folder, only files later than the last sync can be told to have changed.)",
        worlds=lambda world: world["kind"].startswith("removed folder") and world["what"] != "unchanged",
        fields=ANY_CHANGE,
        ours=lambda world, reference, ours: decided_per_file(world, ours),
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
        ours=lambda world, reference, ours: stopped(ours) and nothing_lost(reference, ours),
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
            )
        ),
        fields=ANYTHING,
        ours=lambda world, reference, ours: stopped(ours) and nothing_lost(reference, ours),
    ),
    Rule(
        id="damaged meta file",
        contract="12.2, D3",
        reason="One line tells why a meta file could not be read, in the words of another parser. It is "
        "treated as empty, and stays until there is something to write. One without `mtimes` is none.",
        worlds=lambda world: (
            world["kind"] == "odd meta file"
            and world["what"] in (*UNREADABLE, "no mtimes")
            and not lost_its_memory(world)
        ),
        fields=frozenset({"lines", "stats", "record"}),
        ours=lambda world, reference, ours: (
            no_error(ours)
            and same_trees(reference, ours)
            and same_counters(reference, ours)
            and same_lines_but(ABOUT_META, reference, ours)
            and sum(level == "ERROR" for level, _ in ours[0]["lines"]) == (world["what"] in UNREADABLE)
            and (
                same_record_but_on_a_source(world, reference, ours)
                or all(
                    other["record"] in (one["record"], {**one["record"], "remote:.": "unreadable"})
                    for one, other in zip(reference, ours, strict=True)
                )
            )
        ),
    ),
    Rule(
        id="damaged memory",
        contract="12.2; section 9: new/new",
        reason="What a damaged meta file on the local side remembered is unknown. In sync the newer file is not simply "
        "right then, as it is where nothing was ever remembered: files that differ are conflicts.",
        worlds=lost_its_memory,
        fields=ANY_CHANGE,
        ours=lambda world, reference, ours: (
            no_error(ours)
            and sum(level == "ERROR" for level, _ in ours[0]["lines"]) == 1
            and all(step["stats"]["conflict_files_skipped"] == 1 for step in ours)
            and all(step["local"]["x"] != step["remote"]["x"] for step in ours)
            and ours[0]["local"]["x"] == reference[0]["local"]["x"]
            and nothing_lost(reference, ours)
            and settled(ours)
        ),
    ),
    Rule(
        id="empty meta file of a source",
        contract="12.2; section 0: the mode only reads that side",
        reason="A download changes nothing on the remote side, not even a meta file that remembers nothing.",
        worlds=lambda world: (
            world["kind"] == "odd meta file"
            and (world["what"], world["mode"], world["side"]) == ("no peers", "download", "remote")
        ),
        fields=frozenset({"lines", "record"}),
        ours=lambda world, reference, ours: (
            same_trees(reference, ours)
            and same_lines_but(ABOUT_META, reference, ours)
            and same_record_but_on_a_source(world, reference, ours)
        ),
    ),
    Rule(
        id="another meta version",
        contract="12.2, D3",
        reason="The error is one line that names the option, the notice of a migration says where.",
        worlds=lambda world: (
            world["kind"] == "odd meta file" and world["what"] in ("version 2", "no version")
        ),
        fields=frozenset({"error", "lines", "stats", "record"}),
        ours=lambda world, reference, ours: (
            same_trees(reference, ours)
            and same_counters(reference, ours)
            and same_lines_but(ABOUT_META, reference, ours)
            and same_record_but_on_a_source(world, reference, ours)
            and all(
                one["error"] == other["error"]
                or (
                    one["error"][0] == other["error"][0]
                    and other["error"][1].startswith("Invalid meta data version: ")
                    and "--migrate" in other["error"][1]
                    and "\n" not in other["error"][1]
                )
                for one, other in zip(reference, ours, strict=True)
            )
        ),
    ),
    Rule(
        id="links",
        contract="section 0: symbolic links; D12, D37",
        reason="Size and time are those of what the link leads to; a link that leads nowhere is reported.",
        worlds=lambda world: world["kind"] == "links",
        fields=ANY_CHANGE,
        ours=lambda world, reference, ours: (
            no_error(ours)
            and settled(ours)
            and nothing_lost(reference, ours)
            and nothing_lost(ours, reference)
            and (world["what"] != "dangling" or same_lines_but(f"{world['side']}: left out", reference, ours))
        ),
    ),
    Rule(
        id="help of the prompt",
        contract="section 9: prompt",
        reason="Our own words; and the difference is not shown again after them, in no mode.",
        worlds=lambda world: world["kind"] == "verbose" and world["resolve"] == "ask",
        fields=frozenset({"printed", "lines"}),
        ours=lambda world, reference, ours: (
            {tuple(line) for line in reference[0]["lines"]} == {tuple(line) for line in ours[0]["lines"]}
            and {line[3] for line in reference[0]["printed"] if line.startswith("  '")}
            <= {line[2] for line in ours[0]["printed"] if line.startswith("  ")}
        ),
    ),
]
