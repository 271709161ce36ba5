"""The crates that the core is made of: licences, sources, and some that must not be among them, as in `deny.toml`.

Known defects are another matter: they are in a database on the network, which `cargo deny check advisories` asks.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def crates() -> list[dict[str, Any]]:
    """Every crate that any feature on any system would bring."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout)["packages"]
    assert len(found) > 50
    return found


def listed(name: str) -> set[str]:
    """A list of texts in `deny.toml`."""
    found = re.search(rf"^{name} = (\[.*?\])", (ROOT / "deny.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return set(ast.literal_eval(found[1]))


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether a licence expression (SPDX, or the older form with a slash) can be kept with what is allowed."""
    expression = licence.replace("/", " OR ")
    words = re.split(r"(\(|\)| OR | AND )", expression)
    keywords = {"(", ")", " OR ", " AND "}
    judged = [
        word.lower() if word in keywords else str(word.strip() in allowed) for word in words if word.strip()
    ]
    # Only brackets, or, and, True and False are left.
    return bool(eval("".join(f" {word} " for word in judged)))


def test_expressions_are_read_as_meant() -> None:
    allowed = {"MIT", "ISC"}
    assert is_allowed("MIT OR GPL-3.0", allowed) and is_allowed("GPL-3.0/MIT", allowed)
    assert is_allowed("(GPL-3.0 OR MIT) AND ISC", allowed)
    assert not is_allowed("MIT AND GPL-3.0", allowed) and not is_allowed("GPL-3.0", allowed)


def test_every_licence_is_one_of_those_that_are_allowed(crates: list[dict[str, Any]]) -> None:
    allowed = listed("allow")
    others = {
        crate["name"]: crate["license"]
        for crate in crates
        if not is_allowed(crate["license"] or "none", allowed)
    }
    assert others == {}


def test_every_crate_comes_from_the_registry(crates: list[dict[str, Any]]) -> None:
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    elsewhere = {
        crate["name"]: crate["source"] for crate in crates if crate["source"] not in (registry, None)
    }
    own = [crate["name"] for crate in crates if crate["source"] is None]
    assert elsewhere == {} and own == ["pyftpsync-rs"]


def test_there_is_one_implementation_of_tls(crates: list[dict[str, Any]]) -> None:
    assert {crate["name"] for crate in crates} & listed("deny") == set()
