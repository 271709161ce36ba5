"""Runs tests of upstream, which are a package in the current folder; prints a JSON line for each of them.

`python play.py [--all] PACKAGE [WORD]`: those with this word in their name, all without one. With `--all` also what
upstream has switched off: the benchmark, and tests of 1.x that are marked as to be done.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import unittest
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

SWITCHED_OFF = "Not yet implemented."


class Outcomes(unittest.TestResult):
    """Tells how each test ended."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def tell(self, test: unittest.TestCase, outcome: str, why: str = "") -> None:
        self.answer.write(json.dumps({"test": test.id(), "outcome": outcome, "why": why}) + "\n")

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.tell(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.tell(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.tell(test, "failed", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.tell(test, "error", self.errors[-1][1])


def main() -> None:
    args = sys.argv[1:]
    takes_all = args[:1] == ["--all"]
    package, word = [*args[takes_all:], ""][:2]
    sys.path.insert(0, os.getcwd())
    names = [f"{package}.{path.stem}" for path in sorted(Path(package).glob("test_*.py"))]
    answer, skip = sys.stdout, unittest.TestCase.skipTest

    def skip_unless_all(test: unittest.TestCase, reason: str) -> None:
        if not takes_all or reason != SWITCHED_OFF:
            skip(test, reason)

    with redirect_stdout(sys.stderr), mock.patch.object(unittest.TestCase, "skipTest", skip_unless_all):
        importlib.import_module(f"{package}.test_bench").DO_BENCHMARKS = takes_all
        tests = unittest.defaultTestLoader.loadTestsFromNames(names)
        unittest.TestSuite(test for test in flat(tests) if word in test.id()).run(Outcomes(answer))


def flat(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


if __name__ == "__main__":
    main()
