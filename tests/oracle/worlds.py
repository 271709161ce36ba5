"""The worlds that both implementations play.

`cells()` is the full product around one name `x`: what the last sync remembers of it, what is there on
either side, and the policy. `stories()` are small trees made for one question each. `strolls()` are random
trees with random edits. Every world carries `fields`, what it is about; the rules of intended differences
speak of those only.

In every cell an unchanged file `keep` lies beside `x`, so that no root ever looks as if it had been lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

World = dict[str, Any]
Node = dict[str, Any] | None
Tree = dict[str, Node]

T0 = 1_600_000_000
SIZE = 4
PASTS = ("none", "unlisted", "file", "folder")
STATES = ("absent", "same", "newer", "older", "resized", "folder")
FOLDER: Node = None


def file(mtime: int = T0, size: int = SIZE, fill: str = "s") -> Node:
    return {"mtime": mtime, "size": size, "fill": fill}


def text(content: str, mtime: int = T0) -> Node:
    return {"text": content, "mtime": mtime}


def link(to: str) -> Node:
    return {"link": to}


SAME = file()
NEWER = file(T0 + 10, fill="n")
OLDER = file(T0 - 10, fill="o")
RESIZED = file(T0, SIZE + 3, "r")
SEEN = {"m": T0, "s": SIZE}
ONE = {"same": SAME, "newer": NEWER, "older": OLDER, "resized": RESIZED}


def everything() -> list[World]:
    worlds = [*cells(), *rehearsals(), *stories(), *strolls()]
    names = [world["id"] for world in worlds]
    assert len(set(names)) == len(names), "two worlds of one name"
    return worlds


def world(
    name: str,
    kind: str,
    local: Tree,
    remote: Tree,
    past: dict[str, dict[str, Any]],
    steps: list[dict[str, Any]],
    /,
    **fields: Any,
) -> World:
    return {
        "id": name,
        "fields": {"kind": kind, "name": name, **fields},
        "local": local,
        "remote": remote,
        "past": past,
        "steps": steps,
    }


def run(
    mode: str, edits: list[list[Any]] | None = None, answers: list[str] | None = None, **options: Any
) -> dict[str, Any]:
    return {
        "mode": mode,
        "options": {"verbose": 4, **options},
        "edits": edits or [],
        "answers": answers or [],
    }


# --- cells: everything about one name ----------------------------------------------------------------------


def policies() -> Iterator[dict[str, Any]]:
    """Every meaningful combination; two-way sync knows neither `force` nor deletion flags."""
    flags = (False, True)
    for resolve, excluded in product(("skip", "local", "remote", "old", "new"), flags):
        yield {"mode": "sync", "resolve": resolve, "excluded": excluded}
    for excluded in flags:
        yield {
            "mode": "sync",
            "resolve": "skip",
            "excluded": excluded,
            "force": True,
            "delete": True,
            "delete_unmatched": True,
        }
    for mode, side in (("upload", "local"), ("download", "remote")):
        for force, delete, unmatched, excluded, resolve in product(
            flags, flags, flags, flags, ("skip", side)
        ):
            yield {
                "mode": mode,
                "resolve": resolve,
                "excluded": excluded,
                "force": force,
                "delete": delete,
                "delete_unmatched": unmatched,
            }
        # What the strategies of two-way sync do here: both refuse, with the first conflict.
        yield {"mode": mode, "resolve": "new", "excluded": False}


def cells() -> Iterator[World]:
    for past, local, remote in product(PASTS, STATES, STATES):
        if (local, remote) != ("absent", "absent"):
            for policy in policies():
                yield cell("cell", past, local, remote, policy)


def rehearsals() -> Iterator[World]:
    """Dry runs. A rehearsal is followed by the real run, so what the rehearsal left behind would show."""
    for past, local, remote in product(PASTS, STATES, STATES):
        if (local, remote) == ("absent", "absent"):
            continue
        for mode, resolve in (
            ("sync", "skip"),
            ("sync", "local"),
            ("upload", "local"),
            ("download", "remote"),
        ):
            yield cell(
                "rehearsal",
                past,
                local,
                remote,
                {"mode": mode, "resolve": resolve, "delete": True},
                dry_run=True,
            )


def cell(
    kind: str, past: str, local: str, remote: str, policy: dict[str, Any], dry_run: bool = False
) -> World:
    trees: list[Tree] = []
    for state in (local, remote):
        tree: Tree = {"keep": SAME}
        if state == "folder":
            tree |= {"x": FOLDER, "x/in": SAME}
        elif state != "absent":
            tree["x"] = ONE[state]
        trees.append(tree)
    remembered: dict[str, dict[str, Any]] = {}
    if past != "none":
        remembered["."] = {"keep": SEEN}
        if past == "file":
            remembered["."]["x"] = SEEN
        elif past == "folder":
            remembered["."]["x"] = None
            if local == "folder":
                remembered["x"] = {"in": SEEN}
    options = {
        key: value for key, value in policy.items() if key not in ("mode", "excluded") and value is not False
    }
    if policy.get("excluded"):
        options["exclude"] = ["x"]
    steps = twice(policy["mode"], **options)
    if dry_run:
        steps.insert(0, run(policy["mode"], dry_run=True, **options))
    words = [f"{key}={value}" if isinstance(value, str) else key for key, value in policy.items() if value]
    name = f"{kind}: past {past}, local {local}, remote {remote}, {' '.join(words)}"
    fields = {"force": False, "delete": False, "delete_unmatched": False, "excluded": False, **policy}
    return world(
        name, kind, trees[0], trees[1], remembered, steps, past=past, local=local, remote=remote, **fields
    )


# --- stories: small trees, one question each ---------------------------------------------------------------

MODES = ("sync", "upload", "download")


def stories() -> Iterator[World]:
    yield from new_folders()
    yield from both_have_the_folder()
    yield from removed_folders()
    yield from many_files()
    yield from odd_meta_files()
    yield from answers()
    yield from names()
    yield from guards()


def story(
    about: str,
    mode: str,
    local: Tree,
    remote: Tree,
    past: dict[str, dict[str, Any]],
    steps: list[dict[str, Any]],
    /,
    **fields: Any,
) -> World:
    detail = ", ".join(f"{key} {value}" for key, value in fields.items())
    return world(
        f"{about}, {mode}{', ' + detail if detail else ''}",
        about,
        local,
        remote,
        past,
        steps,
        mode=mode,
        **fields,
    )


def twice(mode: str, **options: Any) -> list[dict[str, Any]]:
    return [run(mode, **options), run(mode, **options)]


def new_folders() -> Iterator[World]:
    content: Tree = {
        "new": FOLDER,
        "new/a": SAME,
        "new/skip.tmp": NEWER,
        "new/deep": FOLDER,
        "new/deep/b": OLDER,
        "new/deep/.git": FOLDER,
        "new/deep/.git/config": SAME,
        "new/empty": FOLDER,
    }
    for mode, side, past, exclude in product(
        MODES, ("local", "remote"), ("none", "some"), ([], ["*.tmp", ".git"], ["new"])
    ):
        there = {"keep": SAME, **content}
        here: Tree = {"keep": SAME}
        trees = (there, here) if side == "local" else (here, there)
        record = {".": {"keep": SEEN}} if past == "some" else {}
        for extra in ({}, {"delete": True, "delete_unmatched": True}):
            steps = twice(mode, exclude=exclude, **extra)
            yield story(
                "new folder",
                mode,
                *trees,
                record,
                steps,
                side=side,
                past=past,
                exclude="+".join(exclude),
                delete=bool(extra),
            )
    for mode in MODES:
        steps = [run(mode, dry_run=True), run(mode, match="a*,keep"), run(mode)]
        yield story("new folder, match", mode, {"keep": SAME, **content}, {"keep": SAME}, {}, steps)
        special = {
            "keep": SAME,
            "new": FOLDER,
            "new/.pyftpsync-lock.json": text("{}"),
            "new/pyftpsync.yaml": text("a: 1"),
        }
        yield story("new folder with reserved names", mode, special, {"keep": SAME}, {}, twice(mode))
        yield story("new folder with reserved names, remote", mode, {"keep": SAME}, special, {}, twice(mode))


def both_have_the_folder() -> Iterator[World]:
    """Folders on both sides with differences inside."""
    left = {
        "keep": SAME,
        "d": FOLDER,
        "d/same": SAME,
        "d/l": SAME,
        "d/x": NEWER,
        "d/e": FOLDER,
        "d/e/f": SAME,
    }
    right = {
        "keep": SAME,
        "d": FOLDER,
        "d/same": SAME,
        "d/r": SAME,
        "d/x": SAME,
        "d/e": FOLDER,
        "d/e/g": SAME,
    }
    full: dict[str, dict[str, Any]] = {
        ".": {"keep": SEEN, "d": None},
        "d": {"same": SEEN, "l": SEEN, "r": SEEN, "x": SEEN, "e": None},
        "d/e": {"f": SEEN, "g": SEEN},
    }
    for mode, past, exclude, delete, unmatched in product(
        MODES, ("none", "full"), ("", "d", "e", "?"), (False, True), (False, True)
    ):
        options = {"exclude": exclude, "delete": delete, "delete_unmatched": unmatched}
        record = full if past == "full" else {}
        yield story("folder on both", mode, left, right, record, twice(mode, **options), past=past, **options)
    for mode, case in product(MODES, ("", "strict", "local")):
        options = {"case": case} if case else {}
        upper_left, upper_right = (
            {name.replace("d", "Dir"): node for name, node in side.items()} for side in (left, right)
        )
        steps = twice(mode, **options)
        yield story("folder with a capital", mode, upper_left, upper_right, {}, steps, case=case)


def removed_folders() -> Iterator[World]:
    # Enough that stays where it is, so that the removal of the folder is no mass deletion.
    anchors: Tree = {f"anchor{number}": SAME for number in range(8)}
    folder = {"d": FOLDER, "d/a": SAME, "d/b": SAME, "d/e": FOLDER, "d/e/c": SAME}
    whole: Tree = {**anchors, **folder}
    contents: dict[str, Tree] = {
        "unchanged": {},
        "edited": {"d/a": NEWER},
        "edited deep": {"d/e/c": RESIZED},
        "added": {"d/added": NEWER},
    }
    for mode, side, what, resolve, delete in product(
        MODES, ("local", "remote"), contents, ("skip", "local", "remote"), (False, True)
    ):
        if (mode, resolve) in (("upload", "remote"), ("download", "local")) or (mode == "sync" and delete):
            continue
        fields: dict[str, Any] = {"side": side, "what": what, "resolve": resolve, "delete": delete}
        policy: dict[str, Any] = {"resolve": resolve, "delete": delete}
        changed = {**whole, **contents[what]}
        record: dict[str, dict[str, Any]] = {".": {"d": None, **dict.fromkeys(anchors, SEEN)}}
        if side == "remote":
            record |= {"d": {"a": SEEN, "b": SEEN, "e": None}, "d/e": {"c": SEEN}}
        trees = (anchors, changed) if side == "local" else (changed, anchors)
        yield story("removed folder", mode, *trees, record, twice(mode, **policy), **fields)
        # The same, with a past that a real first run has made.
        other = "remote" if side == "local" else "local"
        edits: list[list[Any]] = [
            [side, "d"],
            *([other, path, node] for path, node in contents[what].items()),
        ]
        start = ({}, whole) if mode == "download" else (whole, {})
        steps = [run(mode), run(mode, edits=edits, **policy), run(mode, **policy)]
        yield story("removed folder after a run", mode, *start, {}, steps, **fields)


def many_files() -> Iterator[World]:
    left = {f"u{n}": SAME for n in range(6)} | {
        "mine": SAME,
        "edited": NEWER,
        "clash": NEWER,
        "gone-there": SAME,
    }
    right = {f"u{n}": SAME for n in range(6)} | {
        "theirs": SAME,
        "edited": SAME,
        "clash": RESIZED,
        "gone-here": SAME,
    }
    listed = {
        **{f"u{n}": SEEN for n in range(6)},
        "edited": SEEN,
        "clash": SEEN,
        "gone-here": SEEN,
        "gone-there": SEEN,
    }
    for mode, past, delete, force in product(MODES, ("none", "full"), (False, True), (False, True)):
        record = {".": listed} if past == "full" else {}
        options = {"delete": delete, "force": force}
        yield story("many files", mode, left, right, record, twice(mode, **options), past=past, **options)
    for mode in MODES:
        # Only what was copied is remembered: `twin` was equal from the start, so its removal is no deletion.
        start = {"keep": SAME, "twin": SAME, "copied": SAME}, {"keep": SAME, "twin": SAME}
        if mode == "download":
            start = start[1], start[0]
        for side in ("local", "remote"):
            edits = [[side, "twin"], [side, "copied"]]
            steps = [run(mode), run(mode, edits=edits, delete=True), run(mode, delete=True)]
            yield story("remembers what was copied", mode, *start, {}, steps, side=side)
        # A listed name that both sides lost stays listed; then it comes back on one of them.
        for side, what, listed in product(("local", "remote"), ("unchanged", "edited"), (False, True)):
            back = [side, "x", SAME if what == "unchanged" else NEWER]
            names = {"x": SEEN} if listed else {}
            steps = [run(mode), run(mode, edits=[back]), run(mode)]
            only = {"keep": SAME}
            record = {".": {"keep": SEEN, **names}}
            about = "comes back after both lost it"
            yield story(about, mode, only, only, record, steps, side=side, what=what, listed=listed)
        # Equal from the start, so never recorded; then edited on one side.
        for side in ("local", "remote"):
            steps = [run(mode), run(mode, edits=[[side, "twin", NEWER]]), run(mode)]
            yield story("equal, then edited", mode, *start, {}, steps, side=side)
        # The last change of a folder is the removal of a name that was never listed.
        for exclude in ("stray", "listed,stray", "listed"):
            beside = {"keep": SAME, "listed": SAME, "stray": SAME}
            filtered: dict[str, Any] = {"exclude": exclude, "delete": True, "delete_unmatched": True}
            record = {".": {"keep": SEEN, "listed": SEEN}}
            few = {**beside, "new": SAME}
            trees = (few, beside) if mode != "download" else (beside, few)
            yield story(
                "removal of an unlisted name",
                mode,
                *trees,
                record,
                [run(mode, **filtered), run(mode)],
                exclude=exclude,
            )
        fine = file(T0 + 2), file(T0), file(T0 + 3)
        for index, node in enumerate(fine):
            trees = {"keep": SAME, "x": node}, {"keep": SAME, "x": SAME}
            yield story("two seconds", mode, *trees, {}, twice(mode), apart=index)
            yield story(
                "two seconds, listed",
                mode,
                *trees,
                {".": {"keep": SEEN, "x": SEEN}},
                twice(mode),
                apart=index,
            )
        third: Node = {"mtime": T0 + 0.25, "size": 0, "fill": "s"}
        yield story(
            "empty file, quarter second",
            mode,
            {"x": third, "keep": SAME},
            {"y": third, "keep": SAME},
            {},
            twice(mode),
        )
        big = file(T0, 300_001)
        yield story(
            "larger than a block", mode, {"x": big, "keep": SAME}, {"y": big, "keep": SAME}, {}, twice(mode)
        )


def odd_meta_files() -> Iterator[World]:
    meta = ".pyftpsync-meta.json"
    contents = {
        "not json": "{",
        "empty": "",
        "a list": "[]",
        "version 2": '{"_file_version": 2, "mtimes": {}, "peer_sync": {}}',
        "no version": '{"mtimes": {}, "peer_sync": {}}',
        "no peers": '{"_file_version": 3, "mtimes": {}, "peer_sync": {}}',
        "other peer": '{"_file_version": 3, "mtimes": {}, "peer_sync": {"/else": {"x": {"m": 1, "s": 1}}}}',
        "no mtimes": '{"_file_version": 3, "peer_sync": {}}',
        "own mtimes": '{"_file_version": 3, "mtimes": {"x": {"m": 1, "s": 4, "u": 9e9}}, "peer_sync": {}}',
    }
    for mode, side, what, migrate in product(MODES, ("local", "remote"), contents, (False, True)):
        odd = {meta: text(contents[what])}
        left = {"keep": SAME, "x": NEWER, **(odd if side == "local" else {})}
        right = {"keep": SAME, "x": SAME, "y": SAME, **(odd if side == "remote" else {})}
        yield story(
            "odd meta file",
            mode,
            left,
            right,
            {},
            twice(mode, migrate=migrate),
            side=side,
            what=what,
            migrate=migrate,
        )
    for mode, resolve in product(MODES, ("skip", "ask")):
        # Verbosity 5 shows the difference block, the closing lines and the rest of what is there to be seen.
        left, right = {"keep": SAME, "x": NEWER}, {"keep": SAME, "x": RESIZED}
        for past in ("file", "none"):
            record = {".": {"keep": SEEN, "x": SEEN}} if past == "file" else {}
            step = run(mode, answers=["?", "b", "s"], verbose=5, resolve=resolve)
            yield story("verbose", mode, left, right, record, [step], past=past, resolve=resolve)
    for mode, verbose in product(MODES, range(5)):
        yield story("quiet", mode, left, right, {}, [run(mode, verbose=verbose)], verbose=verbose)


def answers() -> Iterator[World]:
    """Every answer to the prompt, on a clash of edits, of edit and deletion, and of files of one time."""
    clashes = {
        "both edited": (NEWER, RESIZED),
        "same time": (file(T0 + 10, 5, "a"), file(T0 + 10, 6, "b")),
        "gone there": (NEWER, "absent"),
        "gone here": ("absent", NEWER),
    }
    replies = {
        "sync": ("l", "r", "s", "o", "n", "L", "R", "S", "O", "N"),
        "upload": ("l", "s", "L", "S"),
        "download": ("r", "s", "R", "S"),
    }
    for mode, (what, sides) in product(MODES, clashes.items()):
        trees: list[Tree] = []
        for node in sides:
            tree: Tree = {"keep": SAME, "other": NEWER}
            if node != "absent":
                tree["x"] = node  # type: ignore[assignment]
            trees.append(tree)
        trees[1]["other"] = RESIZED
        record = {".": {"keep": SEEN, "x": SEEN, "other": SEEN}}
        for reply in replies[mode]:
            step = run(mode, answers=["z", reply, reply, "s", "s"], resolve="ask")
            yield story("answer", mode, trees[0], trees[1], record, [step], what=what, reply=reply)


def names() -> Iterator[World]:
    for mode, case in product(MODES, ("", "strict", "local", "remote")):
        options = {"case": case} if case else {}
        one = {"keep": SAME, "Read": NEWER}, {"keep": SAME, "read": SAME}
        yield story("case across sides", mode, *one, {}, twice(mode, **options), case=case)
        two = {"keep": SAME, "Read": NEWER, "read": SAME}, {"keep": SAME}
        yield story("case on one side", mode, *two, {}, twice(mode, **options), case=case)
    for mode, side in product(MODES, ("local", "remote")):
        odd: Tree = {
            "keep": SAME,
            "sp ace; a=b.txt": SAME,
            "ünï çödé €": SAME,
            " leading": SAME,
            "[brackets]*?": SAME,
            "-dash": SAME,
            "a%20b": SAME,
            "quote'\"": SAME,
        }
        trees = (odd, {"keep": SAME}) if side == "local" else ({"keep": SAME}, odd)
        yield story("odd names", mode, *trees, {}, twice(mode), side=side)
        linked: Tree = {
            "keep": SAME,
            "real": file(size=9),
            "folder": FOLDER,
            "folder/in": SAME,
            "to-file": link("real"),
            "to-folder": link("folder"),
            "dangling": link("nowhere"),
        }
        for what in ("to-file", "to-folder", "dangling"):
            some = {name: node for name, node in linked.items() if "link" not in (node or {}) or name == what}
            trees = (some, {"keep": SAME}) if side == "local" else ({"keep": SAME}, some)
            yield story("links", mode, *trees, {}, twice(mode), side=side, what=what)


def guards() -> Iterator[World]:
    """One side has lost much or all of what was known: where ours stops, the reference goes on."""
    whole = {f"f{n}": SAME for n in range(6)}
    record = {".": {f"f{n}": SEEN for n in range(6)}}
    for mode, side, left in product(MODES, ("local", "remote"), (0, 1, 2, 3, 4)):
        less = {f"f{n}": SAME for n in range(left)}
        trees = (less, whole) if side == "local" else (whole, less)
        yield story("lost files", mode, *trees, record, twice(mode, delete=True), side=side, left=left)
    for mode in MODES:
        empty: Tree = {}
        yield story("both empty", mode, empty, empty, {}, twice(mode, delete=True))
        yield story("empty source, nothing remembered", mode, empty, whole, {}, twice(mode, delete=True))
        yield story("empty peer, nothing remembered", mode, whole, empty, {}, twice(mode, delete=True))


# --- strolls: random trees, random edits -------------------------------------------------------------------

STROLLS = 600


def strolls(count: int = STROLLS) -> Iterator[World]:
    """Random trees. A first run makes the past, edits follow, then two runs.

    Edits are few beside what is there, so that no guard against mass deletion comes into play.
    """
    for seed in range(count):
        dice = random.Random(seed)
        mode = dice.choice(MODES)
        base = _random_tree(dice)
        sides: dict[str, Tree] = {}
        for side in ("local", "remote"):
            sides[side] = {p: n for p, n in base.items() if n is None or dice.random() < 0.7}
        fitting = {
            "sync": ("skip", "local", "remote"),
            "upload": ("skip", "local"),
            "download": ("skip", "remote"),
        }
        options: dict[str, Any] = {"resolve": dice.choice(fitting[mode])}
        for flag in ("force", "delete", "delete_unmatched"):
            if dice.random() < 0.4:
                options[flag] = True
        first = run(dice.choice((mode, "sync")))
        edits = [_random_edit(dice, base) for _ in range(dice.randint(1, 4))]
        steps = [first, run(mode, edits=edits, **options), run(mode, **options)]
        yield world(
            f"stroll {seed}", "stroll", sides["local"], sides["remote"], {}, steps, mode=mode, **options
        )


def _random_tree(dice: random.Random) -> Tree:
    tree: Tree = {f"anchor{n}": SAME for n in range(8)}
    for folder in ("", "p/", "q/", "p/r/"):
        if folder:
            tree[folder.rstrip("/")] = FOLDER
            tree |= {f"{folder}anchor{n}": SAME for n in range(4)}
        for name in "abc":
            if dice.random() < 0.7:
                tree[folder + name] = _random_file(dice)
    return tree


def _random_file(dice: random.Random) -> Node:
    return file(T0 + 100 * dice.randint(-3, 3), dice.randint(0, 9), dice.choice("xyz"))


def _random_edit(dice: random.Random, base: Tree) -> list[Any]:
    """Puts, edits or removes one file (folders stay: their removal has stories of its own)."""
    side = dice.choice(("local", "remote"))
    folder = dice.choice(("", "p/", "q/", "p/r/"))
    path = folder + dice.choice("abcd")
    if dice.random() < 0.4:
        return [side, path]
    return [side, path, file(T0 + 1000 * dice.randint(1, 3), dice.randint(0, 9), dice.choice("uvw"))]
