"""What the tests in the source distributions of pyftpsync import, and those distributions leave out.

Written from what those tests use and from the documentation ("Run Tests"): two folders, `local` and `remote`, that
were in sync at noon and are edited later. `test_upstream.py` puts this module beside the tests.

Environment:
    PYFTPSYNC_TEST_FOLDER   where the two folders are made; everything in it is removed first
    PYFTPSYNC_TEST_FTP_URL  where a server publishes `remote`; without it, tests that need it are left out
    PYFTPSYNC_TEST_OPTIONS  options for every run, as JSON (not among those documented)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from datetime import datetime, timezone
from pathlib import Path
from pprint import pprint
from typing import Any

from ftpsync.metadata import DirMetadata
from ftpsync.synchronizers import BiDirSynchronizer
from ftpsync.targets import make_target

PYFTPSYNC_TEST_FOLDER = os.environ.get("PYFTPSYNC_TEST_FOLDER") or tempfile.mkdtemp()
PYFTPSYNC_TEST_FTP_URL = os.environ.get("PYFTPSYNC_TEST_FTP_URL")
MORE_OPTIONS: dict[str, Any] = json.loads(os.environ.get("PYFTPSYNC_TEST_OPTIONS", "{}"))

DEADLINE = 300.0
RESERVED = (DirMetadata.META_FILE_NAME, DirMetadata.LOCK_FILE_NAME)
#: Where ours keeps files that lost at a first contact.
TRASH = ".pyftpsync-trash"

NOON = "2014-01-01 12:00:00"
LATER = "2014-01-01 13:00:00"
LATEST = "2014-01-01 13:00:05"
FORMAT = "%Y-%m-%d %H:%M:%S"

Files = dict[str, dict[str, str]]

#: Every file that is in sync at first, and when it is as it is later: local, remote; None for one that is removed.
EDITS: dict[str, tuple[str | None, str | None]] = {
    "file1.txt": (NOON, NOON),
    "file2.txt": (LATER, NOON),
    "file3.txt": (None, NOON),
    "file4.txt": (NOON, LATER),
    "file5.txt": (NOON, None),
    "file6.txt": (LATER, LATEST),
    "file7.txt": (LATEST, LATER),
    "file8.txt": (None, LATER),
    "file9.txt": (LATER, None),
    "folder1/file1_1.txt": (NOON, NOON),
    "folder2/file2_1.txt": (LATER, NOON),
    "folder3/file3_1.txt": (None, NOON),
    "folder4/file4_1.txt": (None, LATER),
    "folder5/file5_1.txt": (NOON, LATER),
    "folder6/file6_1.txt": (NOON, None),
    "folder7/file7_1.txt": (LATER, None),
}
#: Files that come later, likewise.
ADDED: dict[str, tuple[str | None, str | None]] = {
    "new_file1.txt": (LATER, None),
    "new_file2.txt": (None, LATER),
    "new_file3.txt": (LATER, LATER),
    "new_file4.txt": (LATER, LATER),
    "new_file5.txt": (LATER, LATEST),
    "new_file6.txt": (LATEST, LATER),
}
#: Contents that do not tell the side: the same on both, and another size at the same time.
UNUSUAL = {
    ("remote", "new_file3.txt"): "local 13:00",
    ("remote", "new_file4.txt"): "remote 13:00 with other content",
}


def _as_synced(name: str) -> dict[str, str]:
    return {"content": "local" + Path(name).stem.removeprefix("file"), "date": NOON}


def _as_edited(side: str, name: str, when: str) -> dict[str, str]:
    shown = when.split()[1].removesuffix(":00")
    return {"content": UNUSUAL.get((side, name), f"{side} {shown}"), "date": when}


def _modified(side: str) -> Files:
    found = {}
    for name, both in {**EDITS, **ADDED}.items():
        state = both[side == "remote"]
        if state is not None:
            found[name] = _as_synced(name) if state == NOON else _as_edited(side, name, state)
    return found


# --- files ---------------------------------------------------------------------------------------------------


def _path(name: str) -> Path:
    return Path(PYFTPSYNC_TEST_FOLDER, name)


def _stamp(when: datetime | str | None) -> float:
    """Seconds since the epoch; what has no time zone is UTC, None is now."""
    if when is None:
        return time.time()
    if isinstance(when, str):
        when = datetime.strptime(when, FORMAT)
    return when.replace(tzinfo=timezone.utc).timestamp()


STAMP_20140101_120000 = _stamp(NOON)


def empty_folder(folder: str | Path) -> None:
    """Removes everything in a folder."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.remove(entry.path)


def write_test_file(
    name: str, content: str | None = None, size: int | None = None, dt: datetime | str | None = None
) -> None:
    """Writes a file of a text or of a size, and its folder if there is none."""
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"*" * size if size is not None else (content or "").encode())
    if dt is not None:
        touch_test_file(name, dt)


def touch_test_file(name: str, dt: datetime | str | None = None) -> None:
    os.utime(_path(name), (_stamp(dt), _stamp(dt)))


def read_test_file(name: str) -> str:
    return _path(name).read_text(encoding="utf-8")


def is_test_file(name: str) -> bool:
    return _path(name).is_file()


