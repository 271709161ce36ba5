"""The table of the documentation names a test for every fault, and those tests exist."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = 105


def table() -> list[tuple[str, str]]:
    """The rows that each line is about, and the tests that it names."""
    text = (CHECKOUT / "docs" / "reliability.md").read_text()
    lines = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    return [(rows, tests) for rows, tests in lines if rows != "rows"]


def numbers(rows: str) -> list[int]:
    if rows == "all":
        return []
    found: list[int] = []
    for part in rows.split(", "):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def test_every_fault_has_a_line_of_its_own_or_shares_one() -> None:
    covered = sorted(number for rows, _ in table() for number in numbers(rows))
    assert covered == list(range(1, ROWS + 1))


def test_every_test_that_is_named_exists() -> None:
    missing: list[str] = []
    for rows, tests in table():
        named = re.findall(r"`([^`]+)`", tests)
        assert named, f"rows {rows} name no test"
        source = ""
        for name in named:
            if "/" in name:
                path = CHECKOUT / name
                source = path.read_text() if path.is_file() else ""
                missing += [] if source else [name]
            elif not re.search(rf"\b(?:fn|def) {re.escape(name)}\b", source):
                missing.append(f"{name} (rows {rows})")
    assert missing == []
