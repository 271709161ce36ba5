"""Fixtures of the comparison with the reference implementation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import environments


def _reference(release: str) -> environments.Environment:
    try:
        return environments.reference(release)
    except environments.Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"pyftpsync {release} could not be installed: {why}", pytrace=False)
        pytest.skip(f"pyftpsync {release} could not be installed: {why}")


@pytest.fixture(scope="session")
def reference_41() -> environments.Environment:
    return _reference("4.1.0")


@pytest.fixture(scope="session")
def reference_31() -> environments.Environment:
    return _reference("3.1.0")


@pytest.fixture(scope="session")
def ours() -> environments.Environment:
    return environments.subject()
