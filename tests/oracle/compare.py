"""Plays worlds in two environments and tells the outcomes apart.

`python tests/oracle/compare.py --only "new folder" --count 5` shows differences while working on the engine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import worlds as vocabulary
from environments import CACHE, Environment, reference, subject

DRIVER = Path(__file__).with_name("driver.py")
REPAIRS = Path(__file__).with_name("repairs.py")
#: The most that one batch of worlds may take; the reference needs a tenth of it.
DEADLINE = 900.0
#: After so many dead interpreters there is nothing to be learned from another one.
MOST_DEATHS = 5
#: The wish for synchronizers that override every hook, see `driver.py`.
HOOKED = "--hooked"

World = dict[str, Any]
Outcome = dict[str, Any]


def play(environment: Environment, worlds: Sequence[World], wishes: Sequence[str] = ()) -> dict[str, Outcome]:
    """Returns the outcome of every world, by name. A world that kills the interpreter has the outcome
    `died`. The wishes are those of `driver.py`: defects to repair, or `HOOKED`."""
    outcomes: dict[str, Outcome] = {}
    waiting = list(worlds)
    deaths = 0
    while waiting:
        done, last_words = _batch(environment, waiting, wishes)
        outcomes |= {outcome["id"]: outcome for outcome in done}
        waiting = waiting[len(done) :]
        if waiting:
            deaths += 1
            if not done and deaths == 1:
                raise RuntimeError(f"the driver does not run in {environment.python}:\n{last_words}")
            if deaths > MOST_DEATHS:
                raise RuntimeError(
                    f"{environment.name} died {deaths} times, last in {waiting[0]['id']}:\n{last_words}"
                )
            outcomes[waiting[0]["id"]] = {"id": waiting[0]["id"], "steps": [], "died": last_words}
            waiting = waiting[1:]
    return outcomes


def play_reference(worlds: Sequence[World], repairs: Sequence[str] = ()) -> dict[str, Outcome]:
    """As `play` with pyftpsync 4.1.0; what it did is kept, since neither it nor the worlds change often."""
    environment = reference("4.1.0")
    text = [DRIVER.read_text(encoding="utf-8"), REPAIRS.read_text(encoding="utf-8"), sys.version, *repairs]
    key = hashlib.sha256("\n".join([*text, json.dumps(list(worlds), sort_keys=True)]).encode()).hexdigest()[
        :16
    ]
    kept = CACHE / "oracle-4.1.0" / f"outcomes-{key}.json"
    if kept.exists():
        remembered: dict[str, Outcome] = json.loads(kept.read_text(encoding="utf-8"))
        return remembered
    outcomes = play(environment, worlds, repairs)
    partial = kept.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(outcomes), encoding="utf-8")
    partial.replace(kept)
    return outcomes


def play_all(
    worlds: Sequence[World], repairs: Sequence[str], with_hooks: Sequence[World] = ()
) -> tuple[dict[str, Outcome], ...]:
    """Returns the outcomes of the reference as it is, of the repaired reference, of ours, and of ours with every
    hook overridden."""
    with ThreadPoolExecutor(4) as pool:
        plain = pool.submit(play_reference, worlds)
        repaired = pool.submit(play_reference, worlds, repairs)
        ours = pool.submit(play, subject(), worlds)
        hooked = pool.submit(play, subject(), with_hooks, [HOOKED])
        return plain.result(), repaired.result(), ours.result(), hooked.result()


def play_hooked(worlds: Sequence[World]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """Returns the outcomes of ours as it is, and with every hook overridden by one that calls the super class."""
    with ThreadPoolExecutor(2) as pool:
        plain = pool.submit(play, subject(), worlds)
        hooked = pool.submit(play, subject(), worlds, [HOOKED])
        return plain.result(), hooked.result()


def _batch(
    environment: Environment, worlds: Sequence[World], wishes: Sequence[str]
) -> tuple[list[Outcome], str]:
    isolated = [] if environment.name == "ours" else ["-I"]
    command = [str(environment.python), *isolated, str(DRIVER), *wishes]
    stdin = "".join(json.dumps(world) + "\n" for world in worlds)
    try:
        ran = subprocess.run(
            command, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=DEADLINE
        )
        out, last_words = ran.stdout, f"exit {ran.returncode}: {ran.stderr[-1500:]}"
    except subprocess.TimeoutExpired as late:
        out, last_words = (late.stdout or b"").decode(), f"still running after {DEADLINE:.0f} s"
    whole_lines = out[: out.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in whole_lines], last_words


def differences(expected: Outcome, actual: Outcome) -> dict[str, tuple[Any, Any]]:
    """Returns what differs as {"step 1 lines": (expected, actual)}; statistics counter by counter."""
    if "died" in actual:
        return {"died": (None, actual["died"])}
    found: dict[str, tuple[Any, Any]] = {}
    for number, (one, other) in enumerate(zip(expected["steps"], actual["steps"], strict=True)):
        for field, value in one.items():
            if field == "stats":
                # New counters may be added; the documented ones are compared.
                for counter, count in value.items():
                    if count != other["stats"].get(counter):
                        found[f"step {number} stats.{counter}"] = (count, other["stats"].get(counter))
            elif value != other[field]:
                found[f"step {number} {field}"] = _only_different(value, other[field])
    return found


def _only_different(one: Any, other: Any) -> tuple[Any, Any]:
    if isinstance(one, dict) and isinstance(other, dict):
        return (
            {key: value for key, value in one.items() if other.get(key, _ABSENT) != value},
            {key: value for key, value in other.items() if one.get(key, _ABSENT) != value},
        )
    if isinstance(one, list) and isinstance(other, list) and one and isinstance(one[0], list):
        return [line for line in one if line not in other], [line for line in other if line not in one]
    return one, other


_ABSENT = object()


def fields_of(found: Iterable[str]) -> set[str]:
    """The names of the outcome fields in the keys of `differences`: "error", "lines", "stats.errors", ..."""
    return {key.split(" ", 2)[-1] for key in found}


def told(world: World, found: dict[str, tuple[Any, Any]]) -> str:
    rows = [f"{world['id']}"]
    for key, (expected, actual) in found.items():
        rows += [f"    {key}", f"        expected {expected!r}", f"        actual   {actual!r}"]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="play the worlds whose name contains this")
    parser.add_argument("--count", type=int, default=20, help="show so many differences")
    parser.add_argument(
        "--repair", nargs="*", default=sorted(_known_repairs()), help="defects to take out of the reference"
    )
    parser.add_argument(HOOKED, action="store_true", help="compare ours with itself, every hook overridden")
    parser.add_argument("--worlds", action="store_true", help="print the worlds as JSON lines and stop")
    args = parser.parse_args()
    chosen = [world for world in vocabulary.everything() if args.only in world["id"]]
    if args.worlds:
        for world in chosen:
            print(json.dumps(world))
        return
    if args.hooked:
        expected, actual = play_hooked(chosen)
    else:
        _, expected, actual, _ = play_all(chosen, args.repair)
    differing = [(world, differences(expected[world["id"]], actual[world["id"]])) for world in chosen]
    differing = [(world, found) for world, found in differing if found]
    for world, found in differing[: args.count]:
        print(told(world, found))
    print(f"{len(differing)} of {len(chosen)} worlds differ")


def _known_repairs() -> list[str]:
    return [
        line.split('"')[1]
        for line in REPAIRS.read_text(encoding="utf-8").splitlines()
        if line.startswith('    "D')
    ]


if __name__ == "__main__":
    main()
