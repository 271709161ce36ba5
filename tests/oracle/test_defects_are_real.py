"""Tests of ours, run with the references themselves.

With 4.1.0 the tests of defects that are repaired must fail, and those of what is kept must pass; and each release must
pass its half of the tests of what differs between the two. So the tests say what they seem to say.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import Environment
from running import run_tests

#: Rows whose verdict is to keep what 4.1 does; of D40 only what the option restores.
KEPT = {"d08", "d28", "d29", "d30", "d31", "d33", "d34", "d38"}
KEPT_TESTS = {"test_d40_the_documented_limitation_can_be_had", "test_every_row_has_its_test"}


@pytest.fixture(scope="module")
def defects(reference_41: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("defects")
    outcomes = run_tests(reference_41, "test_defects*.py", folder, "not d23")
    assert len(outcomes) > 50
    return outcomes


def is_kept(test: str) -> bool:
    return test.removeprefix("test_")[:3] in KEPT or test.split("[")[0] in KEPT_TESTS


def test_the_reference_has_what_is_repaired(defects: dict[str, str]) -> None:
    assert [test for test, outcome in defects.items() if not is_kept(test) and outcome != "FAILED"] == []


def test_the_reference_does_what_is_kept(defects: dict[str, str]) -> None:
    assert [test for test, outcome in defects.items() if is_kept(test) and outcome != "PASSED"] == []


@pytest.mark.parametrize("release", ["4.1", "3.1"])
def test_each_release_does_its_half(
    release: str, reference_41: Environment, reference_31: Environment, tmp_path: Path
) -> None:
    environment = {"4.1": reference_41, "3.1": reference_31}[release]
    outcomes = run_tests(environment, "test_releases.py", tmp_path, f"{release} and not other_release")
    assert len(outcomes) > 12
    assert [test for test, outcome in outcomes.items() if outcome != "PASSED"] == []
