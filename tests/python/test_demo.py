"""The demo is the shortest test of everything at once: server, upload, conflict, synchronisation."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ftpsync import demo, util


def test_it_ends_with_two_equal_sides(capsys: Any) -> None:
    previous = util.get_pyftpsync_logger()
    assert demo.run_demo() == 0
    assert util.get_pyftpsync_logger() is previous
    out = capsys.readouterr().out
    assert "SKIP CONFLICT    *?* contact.html" in out
    assert "COPY CONFLICT    *<* contact.html" in out
    assert "Both sides are the same" in out
    assert "\x1b" not in out


def test_a_missing_server_package_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyftpdlib.authorizers", None)
    assert demo.run_demo() == 1
    assert "pip install 'pyftpsync-rs[demo]'" in capsys.readouterr().err


def test_sides_that_differ_are_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(demo, "_content", lambda root: {root.name: b""})
    assert demo.run_demo() == 1
    assert "ERROR: The two sides should be the same" in capsys.readouterr().err
