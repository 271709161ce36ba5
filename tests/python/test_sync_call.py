"""`ftpsync.sync()` and `ftpsync.rsync`: one call, and what it says that it did."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftpsync
from ftpsync import rsync
from ftpsync.targets import FsTarget
from memory_target import MemoryTarget
from places import MakePlace, maker

THEN = 1.6e9


@pytest.fixture(scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakePlace]:
    with maker(tmp_path_factory.mktemp("places")) as make:
        yield make


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    put(folder, {"a.txt": "a", "d/b.txt": "bb"})
    return folder


@pytest.fixture
def goal(tmp_path: Path) -> Path:
    folder = tmp_path / "goal"
    folder.mkdir()
    return folder


def put(folder: Path, files: dict[str, str], mtime: float = THEN) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (mtime, mtime))


def everything(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def seen(folder: Path) -> dict[str, str]:
    return {name: text for name, text in everything(folder).items() if ".pyftpsync-" not in name}


def lines(results: Any) -> list[str]:
    return sorted(str(result) for result in results)


class TestSync:
    def test_every_deed_is_an_entry_and_a_line(self, source: Path, goal: Path) -> None:
        put(goal, {"old": "o"})
        results = ftpsync.sync(source, goal, delete=True)
        assert seen(goal) == seen(source)
        assert lines(results) == [
            "copied a.txt (1 bytes)",
            "copied d/b.txt (2 bytes)",
            "deleted old",
            "made the folder d",
        ]
        assert {(entry.path, entry.action, entry.side, entry.bytes, entry.error) for entry in results} == {
            ("d", "mkdir", "destination", 0, None),
            ("a.txt", "copy", "destination", 1, None),
            ("d/b.txt", "copy", "destination", 2, None),
            ("old", "delete", "destination", 0, None),
        }
        assert results.ok and results.errors == [] and results.conflicts == []
        assert results[-1].action == "delete" and len(results) == len(results[:]) == 4
        assert (results.stats["files_written"], results.stats["upload_bytes_written"]) == (2, 3)
        told = json.loads(results.to_json())
        assert told["ok"] is True and len(told["entries"]) == 4 and told["stats"]["files_deleted"] == 1
        assert (told["source"], told["destination"]) == (str(source), str(goal))

        again = ftpsync.sync(source, goal, delete=True)
        assert list(again) == [] and again.ok

    def test_places_are_texts_paths_or_targets(self, source: Path, goal: Path, make_place: MakePlace) -> None:
        assert len(ftpsync.sync(str(source), FsTarget(str(goal)))) == 3
        server = make_place("sftp")
        results = ftpsync.sync(source, server.url, no_verify_host_keys=True)
        assert len(results) == 3 and "s3cret" not in results.destination + results.to_json() + repr(results)
        memory = MemoryTarget()
        assert len(ftpsync.sync(server.url, memory, no_verify_host_keys=True)) == 3
        assert memory.tree() == {"a.txt": "a", "d": None, "d/b.txt": "bb"}

    def test_a_download_goes_the_same_way_and_is_remembered_by_the_destination(
        self, source: Path, goal: Path
    ) -> None:
        results = ftpsync.sync(source, goal, "download")
        assert {entry.side for entry in results} == {"destination"}
        assert everything(source) == seen(goal)
        assert ".pyftpsync-meta.json" in everything(goal)
        assert list(ftpsync.sync(source, goal, "download")) == []

    def test_both_ways_with_a_conflict(self, source: Path, goal: Path) -> None:
        ftpsync.sync(source, goal, "sync")
        put(goal, {"new": "n", "a.txt": "there"}, THEN + 60)
        put(source, {"a.txt": "here!"}, THEN + 90)
        results = ftpsync.sync(source, goal, "sync")
        assert lines(results) == [
            "copied new (1 bytes) on the source",
            "left alone a.txt: it changed on both sides",
        ]
        assert not results.ok and results.errors == [] and results.conflicts == [results.conflicts[0]]
        assert (results.conflicts[0].path, results.conflicts[0].side) == ("a.txt", "both")
        assert ftpsync.sync(source, goal, "sync", resolve="new").ok
        assert seen(goal)["a.txt"] == "here!"

    def test_a_dry_run_tells_and_changes_nothing(self, source: Path, goal: Path) -> None:
        put(goal, {"old": "o"})
        results = ftpsync.sync(source, goal, delete=True, dry_run=True)
        assert lines(results) == [
            "would copy a.txt (1 bytes)",
            "would delete old",
            "would make the folder d",
        ]
        assert results.ok and all(entry.dry_run for entry in results)
        assert everything(goal) == {"old": "o"} and seen(source) == everything(source)

    def test_a_file_that_fails_stops_no_other(self, goal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = MemoryTarget()
        source.put("bad", "b", THEN)
        source.put("good", "g", THEN)

        def open_readable(name: str) -> Any:
            if name == "bad":
                raise PermissionError(13, "not yours")
            return io.BytesIO(b"g")

        monkeypatch.setattr(source, "open_readable", open_readable)
        results = ftpsync.sync(source, goal)
        assert not results.ok and [entry.path for entry in results.errors] == ["bad"]
        assert "could not copy bad: " in str(results.errors[0]) and "not yours" in str(results.errors[0])
        assert seen(goal) == {"good": "g"}

    def test_a_mass_deletion_is_an_error_of_the_result(self, source: Path, goal: Path) -> None:
        put(goal, {"old": "o"})
        for path in (source / "a.txt", source / "d" / "b.txt"):
            path.unlink()
        (source / "d").rmdir()
        results = ftpsync.sync(source, goal, delete=True)
        assert not results.ok and "--allow-mass-delete" in str(results.errors[0])
        assert seen(goal) == {"old": "o"}
        assert ftpsync.sync(source, goal, delete=True, allow_mass_delete=True).ok

    def test_control_characters_do_not_reach_the_terminal(self, source: Path, goal: Path) -> None:
        put(source, {"x\x1b[2J": "x"})
        assert "\x1b" not in "".join(lines(ftpsync.sync(source, goal)))


class TestStateless:
    def test_it_goes_by_what_is_there_and_leaves_nothing_else(self, source: Path, goal: Path) -> None:
        put(goal, {"a.txt": "newer but other", "gone/deep/x": "x"}, THEN + 1000)
        results = ftpsync.sync(source, goal, stateless=True, delete=True)
        assert "copied a.txt (1 bytes)" in lines(results)
        assert everything(goal) == everything(source) == {"a.txt": "a", "d/b.txt": "bb"}
        assert not (goal / "gone").exists()
        assert list(ftpsync.sync(source, goal, stateless=True, delete=True)) == []

    def test_a_memory_of_others_stays(self, source: Path, goal: Path) -> None:
        ftpsync.sync(source, goal, "sync")
        before = everything(source)[".pyftpsync-meta.json"]
        put(source, {"a.txt": "edited"}, THEN + 60)
        ftpsync.sync(source, goal, stateless=True)
        assert everything(source)[".pyftpsync-meta.json"] == before
        results = ftpsync.sync(source, goal, "sync")
        assert list(results) == [] and results.ok

    def test_a_dry_run_looks_into_new_folders(self, source: Path, goal: Path) -> None:
        results = ftpsync.sync(source, goal, stateless=True, dry_run=True)
        assert "would copy d/b.txt (2 bytes)" in lines(results) and everything(goal) == {}

    def test_times_that_a_server_cannot_keep_are_remembered_there(
        self, source: Path, make_place: MakePlace
    ) -> None:
        bucket = make_place("s3")
        assert len(ftpsync.sync(source, bucket.url, stateless=True)) == 3
        assert list(ftpsync.sync(source, bucket.url, stateless=True)) == []
        assert seen(source) == everything(source)

    def test_both_ways_it_is_refused(self, source: Path, goal: Path) -> None:
        with pytest.raises(ValueError, match="invalid option stateless"):
            ftpsync.sync(source, goal, "sync", stateless=True)


@pytest.mark.parametrize("mode", ["upload", "download", "sync"])
@pytest.mark.parametrize("kinds", ["local ftp", "ftp s3", "s3 local", "sftp python", "python python"])
def test_contents_count_more_than_times(kinds: str, mode: str, make_place: MakePlace) -> None:
    source, goal = (make_place(kind) for kind in kinds.split())
    for name in ("same", "edited", "empty"):
        source.put(name, b"" if name == "empty" else b"content", THEN)
    options = {"checksum": True, "no_verify_host_keys": True}
    ftpsync.sync(source.target(), goal.target(), mode, **options)

    # The same content with another time: it is not sent again.
    touched = source if kinds.endswith("s3") else goal  # What was just put into a bucket is dated as before.
    touched.put("same", b"content", THEN + 5000)
    touched.put("empty", b"", THEN + 5000)
    results = ftpsync.sync(source.target(), goal.target(), mode, **options)
    assert {(entry.path, entry.action) for entry in results} == {("same", "time"), ("empty", "time")}
    assert results.ok and results.stats["files_written"] == 0
    assert list(ftpsync.sync(source.target(), goal.target(), mode, **options)) == []
    assert list(ftpsync.sync(source.target(), goal.target(), mode)) == [], "the times are right now"

    # Another content with the same size and time, which only a look at the contents tells.
    if "s3" in kinds:
        return  # S3 gives every object a time of its own.
    times = {name: file[1] for name, file in goal.files().items()}
    goal.put("edited", b"CONTENT", times["edited"])
    assert list(ftpsync.sync(source.target(), goal.target(), mode)) == []
    results = ftpsync.sync(source.target(), goal.target(), mode, **options)
    if mode == "sync":
        assert [entry.path for entry in results.conflicts] == ["edited"] == [entry.path for entry in results]
    else:
        assert lines(results) == ["copied edited (7 bytes)"]
        assert goal.files()["edited"][0] == b"content"


class TestBadInput:
    """Whatever is wrong is told before anything is changed."""

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"dryrun": True}, "there is no option 'dryrun'; did you mean 'dry_run'?"),
            ({"max-delete": 3}, "there is no option 'max-delete'; did you mean 'max_delete'?"),
            ({"frobnicate": 1}, "there is no option 'frobnicate'"),
            ({"delete": "yes"}, "invalid option delete: 'yes' (expected true or false)"),
            ({"exclude": 5}, "invalid option exclude: 5"),
            ({"exclude": ["a", 5]}, "invalid option exclude"),
            ({"connections": 0}, "invalid option connections: 0"),
            ({"connections": "many"}, "invalid option connections: 'many'"),
            ({"max_delete": "101%"}, "invalid option max_delete: '101%'"),
            ({"resolve": "remote"}, "invalid option resolve: 'remote'"),
            ({"timeout": -1}, "invalid option timeout: -1"),
            ({"checksum": []}, "invalid option checksum: []"),
            ({"verbose": "x"}, "invalid option verbose: 'x'"),
        ],
        ids=str,
    )
    def test_an_option(self, options: dict[str, Any], words: str, source: Path, goal: Path) -> None:
        with pytest.raises(TypeError) as caught:
            ftpsync.sync(source, goal, **options)
        assert str(caught.value).startswith(words) and "\n" not in str(caught.value)
        assert everything(goal) == {} and seen(source) == everything(source)

    def test_a_place(self, source: Path, goal: Path) -> None:
        cases: list[tuple[Any, Any, type[Exception], str]] = [
            (source / "missing", goal, ValueError, r"missing is not a directory\.$"),
            (source / "a.txt", goal, ValueError, r"a\.txt is not a directory\. \(It is a file\.\)$"),
            (source, goal / "missing", ValueError, "missing is not a directory"),
            (source, source, ValueError, "the same folder"),
            (source, f"{source}/d/..", ValueError, "the same folder"),
            (source, source / "d", ValueError, "one side is inside the other"),
            (source / "d", source, ValueError, "one side is inside the other"),
            (source, "webdav://host/x", ValueError, r"Known schemes: ftp, ftps, s3, sftp\."),
            (source, "ftp:///x", ValueError, "names no host"),
            ("", goal, ValueError, "source must not be empty"),
            (source, None, TypeError, "destination must be a URL, a path or a target, not None"),
            (b"bytes", goal, TypeError, "source must be a URL"),
        ]
        cases.append((source, "joe@host:/x", ValueError, r"\(On a server it is sftp://joe@host/PATH\.\)"))
        for one, other, kind, words in cases:
            with pytest.raises(kind, match=words):
                ftpsync.sync(one, other)
        with pytest.raises(ValueError, match="sftp://joe@host/PATH"):
            ftpsync.sync(source, "joe@host:/x", create_folder=True)
        assert not Path("joe@host:").exists()
        assert everything(goal) == {} and seen(source) == everything(source)

    def test_a_link_to_the_source_is_the_source(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(source)
        with pytest.raises(ValueError, match="the same folder"):
            ftpsync.sync(source, tmp_path / "link")

    def test_a_mode(self, source: Path, goal: Path) -> None:
        with pytest.raises(ValueError, match="mode must be upload, download or sync, not 'mirror'"):
            ftpsync.sync(source, goal, "mirror")


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = (
        "import sys, ftpsync; print(sorted(name for name in sys.modules if 'ftpsync.' in name)); ftpsync.sync"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


#: As it is printed in descriptions of the package `rsync`, but for the import.
EXAMPLE = """
from ftpsync import rsync

