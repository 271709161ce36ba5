"""The command line against that of pyftpsync 4.1.0 and 3.1.0, scenario by scenario; only intended differences pass."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import compare_scenarios as compare
import pytest
import scenarios
from environments import Environment
from playing import HANGS

GOLDEN = Path(__file__).parents[1] / "golden" / "intended_output.py"
SHOWN = 40
COMMANDS = ("upload", "download", "sync", "run", "scan", "tree")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


intended = _load(GOLDEN)


@pytest.fixture(scope="module")
def played(
    reference_41: Environment, reference_31: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, compare.Played]:
    return {
        release: compare.play_everywhere(scenarios.everything(), release, tmp_path_factory.mktemp(release))
        for release in compare.RELEASES
    }


def rules_for(
    name: str, found: dict[str, Any], one: compare.Outcome, other: compare.Outcome
) -> tuple[set[str], list]:
    """The rules that the differences of a step need, and what none of them allows."""
    speaking = [rule for rule in intended.RULES if rule.speaks_of(name)]
    used: set[str] = set()
    left: list[Any] = []
    for stream in compare.LINES:
        for is_ours, lines in enumerate(found.get(stream, ((), ()))):
            for line in lines:
                allowing = [rule for rule in speaking if rule.allows(line, bool(is_ours))]
                allowing = [rule for rule in allowing if rule.holds(one, other)]
                used |= {rule.id for rule in allowing}
                if not allowing:
                    left.append(f"{stream} of {'ours' if is_ours else 'reference'}: {line}")
    for field, values in found.items():
        if field in compare.LINES or (field in ("first", "last") and "stdout" in found):
            continue
        allowing = [rule for rule in speaking if field in rule.fields and rule.holds(one, other)]
        used |= {rule.id for rule in allowing}
        if not allowing:
            left.append(f"{field}: reference {values[0]!r}, ours {values[1]!r}")
    return used, left


def test_every_difference_is_intended(played: dict[str, compare.Played]) -> None:
    unexpected: list[str] = []
    used: set[str] = set()
    for release, plays in played.items():
        for name, theirs in plays.theirs.items():
            for step, (one, other) in enumerate(zip(theirs, plays.ours[name], strict=True)):
                rules, left = rules_for(name, compare.differences(one, other), one, other)
                used |= rules
                unexpected += [f"{release}, {name}, step {step}: {what}" for what in left]
    shown = "\n".join(unexpected[:SHOWN])
    assert not unexpected, f"{len(unexpected)} unexpected differences:\n{shown}"
    stale = [rule.id for rule in intended.RULES if rule.id not in used]
    assert not stale, f"rules that no scenario needs: {stale}"


def test_a_command_with_every_hook_overridden_does_the_same(played: dict[str, compare.Played]) -> None:
    """Hooks that only call the super class change neither what is done, nor told, nor counted, nor remembered."""
    plays = played["4.1.0"]
    differing = [
        compare.told(name, step, found)
        for name, hooked in plays.hooked.items()
        for step, (one, other) in enumerate(zip(plays.ours[name], hooked, strict=True))
        if (found := compare.differences(one, other))
    ]
    shown = "\n".join(differing[:SHOWN])
    assert not differing, f"{len(differing)} steps differ:\n{shown}"
    assert len(plays.hooked) > len(plays.ours) / 2


def test_every_repair_shows(played: dict[str, compare.Played]) -> None:
    """A defect that a scenario says to show is one that does."""
    idle = [
        scenario.name
        for scenario in scenarios.everything()
        for plays in played.values()
        if scenario.repairs and scenario.name in plays.plain
        if plays.plain[scenario.name] == plays.theirs[scenario.name]
    ]
    assert not idle, f"scenarios that need no repair: {idle}"


def test_the_reference_is_heard(played: dict[str, compare.Played]) -> None:
    """Were the player to fail everywhere alike, every comparison would pass."""
    plays = played["4.1.0"]
    steps = [step for outcomes in plays.plain.values() for step in outcomes]
    fine = [step for step in steps if step["exit"] == 0]
    assert len(plays.plain) >= 60 and len(steps) > 300
    assert len(fine) > len(steps) / 2
    assert not any(step["exit"] == HANGS for step in steps)
    for code in (0, 1, 2, 3, 10):
        assert any(step["exit"] == code for step in steps), f"no scenario ends with {code}"
    assert sum(any(line.startswith("COPY ") for line in step["stdout"]) for step in fine) > 100
    assert sum("SKIP CONFLICT" in " ".join(step["stdout"]) for step in fine) > 20
    assert any(step["progress"] for step in steps) and any(step["talk"] for step in steps)
    assert any(step["stats"] for step in steps)


def test_every_option_of_the_reference_is_given(reference_41: Environment) -> None:
    """Options that all commands have with any of them, the others with each command that has them."""
    offered = {command: options_of(reference_41, command) for command in COMMANDS}
    shared = set.intersection(*offered.values())
    given: dict[str, set[str]] = {command: set() for command in COMMANDS}
    for scenario in scenarios.everything():
        for step in scenario.steps:
            words = {word.split("=")[0] for word in step.args}
            for command in words & given.keys():
                given[command] |= words
    everywhere = set().union(*given.values())
    missing = [
        f"{command} {'/'.join(names)}"
        for command in COMMANDS
        for names in offered[command]
        if not set(names) & (everywhere if names in shared else given[command])
    ]
    assert not missing, f"options that no scenario gives: {missing}"
    assert len(everywhere) > 40


def options_of(environment: Environment, command: str) -> set[tuple[str, ...]]:
    """The options in the help of a command, each with all its names."""
    line = [str(environment.python), "-I", "-m", "ftpsync.pyftpsync", command, "--help"]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    named = [
        re.findall(r"(?<!\S)--?[a-z][a-z-]*", row) for row in re.findall(r"(?m)^  (-\S.*?)(?:  |$)", text)
    ]
    return {tuple(names) for names in named} - {("-h", "--help")}
