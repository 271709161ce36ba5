"""Which hooks of a synchronizer user code overrides: the core calls those, and only those."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ftpsync.util import DEBUG_FLAGS, emulates_31

if TYPE_CHECKING:
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["HANDLERS", "LEAVES", "hook", "is_overridden", "overridden_hooks"]

#: Methods that a subclass or an instance may override.
_HOOKS: Final = (
    "_before_sync",
    "_copy_file",
    "_copy_recursive",
    "_inc_stat",
    "_interactive_resolve",
    "_log_action",
    "_match",
    "_remove_dir",
    "_remove_file",
    "_sync_dir",
    "_tick",
    "on_conflict",
    "on_copy_local",
    "on_copy_remote",
    "on_delete_local",
    "on_delete_remote",
    "on_equal",
    "on_error",
    "on_mismatch",
    "on_need_compare",
    "re_classify_pair",
)

#: Those that copy or delete one file or folder.
LEAVES: Final = ("_copy_file", "_copy_recursive", "_remove_dir", "_remove_file")

#: Those that deal with a pair.
HANDLERS: Final = tuple(name for name in _HOOKS if name.startswith("on_") and name != "on_error")

#: Those whose defaults ask `_test_match_or_print()` first.
_MATCHED: Final = ("on_conflict", "on_copy_local", "on_copy_remote")

_Method = TypeVar("_Method", bound=Callable[..., Any])

#: The defaults of the hooks. What is none of these very functions is an override, however much it looks like one: a
#: wrapper has the attributes of what it wraps, and a mock has any attribute.
_DEFAULTS: Final[list[Callable[..., Any]]] = []


def hook(method: _Method) -> _Method:
    """Notes the default of a hook, so that an override can be told from it."""
    _DEFAULTS.append(method)
    return method


def is_overridden(synchronizer: BaseSynchronizer, name: str) -> bool:
    """Tells whether a hook is anything else than a default, called on this very object."""
    method = getattr(synchronizer, name)
    if getattr(method, "__self__", None) is not synchronizer:
        return True
    function = getattr(method, "__func__", None)
    return not any(function is default and default.__name__ == name for default in _DEFAULTS)


def overridden_hooks(synchronizer: BaseSynchronizer) -> list[str]:
    """Returns the names of the hooks that the core has to call."""
    hooks = [name for name in _HOOKS if is_overridden(synchronizer, name)]
    if synchronizer._has_own_filter() and "_match" not in hooks:
        hooks.append("_match")
    if is_overridden(synchronizer, "_test_match_or_print"):
        hooks.extend(name for name in _MATCHED if name not in hooks)
    if synchronizer.dry_run and is_overridden(synchronizer, "_dry_run_action"):
        hooks.extend(name for name in LEAVES if name not in hooks)
    if _logs_decisions(synchronizer) and "re_classify_pair" not in hooks:
        hooks.append("re_classify_pair")
    return hooks


def _logs_decisions(synchronizer: BaseSynchronizer) -> bool:
    """Tells whether lines about single decisions are wanted; the default of the hook writes them."""
    return "classify" in DEBUG_FLAGS or (emulates_31() and synchronizer.verbose >= 4)
