"""Names that scripts and their tests look up in a module of ours, although it does not need them itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazily"]


def lazily(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module, which imports such a name when it is asked for.

    Args:
        module: Name of the module.
        places: For each name where it comes from: a module, or `module:attribute`.
    """

    def look_up(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, attribute = places[name].partition(":")
        found = importlib.import_module(home)
        return getattr(found, attribute) if attribute else found

    return look_up
