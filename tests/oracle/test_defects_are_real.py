"""The tests of the defects, run with 4.1.0: those of what is repaired must fail there, those of what is kept pass."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from environments import Environment
from running import run_python

TESTS = Path(__file__).parents[1] / "python"

#: What pytest consists of; some parts only with some versions of Python.
PYTEST = (
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "py",
    "exceptiongroup",
    "tomli",
)

#: Rows whose verdict is to keep what 4.1 does; of D40 only what the option restores.
KEPT = {"d08", "d28", "d29", "d30", "d31", "d33", "d34", "d38"}
KEPT_TESTS = {"test_d40_the_documented_limitation_can_be_had", "test_every_row_has_its_test"}


@pytest.fixture(scope="module")
def outcomes(reference_41: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Runs the tests in the environment of 4.1.0, which has no pytest of its own; returns `passed` or `failed`."""
    folder = tmp_path_factory.mktemp("defects")
    library = folder / "library"
    library.mkdir()
    for name in PYTEST:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            found = origin.parent if origin.name == "__init__.py" else origin
            (library / found.name).symlink_to(found)
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--noconftest", "-c", str(folder / "none.ini")]
    (folder / "none.ini").write_text("[pytest]\n")
    chosen = [*map(str, sorted(TESTS.glob("test_defects*.py"))), "-k", "not d23"]
    variables = {"PYTHONPATH": f"{library}:{TESTS}"}
    ran = run_python(reference_41, ["-m", "pytest", *options, *chosen], folder / "home", variables)
    found = dict(
        reversed(line)
        for line in re.findall(r"^(PASSED|FAILED) \S*?::(.*?)(?: - .*)?$", ran.stdout, re.MULTILINE)
    )
    assert len(found) > 50, ran.stdout[-3000:] + ran.stderr
    return found


def is_kept(test: str) -> bool:
    return test.removeprefix("test_")[:3] in KEPT or test.split("[")[0] in KEPT_TESTS


def test_the_reference_has_what_is_repaired(outcomes: dict[str, str]) -> None:
    assert [test for test, outcome in outcomes.items() if not is_kept(test) and outcome != "FAILED"] == []


def test_the_reference_does_what_is_kept(outcomes: dict[str, str]) -> None:
    assert [test for test, outcome in outcomes.items() if is_kept(test) and outcome != "PASSED"] == []
