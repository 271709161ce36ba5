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
from collections.abc import Sequence
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
#: On these depends what a scenario shows, beside its own words.
SOURCES = (
    "ftp_server.py",
    "looking.py",
    "playing.py",
    "repaired.py",
    "repairs.py",
    "running.py",
    "terminal.py",
)


@dataclass(frozen=True)
class Played:
    """What came of the scenarios: `plain` is the reference as it is, `theirs` without the defects that show."""

    plain: dict[str, list[Outcome]]
    theirs: dict[str, list[Outcome]]
    ours: dict[str, list[Outcome]]


def play_everywhere(chosen: Sequence[Scenario], release: str, root: Path) -> Played:
    """Plays what is to be compared with a release; ours is told to be like 3.1 where it is compared with that."""
    chosen = [scenario for scenario in chosen if release in scenario.releases]
    more = {"PYFTPSYNC_COMPAT": "3.1"} if release == "3.1.0" else {}
    repaired = [scenario for scenario in chosen if scenario.repairs]
    plain = _kept(chosen, release, root / "plain", ())
    theirs = _kept(repaired, release, root / "repaired", ("repaired",))
    ours = _play_all(chosen, subject(), root / "ours", more)
    return Played(plain, {**plain, **theirs}, ours)


def _kept(
    chosen: Sequence[Scenario], release: str, root: Path, how: tuple[str, ...]
) -> dict[str, list[Outcome]]:
    """What a reference release did is kept, scenario by scenario, as long as neither it nor the sources here change."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.py")) if path.name in SOURCES
    )
    home = CACHE / f"oracle-{release}" / "scenarios"
    home.mkdir(exist_ok=True)
    outcomes: dict[str, list[Outcome]] = {}
    files: dict[str, Path] = {}
    for scenario in chosen:
        text = "".join((sources, sys.version, repr(scenario), *how))
        file = home / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        if file.exists():
            outcomes[scenario.name] = json.loads(file.read_text(encoding="utf-8"))
        else:
            files[scenario.name] = file
    fresh = [scenario for scenario in chosen if scenario.name in files]
    for name, outcome in _play_all(fresh, reference(release), root, {}, bool(how)).items():
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
    repaired: bool = False,
) -> dict[str, list[Outcome]]:
    with servers(reference("4.1.0"), root) as available, ThreadPoolExecutor(PLAYS) as pool:
        for scenario in chosen:
            available.with_options(scenario.server)
        plays = {
            scenario.name: pool.submit(
                play, scenario, environment, available, root, more, scenario.repairs if repaired else ()
            )
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
    parser.add_argument("--full", action="store_true", help="show the whole outcomes")
    args = parser.parse_args()
    chosen = [scenario for scenario in scenarios.everything() if args.only in scenario.name]
    with tempfile.TemporaryDirectory(prefix="scenarios-") as scratch:
        played = play_everywhere(chosen, args.release, Path(scratch))
    for name, theirs in played.theirs.items():
        for step, (one, other) in enumerate(zip(theirs, played.ours[name], strict=True)):
            found = {key: (one[key], other[key]) for key in one} if args.full else differences(one, other)
            if found:
                print(told(name, step, found))


if __name__ == "__main__":
    main()