# Define the source and destination directories
source_dir = "/path/to/source_directory"
destination_dir = "/path/to/destination_directory"

# Create an `rsync` client
client = rsync.Client()

# Synchronize the files from the source directory to the destination directory
client.dry_run = False  # Set this to True for a dry run without making any changes
results = client.sync(source_dir, destination_dir)

# Print the results
for result in results:
    print(result)
"""


class TestRsync:
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_the_usual_example_runs_as_printed(
        self, dry_run: bool, source: Path, goal: Path, capsys: Any
    ) -> None:
        code = EXAMPLE.replace("/path/to/source_directory", str(source))
        code = code.replace("/path/to/destination_directory", str(goal))
        code = code.replace("dry_run = False", f"dry_run = {dry_run}")
        exec(compile(code, "example", "exec"), {})
        told = capsys.readouterr().out.splitlines()
        assert len(told) == 3 and told[0].startswith("would " if dry_run else ("made", "copied"))
        assert everything(goal) == ({} if dry_run else everything(source))
        assert everything(source) == {"a.txt": "a", "d/b.txt": "bb"}, "nothing is left in the source"

    def test_options_are_attributes_and_arguments(self, source: Path, goal: Path) -> None:
        put(goal, {"old": "o", "old.bak": "o"})
        put(source, {"skip.bak": "s"})
        client = rsync.Client(exclude=["*.bak"])
        client.delete = True
        assert (client.dry_run, client.delete, client.exclude, client.max_delete) == (
            False,
            True,
            ["*.bak"],
            None,
        )
        assert client.sync(f"{source}/", goal, dry_run=True).dry_run and (goal / "old").exists()
        assert client.sync(f"{source}/", goal).ok
        assert everything(goal) == {"a.txt": "a", "d/b.txt": "bb", "old.bak": "o"}

    def test_contents_are_compared_where_that_is_wanted(self, source: Path, goal: Path) -> None:
        put(goal, {"a.txt": "a"}, THEN + 500)
        put(goal, {"d/b.txt": "BB"})
        client = rsync.Client()
        assert lines(client.sync(source, goal)) == ["copied a.txt (1 bytes)"]
        put(goal, {"a.txt": "a"}, THEN + 500)
        client.checksum = True
        assert lines(client.sync(source, goal)) == ["copied d/b.txt (2 bytes)", "set the time of a.txt"]
        assert everything(goal) == everything(source) and (goal / "a.txt").stat().st_mtime == THEN

    def test_the_destination_is_made(self, source: Path, tmp_path: Path) -> None:
        goal = tmp_path / "new" / "folder"
        client = rsync.Client(dry_run=True)
        assert len(client.sync(source, goal)) == 3 and not goal.parent.exists()
        client.dry_run = False
        assert client.sync(source, goal).ok and everything(goal) == everything(source)

    def test_servers_on_both_sides(self, make_place: MakePlace) -> None:
        one, other = make_place("ftp"), make_place("sftp")
        one.put("d/a", b"a", THEN)
        other.put("gone/x", b"x", THEN)
        results = rsync.Client(delete=True, no_verify_host_keys=True).sync(one.url, f"{other.url}/new")
        assert results.ok and other.files()["new/d/a"] == (b"a", THEN)
        assert one.all_files().keys() == {"d/a"}, "no metadata, no lock"
        rsync.Client(delete=True, no_verify_host_keys=True).sync(one.url, other.url)
        assert other.all_files().keys() == {"d/a"}

    def test_a_mistake_is_told_at_once(self, source: Path, goal: Path) -> None:
        client = rsync.Client()
        with pytest.raises(TypeError, match="there is no option 'dryrun'; did you mean 'dry_run'"):
            client.dryrun = True
        with pytest.raises(TypeError, match="invalid option delete: 'yes'"):
            rsync.Client(delete="yes")
        with pytest.raises(TypeError, match="there is no option 'deletes'; did you mean 'delete'"):
            client.sync(source, goal, deletes=True)
        with pytest.raises(AttributeError, match="no attribute 'dryrun'"):
            print(client.dryrun)
        assert everything(goal) == {}
