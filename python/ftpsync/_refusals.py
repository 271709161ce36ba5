"""What a run looks at before it begins: what would make it do something else than the user means."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

from ftpsync import resources
from ftpsync._bridge import replaces
from ftpsync._overrides import is_overridden
from ftpsync.metadata import DirMetadata
from ftpsync.util import write

if TYPE_CHECKING:
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["doubt_patterns", "refuse_changed_tables", "refuse_overlap"]

_META_FILE_NAME: Final = DirMetadata.META_FILE_NAME

#: How entries and pairs are judged: by class and name.
_JUDGEMENT: Final = {
    (kind, name): getattr(kind, name)
    for kind, name in (
        (resources.FileEntry, "EPS_TIME"),
        (resources.FileEntry, "_eps_compare"),
        (resources.FileEntry, "classify"),
        (resources.DirectoryEntry, "classify"),
        (resources.EntryPair, "classify"),
    )
}


def refuse_changed_tables(operation_map: object) -> None:
    """Makes sure that nothing was changed that the core has a copy of: the change would be ignored.

    Args:
        operation_map: The decision table, where users find it.

    Raises:
        RuntimeError: Something was.
    """
    if not operation_map == resources.operation_map == resources._decision_table():
        raise RuntimeError(
            "operation_map was changed, which has no effect: override re_classify_pair() instead"
        )
    for (kind, name), usual in _JUDGEMENT.items():
        if getattr(kind, name) != usual:
            raise RuntimeError(
                f"{kind.__name__}.{name} was changed, which has no effect: override re_classify_pair() instead, "
                "or put the times right in _before_sync()"
            )
    if DirMetadata.META_FILE_NAME != _META_FILE_NAME:
        changed = DirMetadata.META_FILE_NAME
        raise RuntimeError(
            f"the name of the metadata files cannot be changed to {changed!r}: it is {_META_FILE_NAME}"
        )


def refuse_overlap(synchronizer: BaseSynchronizer, left_out: Iterable[str]) -> None:
    """Makes sure that the two sides are different folders, and that none would be synchronised into itself.

    Args:
        synchronizer: With both sides.
        left_out: Patterns of names that do not take part.

    Raises:
        ValueError: They are not, and no user code may know better.
    """
    local, remote = synchronizer.local, synchronizer.remote
    one, other = local._whereabouts(), remote._whereabouts()
    if one is None or other is None or one[0] != other[0]:
        return
    outer, inner = sorted((one[1], other[1]), key=len)
    if inner[: len(outer)] != outer:
        return
    shown = f"{local.get_base_name()} and {remote.get_base_name()}"
    if outer == inner:
        raise ValueError(f"local and remote are the same folder: {shown}")
    between = inner[len(outer) :]
    if any(fnmatch(name, pattern) for pattern in left_out for name in between):
        return
    hint = f"exclude {between[0]!r}, or choose another folder"
    problem = f"one side is inside the other: {shown} ({hint})"
    if not _may_leave_out_folders(synchronizer):
        raise ValueError(problem)
    if synchronizer.verbose >= 1:  # Only that code knows whether it leaves out the inner folder.
        write(f"WARNING: {problem}", warning=True)


def _may_leave_out_folders(synchronizer: BaseSynchronizer) -> bool:
    """Tells whether user code is asked which entries there are, or which ones take part."""
    if synchronizer._has_own_filter() or is_overridden(synchronizer, "_before_sync"):
        return True
    return any(replaces(target, "get_dir") for target in (synchronizer.local, synchronizer.remote))


def doubt_patterns(synchronizer: BaseSynchronizer) -> None:
    """Tells of patterns that no name can match."""
    for key in ("match", "exclude"):
        for pattern in synchronizer.options[key]:
            if "/" in pattern:
                write(
                    f"WARNING: The pattern {pattern!r} of --{key} matches nothing: patterns are compared with "
                    "names of single files and folders, which have no '/'.",
                    warning=True,
                )
