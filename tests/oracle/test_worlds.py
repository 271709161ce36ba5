"""Ours against pyftpsync 4.1.0, world by world; only intended differences pass."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import compare
import pytest
import worlds
from environments import Environment

GOLDEN = Path(__file__).parents[1] / "golden" / "intended_differences.py"
SHOWN = 20


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


intended = _load(GOLDEN)


@dataclass(frozen=True)
class Played:
    worlds: list[compare.World]
    plain: dict[str, compare.Outcome]
    repaired: dict[str, compare.Outcome]
    ours: dict[str, compare.Outcome]
    hooked: dict[str, compare.Outcome]


def hooked_sample(everything: list[compare.World]) -> list[compare.World]:
    """All stories and strolls, and every third of the many cells: `compare.py --hooked` plays all."""
    cells = [world for world in everything if world["fields"]["kind"] in ("cell", "rehearsal")]
    return [world for world in everything if world["fields"]["kind"] not in ("cell", "rehearsal")] + cells[
        ::3
    ]


@pytest.fixture(scope="module")
def played(reference_41: Environment) -> Played:
    everything = worlds.everything()
    repairs = [repair.id for repair in intended.REPAIRS]
    return Played(everything, *compare.play_all(everything, repairs, hooked_sample(everything)))


def covering(world: compare.World, played: Played, found: dict[str, Any]) -> list[str]:
    """The rules that allow this difference, in every respect."""
    fields = {field.split(".")[0] for field in compare.fields_of(found)}
    return [
        rule.id
        for rule in intended.RULES
        if rule.worlds(world["fields"]) and fields <= rule.fields and obeys(rule, world, played)
    ]


def obeys(rule: Any, world: compare.World, played: Played) -> bool:
    """Whether ours does in this world what the rule says."""
    expected, actual = played.repaired[world["id"]], played.ours[world["id"]]
    if rule.instead:
        expected = played.repaired[rule.instead(world["id"])]
        if compare.fields_of(compare.differences(expected, actual)) - intended.WRITTEN:
            return False
    return bool(rule.ours(world["fields"], expected["steps"], actual["steps"]))


def test_every_difference_is_intended(played: Played) -> None:
    unexpected: list[str] = []
    used: set[str] = set()
    for world in played.worlds:
        found = compare.differences(played.repaired[world["id"]], played.ours[world["id"]])
        if found:
            rules = covering(world, played, found)
            used |= set(rules)
            if len(rules) != 1:
                why = f"covered by {rules}" if rules else "covered by no rule"
                unexpected.append(f"[{why}] {compare.told(world, found)}")
    stale = [rule.id for rule in intended.RULES if rule.id not in used]
    shown = "\n".join(unexpected[:SHOWN])
    assert not unexpected, f"{len(unexpected)} of {len(played.worlds)} worlds differ unexpectedly:\n{shown}"
    assert not stale, f"rules that cover no difference: {stale}"


def test_every_repair_shows_and_only_where_it_should(played: Played) -> None:
    changed = [
        w for w in played.worlds if compare.differences(played.plain[w["id"]], played.repaired[w["id"]])
    ]
    stray = [
        world["id"]
        for world in changed
        if not any(repair.worlds(world["fields"]) for repair in intended.REPAIRS)
    ]
    idle = [repair.id for repair in intended.REPAIRS if not any(repair.worlds(w["fields"]) for w in changed)]
    assert not stray, f"{len(stray)} worlds changed by a repair that does not speak of them: {stray[:SHOWN]}"
    assert not idle, f"repairs that show nowhere: {idle}"


def test_the_reference_is_heard(played: Played) -> None:
    """Were the driver to fail everywhere alike, every comparison would pass."""
    first = [played.plain[world["id"]]["steps"][0] for world in played.worlds]
    fine = [step for step in first if step["error"] is None]
    assert len(fine) > len(first) * 3 / 4
    assert sum(step["stats"]["files_written"] > 0 for step in fine) > 1000
    assert sum(step["stats"]["files_deleted"] > 0 for step in fine) > 500
    assert sum(step["stats"]["conflict_files"] > 0 for step in fine) > 500
    assert sum(bool(step["lines"]) for step in fine) > len(fine) * 0.99


def test_a_run_with_every_hook_overridden_does_the_same(played: Played) -> None:
    """Hooks that only call the super class change neither what is done, nor told, nor counted, nor remembered."""
    differing: list[str] = []
    for name, actual in played.hooked.items():
        found = compare.differences(played.ours[name], actual)
        if found:
            differing.append(compare.told({"id": name}, found))
    shown = "\n".join(differing[:SHOWN])
    assert not differing, f"{len(differing)} of {len(played.hooked)} worlds differ:\n{shown}"
    assert len(played.hooked) > len(played.ours) / 3