def get_test_file_size(name: str) -> int:
    return _path(name).stat().st_size


def get_test_file_date(name: str) -> float:
    return _path(name).stat().st_mtime


def remove_test_folder(name: str) -> None:
    shutil.rmtree(_path(name))


def get_metadata(folder: str) -> dict[str, Any]:
    """What the metadata file in a folder holds."""
    found: dict[str, Any] = json.loads(read_test_file(f"{folder}/{DirMetadata.META_FILE_NAME}"))
    return found


def get_test_folder(side: str) -> Files:
    """The files of a side, each with its text and its time.

    The time is what a client takes it for: a server that cannot set times has it in a metadata file.
    """
    found = {}
    root = _path(side)
    for where, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - {TRASH})
        folder = Path(where)
        recorded = get_metadata(str(folder))["mtimes"] if DirMetadata.META_FILE_NAME in files else {}
        for name in sorted(set(files) - set(RESERVED)):
            status = (folder / name).stat()
            record = recorded.get(name, {"s": None})
            is_valid = record["s"] == status.st_size and status.st_mtime <= record["u"] + 2.01
            date = datetime.fromtimestamp(record["m"] if is_valid else status.st_mtime, timezone.utc)
            found[(folder / name).relative_to(root).as_posix()] = {
                "content": (folder / name).read_text(encoding="utf-8"),
                "date": date.strftime(FORMAT),
            }
    return found


# --- programs and places -------------------------------------------------------------------------------------

_is_remote_served = False


def get_local_test_url() -> str:
    return str(_path("local"))


def get_remote_test_url() -> str:
    """The remote folder as the test that runs is meant to reach it: as a folder, or on the server."""
    if _is_remote_served:
        assert PYFTPSYNC_TEST_FTP_URL
        return PYFTPSYNC_TEST_FTP_URL
    return str(_path("remote"))


def run_script(*args: str, expect_code: int = 0) -> str:
    """Runs the command line in a process of its own; returns what it printed to stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "ftpsync.pyftpsync", *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )
    assert done.returncode == expect_code, f"{done.returncode} {args}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


# --- tests ---------------------------------------------------------------------------------------------------


class _SyncTestBase(unittest.TestCase):
    """Tests that begin with two folders in sync."""

    local_fixture_unmodified: Files = {name: _as_synced(name) for name in EDITS}  # noqa: RUF012
    local_fixture_modified: Files = _modified("local")
    remote_fixture_modified: Files = _modified("remote")

    #: Whether the remote side is reached by way of the server.
    use_ftp_target = False
    verbose = 3
    maxDiff = None

    def setUp(self) -> None:
        global _is_remote_served
        if self.use_ftp_target and not PYFTPSYNC_TEST_FTP_URL:
            self.skipTest("PYFTPSYNC_TEST_FTP_URL is not set.")
        _is_remote_served = self.use_ftp_target
        self._prepare_initial_synced_fixture()

    def _prepare_initial_synced_fixture(self) -> None:
        """Both sides hold the same and know it."""
        self._prepare_folders()
        self._sync_test_folders(BiDirSynchronizer, {"verbose": self.verbose})

    def _prepare_synced_fixture_without_meta(self) -> None:
        """Both sides hold the same, but none of them knows."""
        self._prepare_folders()
        shutil.copytree(_path("local"), _path("remote"), dirs_exist_ok=True)

    def _prepare_folders(self) -> None:
        empty_folder(PYFTPSYNC_TEST_FOLDER)
        _path("remote").mkdir()
        for name, file in self.local_fixture_unmodified.items():
            write_test_file(f"local/{name}", content=file["content"], dt=file["date"])

    def _prepare_modified_fixture(self) -> None:
        """Edits both sides as the tables say."""
        for side in ("local", "remote"):
            files = _modified(side)
            for name in EDITS.keys() - files.keys():
                _path(f"{side}/{name}").unlink()
                if "/" in name:
                    remove_test_folder(f"{side}/{Path(name).parent}")
            for name, file in files.items():
                if file["date"] != NOON:
                    write_test_file(f"{side}/{name}", content=file["content"], dt=file["date"])

    def _sync_test_folders(self, synchronizer_class: Any, options: dict[str, Any]) -> dict[str, Any]:
        local, remote = make_target(get_local_test_url()), make_target(get_remote_test_url())
        synchronizer = synchronizer_class(local, remote, {**options, **MORE_OPTIONS})
        synchronizer.run()
        stats: dict[str, Any] = synchronizer.get_stats()
        return stats

    def do_run_suite(self, synchronizer_class: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Synchronizes the edited folders and returns the statistics."""
        self._prepare_modified_fixture()
        return self._sync_test_folders(synchronizer_class, options)

    def assert_test_folder_equal(self, found: Files, expected: Files) -> None:
        self.assertEqual(found, expected)  # noqa: PT009 (there is no pytest to explain an assert)

    def _dump_de_facto_results(self, stats: dict[str, Any]) -> None:
        """Shows what came about, for whoever reads the output of a test."""
        pprint({"stats": stats, "local": get_test_folder("local"), "remote": get_test_folder("remote")})
