"""Synchronizers that override every hook and do nothing in it but call the super class."""

from __future__ import annotations

from typing import Any

import ftpsync
import ftpsync.synchronizers

NAMES = ("BiDirSynchronizer", "DownloadSynchronizer", "UploadSynchronizer")
#: What the contract lets subclasses override.
HOOKS = (
    "_before_sync",
    "re_classify_pair",
    "_match",
    "on_mismatch",
    "on_equal",
    "on_copy_local",
    "on_copy_remote",
    "on_delete_local",
    "on_delete_remote",
    "on_need_compare",
    "on_conflict",
    "on_error",
    "_interactive_resolve",
    "_log_action",
    "_tick",
    "_dry_run_action",
    "_inc_stat",
    "_copy_file",
    "_copy_recursive",
    "_remove_file",
    "_remove_dir",
    "_compare_file",
    "_test_match_or_print",
    "_print_pair_diff",
    "_sync_dir",
)


def hooked(plain: type) -> type:
    """A subclass that overrides every hook and changes nothing."""

    def override(name: str) -> Any:
        def method(self: Any, *args: Any, **named: Any) -> Any:
            return getattr(super(subclass, self), name)(*args, **named)

        return method

    subclass = type(plain.__name__, (plain,), {name: override(name) for name in HOOKS})
    return subclass


def hook_everything() -> None:
    """Puts such subclasses where the command and scripts look for the synchronizers."""
    for name in NAMES:
        subclass = hooked(getattr(ftpsync.synchronizers, name))
        for module in (ftpsync, ftpsync.synchronizers):
            if hasattr(module, name):
                setattr(module, name, subclass)
