"""Metadata files as the releases write and read them, and ours, both ways."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from environments import Environment
from running import PASSWORD, RESERVED, USER, ftp_server, run_python

META = RESERVED[0]
START = 1_600_000_000

SYNC = """
import json, sys
from ftpsync.synchronizers import BiDirSynchronizer
from ftpsync.targets import FsTarget
from ftpsync.util import set_pyftpsync_logger
set_pyftpsync_logger(None)
run = BiDirSynchronizer(FsTarget(sys.argv[1]), FsTarget(sys.argv[2]), {"verbose": 4, "no_color": True})
run.run()
print("STATS " + json.dumps(run.get_stats()))
"""

#: Lists the root of a server, and says which times it takes for true and what is left in the metadata.
LIST = """
import json, sys
from ftpsync.targets import make_target
from ftpsync.util import set_pyftpsync_logger
set_pyftpsync_logger(None)
target = make_target(sys.argv[1], {"no_prompt": True})
target.open()
entries = {
    entry.name: [entry.mtime, entry.mtime_org, getattr(entry, "meta", None)]
    for entry in target.get_dir() if not entry.name.startswith(".pyftpsync")
}
meta = target.cur_dir_meta
print("TOLD " + json.dumps([entries, sorted(meta.list), meta.modified_list]))
target.close()
"""


@pytest.fixture(params=["4.1", "3.1"])
def reference(
    request: pytest.FixtureRequest, reference_41: Environment, reference_31: Environment
) -> Environment:
    return {"4.1": reference_41, "3.1": reference_31}[request.param]


@pytest.fixture(params=["", "1"], ids=["terse", "pretty"])
def pretty(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"PYFTPSYNC_VERBOSE_META": request.param} if request.param else {}


def put(side: Path, name: str, body: str, mtime: float) -> None:
    (side / name).parent.mkdir(parents=True, exist_ok=True)
    (side / name).write_text(body)
    os.utime(side / name, (mtime, mtime))


def make_sides(folder: Path) -> tuple[Path, Path]:
    local, remote = folder / "local", folder / "remote"
    remote.mkdir(parents=True)
    for number, name in enumerate(["a", "ümläut-日本", 'quo"te\\', "sub/b", "sub/deep/c"]):
        put(local, name, name, START + number + 0.5)
    put(remote, "there", "there", START)
    return local, remote


def told(
    environment: Environment, folder: Path, script: str, *args: str, **variables: str
) -> tuple[str, Any]:
    """Runs a script; returns the lines it printed, and what it told in the last one."""
    ran = run_python(environment, ["-c", script, *args], folder / "home", variables)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines, _, last = ran.stdout.rstrip().rpartition("\n")
    return lines, json.loads(last.partition(" ")[2])


def sync(environment: Environment, folder: Path, **variables: str) -> tuple[str, dict[str, Any]]:
    return told(environment, folder, SYNC, str(folder / "local"), str(folder / "remote"), **variables)


def shape(path: Path, folder: Path) -> str:
    """The text of a metadata file without what differs from run to run."""
    text = path.read_text(encoding="utf-8").replace(str(folder), "<folder>")
    text = re.sub(r'"_version": ?"[^"]*"', '"_version":"<version>"', text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>", text)
    return re.sub(r"1[0-9]{9}(\.\d+)?", "<seconds>", text)


def test_the_files_are_written_alike(
    tmp_path: Path, ours: Environment, reference: Environment, pretty: dict[str, str]
) -> None:
    shapes = []
    for environment in (reference, ours):
        folder = tmp_path / environment.name
        make_sides(folder)
        sync(environment, folder, **pretty)
        files = sorted(folder.rglob(META))
        shapes.append({str(file.relative_to(folder)): shape(file, folder) for file in files})
        assert [file.relative_to(folder).as_posix() for file in files] == [
            f"local/{META}",
            f"local/sub/{META}",
            f"local/sub/deep/{META}",
        ]
        assert not files[0].read_text(encoding="utf-8").endswith("\n")
        assert ("\n    " in files[0].read_text(encoding="utf-8")) == bool(pretty)
    theirs, here = shapes
    for name, text in here.items():
        document = json.loads(re.sub(r"<seconds>", "1", text))
        # One more key here: times to the last digit, as what is to be added to `m`.
        assert all(offset == 0 for names in document.pop("exact").values() for offset in names.values())
        # And one in the root: what the folders below hold, for the day when one of them is lost.
        if name == f"local/{META}":
            assert document.pop("folders")
        assert document == json.loads(re.sub(r"<seconds>", "1", theirs[name]))


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "the release first"])
def test_each_reads_what_the_other_wrote(
    tmp_path: Path, ours: Environment, reference: Environment, pretty: dict[str, str], ours_first: bool
) -> None:
    local, remote = make_sides(tmp_path)
    first, second = (ours, reference) if ours_first else (reference, ours)
    sync(first, tmp_path, **pretty)
    before = {path: path.read_bytes() for path in tmp_path.rglob(META)}
    lines, stats = sync(second, tmp_path, **pretty)
    assert stats["files_written"] == stats["conflict_files"] == 0, lines
    assert stats["meta_bytes_read"] == sum(len(text.decode()) for text in before.values())
    assert {path: path.read_bytes() for path in tmp_path.rglob(META)} == before, "written without a change"

    put(local, "a", "changed here", START + 1000)
    put(remote, "sub/b", "changed there", START + 1000)
    (remote / "ümläut-日本").unlink()
    put(local, "sub/new", "new", START)
    lines, stats = sync(second, tmp_path, **pretty)
    for line in (
        r"COPY MODIFIED +>  a",
        r"COPY MODIFIED +<  sub/b",
        r"DELETE MISSING +X<  ümläut-日本",
        r"COPY NEW +>  sub/new",
    ):
        assert re.search(rf"^{line}", lines, re.MULTILINE), lines
    assert (stats["files_written"], stats["files_deleted"], stats["conflict_files"]) == (3, 1, 0)
    lines, stats = sync(first, tmp_path, **pretty)
    assert (stats["files_written"], stats["files_deleted"], stats["conflict_files"]) == (0, 0, 0), lines


@pytest.fixture
def served(tmp_path: Path, reference_41: Environment) -> Iterator[tuple[Path, str]]:
    """The root of a server that cannot set times, and its URL."""
    root = tmp_path / "served"
    root.mkdir()
    with ftp_server(reference_41, root, "--no-mfmt") as port:
        yield root, f"ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/"


def test_remembered_times_hold_under_the_same_conditions(
    tmp_path: Path, ours: Environment, reference: Environment, served: tuple[Path, str]
) -> None:
    root, url = served
    uploaded = int(time.time()) - 10_000
    remembered = {"m": START + 0.25, "s": 4, "u": uploaded}
    mtimes = {}
    for name, body, ofs in [
        ("as uploaded", "body", 0),
        ("earlier", "body", -500),
        ("within the epsilon", "body", 2),
        ("later", "body", 3),
        ("another size", "a body", 0),
        ("not remembered", "body", 0),
    ]:
        put(root, name, body, uploaded + ofs)
        if name != "not remembered":
            mtimes[name] = remembered
    mtimes["gone"] = remembered
    text = json.dumps({"_file_version": 3, "mtimes": mtimes, "peer_sync": {}})
    results = []
    for environment in (reference, ours):
        (root / META).write_text(text)
        results.append(told(environment, tmp_path, LIST, url)[1])
    assert results[0] == results[1]
    entries, left, is_modified = results[1]
    holds = ["as uploaded", "earlier", "within the epsilon"]
    assert (left, is_modified) == (holds, True)
    assert {name: entry[0] == START + 0.25 for name, entry in entries.items()} == {
        name: name in holds for name in entries
    }
