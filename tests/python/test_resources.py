"""Entries, pairs and the decision table of `ftpsync.resources`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftpsync import util
from ftpsync.resources import (
    ENTRY_CLASSIFICATIONS,
    PAIR_OPERATIONS,
    DirectoryEntry,
    EntryPair,
    FileEntry,
    operation_map,
)
from ftpsync.targets import _Target

NOON = 1_600_000_000
PAST = {":last_sync": NOON, "a": {"m": NOON, "s": 5, "u": NOON + 1}, "sub": {"m": None, "s": None, "u": NOON}}


@pytest.fixture
def target() -> _Target:
    target = _Target("/root", {})
    target.cur_dir = "/root/folder"
    return target


def file(target: _Target, name: str = "a", *, size: int | None = 5, mtime: float | None = NOON) -> FileEntry:
    return FileEntry(target, "/root/folder", name, size, mtime, None)


def folder(target: _Target, name: str = "sub") -> DirectoryEntry:
    return DirectoryEntry(target, "/root/folder", name, 77, NOON, None)


def test_the_table_has_every_pair_that_can_meet() -> None:
    assert len(operation_map) == 28
    assert {value for value in operation_map.values() if isinstance(value, str)} == PAIR_OPERATIONS
    assert [key for key, value in operation_map.items() if value is True] == [
        ("missing", "deleted"),
        ("deleted", "missing"),
        ("deleted", "deleted"),
    ]


def test_the_table_is_its_own_mirror_image() -> None:
    mirror = {"copy_local": "copy_remote", "delete_local": "delete_remote"}
    mirror.update({value: key for key, value in mirror.items()})
    for (local, remote), operation in operation_map.items():
        mirrored = mirror.get(operation, operation) if isinstance(operation, str) else operation
        assert operation_map[remote, local] == mirrored


def test_files_are_shown_with_size_and_time(target: _Target) -> None:
    entry = file(target, size=1234567)
    text = f"FileEntry('/root/folder/a', size:1,234,567, modified:{util.pretty_stamp(NOON)})"
    assert str(entry) == text
    entry.classify({})
    assert str(entry) == text + " => existing"
    assert str(folder(target)) == "DirectoryEntry([/root/folder/sub])"


def test_what_a_server_does_not_tell_is_shown_as_such(target: _Target) -> None:
    entry = file(target, size=None, mtime=None)
    assert str(entry) == "FileEntry('/root/folder/a', size:n.a., modified:n.a.)"
    assert entry.as_string(file(target)) == "n.a.,     n.a. bytes"


def test_two_files_are_compared_in_words(target: _Target) -> None:
    old, new = file(target, size=1234567), file(target, mtime=NOON + 100)
    noon = util.pretty_stamp(NOON)
    assert old.as_string() == f"{noon}, 1,234,567 bytes"
    assert old.as_string(new) == f"{noon}, 1,234,567 bytes (older, larger)"
    assert new.as_string(old).endswith("        5 bytes (newer, smaller)")
    assert old.as_string(old) == old.as_string()
    almost = file(target, mtime=NOON + 1.5)
    assert almost.as_string(old).endswith("        5 bytes (smaller)"), (
        "what is decided by time takes it for equal"
    )


def test_folders_have_no_size(target: _Target) -> None:
    assert folder(target).size == 0
    assert folder(target).get_sync_info("m") is None
    assert folder(target).is_dir() and not folder(target).is_file()


@given(st.floats(-10, 10))
def test_equal_files_have_times_within_the_epsilon(offset: float) -> None:
    target = _Target("/root", {})
    a, b = file(target), file(target, mtime=NOON + offset)
    assert (a == b) == (abs(b.mtime - a.mtime) <= FileEntry.EPS_TIME)  # type: ignore[operator]
    assert (b > a) == (a != b and offset > 0)
    assert not (a > b and b > a)
    assert a != b or hash(a) == hash(b)


def test_other_names_sizes_and_kinds_are_not_equal(target: _Target) -> None:
    assert file(target) == file(target)
    assert file(target) != file(target, "b")
    assert file(target) != file(target, size=6)
    assert file(target) != 5
    assert file(target) != folder(target, "a")
    assert len({file(target), file(target), file(target, "b")}) == 2


def test_paths_start_at_the_root_of_the_target(target: _Target) -> None:
    entry = file(target)
    assert entry.get_rel_path() == "folder/a"
    target.cur_dir = "/root"  # The entry stays where it was found.
    assert entry.get_rel_path() == "folder/a"
    target.root_dir = "/"
    assert entry.get_rel_path() == "root/folder/a"


@pytest.mark.parametrize(
    ("changes", "known", "expected"),
    [
        ({}, {}, "existing"),
        ({}, {"other": {"m": 1, "s": 1, "u": 1}}, "new"),
        ({}, PAST, "unmodified"),
        ({"mtime": NOON + 2}, PAST, "unmodified"),
        ({"mtime": NOON + 3}, PAST, "modified"),
        ({"mtime": NOON - 3}, PAST, "modified"),
        ({"size": 6}, PAST, "modified"),
    ],
)
def test_files_are_judged_by_the_last_run(
    target: _Target, changes: dict[str, Any], known: dict[str, Any], expected: str
) -> None:
    entry = file(target, **changes)
    assert entry.classify(known) == expected
    assert entry.classification in ENTRY_CLASSIFICATIONS
    if known is PAST:
        assert (entry.ps_size, entry.ps_mtime, entry.ps_utime) == (5, NOON, NOON + 1)


def test_folders_are_judged_by_the_last_run(target: _Target) -> None:
    assert folder(target).classify({}) == "unmodified"
    assert folder(target).classify(PAST) == "unmodified"
    assert folder(target, "more").classify(PAST) == "new"


def test_an_absent_side_is_missing_or_deleted(target: _Target) -> None:
    pair = EntryPair(file(target), None)
    assert pair.classify(PAST) == "delete_local"
    assert (pair.local_classification, pair.remote_classification) == ("unmodified", "deleted")
    assert str(pair) == "<EntryPair(folder/a)>: (unmodified, deleted) => delete_local"
    pair = EntryPair(None, folder(target, "more"))
    assert pair.classify(PAST) == "copy_remote"
    assert str(pair) == "<EntryPair([folder/more])>: (missing, new) => copy_remote"


def test_a_pair_tells_conflict_and_time(target: _Target) -> None:
    pair = EntryPair(file(target, size=6), file(target, size=7, mtime=NOON + 2))
    assert pair.classify(PAST) == "conflict"
    assert pair.is_conflict() and pair.is_same_time() and not pair.is_dir
    assert pair.any_entry is pair.local
    assert not EntryPair(None, file(target)).is_same_time()


def test_an_operation_can_be_overridden_by_a_known_one_only(target: _Target) -> None:
    pair = EntryPair(file(target), None)
    pair.override_operation("copy_local", "restore")
    assert (pair.operation, pair.re_class_reason) == ("copy_local", "restore")
    with pytest.raises(AssertionError):
        pair.override_operation("copy", "typo")


def test_a_file_cannot_be_paired_with_a_folder(target: _Target) -> None:
    with pytest.raises(
        RuntimeError, match="'folder/a' is a file on the local side and a folder on the remote"
    ):
        EntryPair(file(target), folder(target, "a"))
    with pytest.raises(ValueError, match="one side at least"):
        EntryPair(None, None)


def test_classifications_that_cannot_meet_are_an_error(target: _Target) -> None:
    class Odd(FileEntry):
        def _compared_with(self, record: Any) -> str:
            return "existing"

    pair = EntryPair(Odd(target, "/root/folder", "a", 5, NOON, None), file(target))
    with pytest.raises(RuntimeError, match="^Undefined operation for pair classification "):
        pair.classify(PAST)
