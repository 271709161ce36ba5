"""Plays the scenarios of the command line in two environments and tells the outcomes apart.

`python tests/oracle/compare_scenarios.py --only "first sync" --release 3.1.0` shows what differs, rules aside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scenarios
from environments import CACHE, Environment, reference, subject
from playing import Outcome, play, servers
from scenario import Scenario

#: Plays at a time: most of a play is waiting for programs to start, and for the server.
PLAYS = 3
RELEASES = ("4.1.0", "3.1.0")
LINES = ("stdout", "stderr")
HERE = Path(__file__).parent
#: What `altered.py` is told for a scenario; nothing where the package stays as it is.
Altered = Callable[[Scenario], tuple[str, ...]]
#: On these depends what a scenario shows, beside its own words.
SOURCES = (
    "ftp_server.py",
    "looking.py",
    "playing.py",
    "altered.py",
    "repairs.py",
    "running.py",
    "terminal.py",
)


@dataclass(frozen=True)
class Played:
    """What came of the scenarios: `plain` is the reference as it is, `theirs` without the defects that show.

    `hooked` is ours with every hook overridden, where it is compared with 4.1.0."""

    plain: dict[str, list[Outcome]]
    theirs: dict[str, list[Outcome]]
    ours: dict[str, list[Outcome]]
    hooked: dict[str, list[Outcome]]


def play_everywhere(chosen: Sequence[Scenario], release: str, root: Path) -> Played:
    """Plays what is to be compared with a release; ours is told to be like 3.1 where it is compared with that."""
    chosen = [scenario for scenario in chosen if release in scenario.releases]
    more = {"PYFTPSYNC_COMPAT": "3.1"} if release == "3.1.0" else {}
    repaired = [scenario for scenario in chosen if scenario.repairs]
    plain = _kept(chosen, release, root / "plain", lambda scenario: ())
    theirs = _kept(
        repaired, release, root / "repaired", lambda scenario: ("repaired", ",".join(scenario.repairs))
    )
    ours = _play_all(chosen, subject(), root / "ours", more)
    hookable = [scenario for scenario in chosen if release == RELEASES[0] and synchronizes(scenario)]
    hooked = _play_all(hookable, subject(), root / "hooked", more, lambda scenario: ("hooked",))
    return Played(plain, {**plain, **theirs}, ours, hooked)


def synchronizes(scenario: Scenario) -> bool:
    return any(
        step.script or {"upload", "download", "sync", "run"} & set(step.args) for step in scenario.steps
    )


def _kept(chosen: Sequence[Scenario], release: str, root: Path, altered: Altered) -> dict[str, list[Outcome]]:
    """What a reference release did is kept, scenario by scenario, as long as neither it nor the sources here change."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.py")) if path.name in SOURCES
    )
    home = CACHE / f"oracle-{release}" / "scenarios"
    home.mkdir(exist_ok=True)
    outcomes: dict[str, list[Outcome]] = {}
    files: dict[str, Path] = {}
    for scenario in chosen:
        text = "".join((sources, sys.version, repr(scenario), *altered(scenario)))
        file = home / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        if file.exists():
            outcomes[scenario.name] = json.loads(file.read_text(encoding="utf-8"))
        else:
            files[scenario.name] = file
    fresh = [scenario for scenario in chosen if scenario.name in files]
    for name, outcome in _play_all(fresh, reference(release), root, {}, altered).items():
        partial = files[name].with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(outcome), encoding="utf-8")
        partial.replace(files[name])
        outcomes[name] = json.loads(json.dumps(outcome))
    return outcomes


def _play_all(
    chosen: Sequence[Scenario],
    environment: Environment,
    root: Path,
    more: dict[str, str],
    altered: Altered = lambda scenario: (),
) -> dict[str, list[Outcome]]:
    with servers(reference("4.1.0"), root) as available, ThreadPoolExecutor(PLAYS) as pool:
        for scenario in chosen:
            available.with_options(scenario.server)
        plays = {
            scenario.name: pool.submit(play, scenario, environment, available, root, more, altered(scenario))
            for scenario in chosen
        }
        return {name: future.result() for name, future in plays.items()}


def differences(reference: Outcome, ours: Outcome) -> dict[str, tuple[Any, Any]]:
    """What differs in one step: of lines those that only one side has, of trees and tables what is not alike."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, one in reference.items():
        other = ours[name]
        if one == other:
            continue
        if name in LINES:
            only = Counter(one) - Counter(other), Counter(other) - Counter(one)
            found[name] = tuple(sorted(lines.elements()) for lines in only)  # type: ignore[assignment]
        elif isinstance(one, dict) and isinstance(other, dict):
            found[name] = (
                {key: value for key, value in one.items() if key not in other or other[key] != value},
                {key: value for key, value in other.items() if key not in one or one[key] != value},
            )
        else:
            found[name] = one, other
    return found


def told(name: str, step: int, found: dict[str, tuple[Any, Any]]) -> str:
    rows = [f"{name}, step {step}"]
    for field, (expected, actual) in found.items():
        rows += [f"    {field}", f"        reference {expected!r}", f"        ours      {actual!r}"]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="play the scenarios whose name contains this")
    parser.add_argument("--release", default=RELEASES[0], choices=RELEASES)
    parser.add_argument(
        "--hooked", action="store_true", help="compare ours with itself, every hook overridden"
    )
    parser.add_argument("--full", action="store_true", help="show the whole outcomes")
    args = parser.parse_args()
    chosen = [scenario for scenario in scenarios.everything() if args.only in scenario.name]
    with tempfile.TemporaryDirectory(prefix="scenarios-") as scratch:
        played = play_everywhere(chosen, args.release, Path(scratch))
    pairs = (played.ours, played.hooked) if args.hooked else (played.theirs, played.ours)
    for name, expected in pairs[0].items():
        for step, (one, other) in enumerate(zip(expected, pairs[1][name], strict=True)):
            found = {key: (one[key], other[key]) for key in one} if args.full else differences(one, other)
            if found:
                print(told(name, step, found))


if __name__ == "__main__":
    main()
