"""S3 from the command line and by hand, against moto and s3s-fs."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftpsync.s3_target import S3Target
from ftpsync.synchronizers import UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from servers import Server, Unavailable, proxies, s3
from skipping import missing

NUMBERS = itertools.count()
KNOWN_PARTS = (
    "after its question mark; known are endpoint_url, region, region_name, profile and addressing_style"
)
QUIET = {"verbose": 0, "no_prompt": True}


@dataclass(frozen=True)
class Place:
    """A folder of a bucket that no other test uses, and a folder on the disk."""

    server: Server
    local: Path
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{s3.BUCKET}/{self.prefix}"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**kept, "HOME": str(self.local.parent), "NO_COLOR": "1", **s3.environment(self.server)}

    def run(self, *words: str, code: int = 0, **environment: str) -> str:
        """Runs a command; the variables are added to those that lead to the server, or taken away if empty."""
        variables = {name: value for name, value in {**self.environment(), **environment}.items() if value}
        done = subprocess.run(
            [sys.executable, "-m", "ftpsync", *words],
            capture_output=True,
            encoding="utf-8",
            env=variables,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done
        assert self.server.password not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def sync(self, command: str, *words: str, code: int = 0, **environment: str) -> str:
        return self.run(command, str(self.local), self.url, *words, code=code, **environment)

    def target(self, **options: Any) -> S3Target:
        url = f"{self.url}?endpoint_url={s3.endpoint(self.server)}"
        target = make_target(url, {**QUIET, **options})
        assert isinstance(target, S3Target)
        target.username, target.password = self.server.user, self.server.password
        return target

    def write(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            path = self.local / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            os.utime(path, (1_600_000_000, 1_600_000_000))

    def files(self) -> dict[str, str]:
        """What the local folder holds, without our own files."""
        found = (
            path
            for path in self.local.rglob("*")
            if path.is_file() and not path.name.startswith(".pyftpsync")
        )
        return {path.relative_to(self.local).as_posix(): path.read_text(encoding="utf-8") for path in found}


@pytest.fixture(scope="module", params=s3.BOTH, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        with request.param.start(tmp_path_factory.mktemp("s3")) as running:
            yield running
    except Unavailable as reason:
        missing(f"{request.param.name}: {reason}")


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Place:
    local = tmp_path / "local"
    local.mkdir()
    return Place(server, local, f"folder {next(NUMBERS)}/site")


def test_a_subclass_may_leave_the_lock_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(S3Target, "_lock", lambda self: calls.append("lock"))
    place.write({"a": "1", "d/b": "2"})
    options = {"verbose": 0, "create_folder": True}
    for written in (2, 0):
        synchronizer = UploadSynchronizer(FsTarget(str(place.local)), place.target(), options)
        assert synchronizer.run() is True
        assert synchronizer.get_stats()["files_written"] == written
    assert calls == ["lock", "lock"]
    monkeypatch.undo()
    assert "Wrote 0/2 files" in place.sync("upload")


def test_a_tree_goes_up_comes_down_and_a_second_run_has_nothing_to_do(place: Place, tmp_path: Path) -> None:
    files = {"index.html": "<p>", "sub/über & so.txt": "1", "sub/deep/a b+c": "22", "empty": ""}
    place.write(files)
    assert "--create-folder" in place.sync("upload", code=1)
    assert "Wrote 4/2 files" in place.sync("upload", "--create-folder")
    again = place.sync("upload", "-v")
    assert "Wrote 0/4 files" in again and again.count("EQUAL") == 6, again

    other = Place(place.server, tmp_path / "other", place.prefix)
    other.local.mkdir()
    assert "Wrote 4/0 files" in other.sync("download")
    assert other.files() == files
    times = {path.stat().st_mtime for path in other.local.rglob("*") if path.name in ("index.html", "a b+c")}
    assert times == {1_600_000_000}
    assert "Wrote 0/4 files" in other.sync("download")
    assert "Wrote 0/4 files" in other.sync("sync")


def test_times_that_objects_carry_are_believed_without_any_metadata(place: Place, tmp_path: Path) -> None:
    """What rclone puts there has the same header, and no metadata beside it."""
    files = {"a.txt": "1", "sub/b.txt": "22", "sub/c.txt": "333"}
    place.write(files)
    place.sync("upload", "--create-folder")
    with place.target() as target:
        for folder in ("", "sub/"):
            target.remove_file(f"{folder}.pyftpsync-meta.json")

    other = Place(place.server, tmp_path / "other", place.prefix)
    other.local.mkdir()
    other.write(files | {"sub/c.txt": "444"})
    os.utime(other.local / "sub" / "c.txt", (1_500_000_000, 1_500_000_000))
    assert "Wrote 1/3 files" in other.sync("sync", "--resolve=new", "--no-trash")
    assert other.files() == files
    assert (other.local / "sub" / "c.txt").stat().st_mtime == 1_600_000_000
    assert "Wrote 0/3 files" in other.sync("sync")


def test_a_synchronisation_goes_both_ways_and_deletes(place: Place, tmp_path: Path) -> None:
    place.write({"keep": "1", "ours": "2", "theirs": "3", "sub/gone": "4", "sub/stays": "5"})
    place.sync("sync", "--create-folder")
    other = Place(place.server, tmp_path / "other", place.prefix)
    other.local.mkdir()
    other.sync("sync")
    (place.local / "sub" / "gone").unlink()
    (place.local / "ours").write_text("changed here")
    place.sync("sync")
    (other.local / "theirs").write_text("changed there")
    lines = other.sync("sync")
    assert "DELETE" in lines and not (other.local / "sub" / "gone").exists(), lines
    assert (other.local / "ours").read_text() == "changed here"
    place.sync("sync")
    assert place.files() == other.files()
    assert place.files()["theirs"] == "changed there"
    assert "Wrote 0/4 files" in place.sync("sync", "-v")


def test_an_upload_with_delete_removes_what_is_only_there(place: Place) -> None:
    place.write({"a": "1", "b": "2", "c": "3", "sub/d": "4"})
    place.sync("upload", "--create-folder")
    (place.local / "b").unlink()
    shutil.rmtree(place.local / "sub")
    dry = place.sync("upload", "--delete", "-n")
    assert "DELETE" in dry
    place.sync("upload", "--delete")
    with place.target() as target:
        assert sorted(entry.name for entry in target.get_dir()) == ["a", "c"]


def test_a_target_works_by_hand(place: Place) -> None:
    with pytest.raises(RuntimeError, match="nothing is there"):
        place.target().open()
    place.write({"file": ""})
    place.sync("upload", "--create-folder")
    with place.target() as target:
        target.mkdir("sub")
        target.cwd("sub")
        target.write_text("file.txt", "content")
        assert target.read_text("file.txt") == "content"
        assert [(entry.name, entry.size) for entry in target.get_dir()] == [("file.txt", 7)]
        target.remove_file("file.txt")
        assert target.get_dir() == []
        target.cwd("..")
        target.rmdir("sub")
        assert [entry.name for entry in target.get_dir()] == ["file"]
        assert place.server.password not in repr(target) + str(target) + target.get_id()


def test_problems_are_one_line_that_says_what_to_do(place: Place) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    for words, variables, advice in [
        (["s3://no-such-bucket/x"], {}, "check its name"),
        ([place.url], keys, "--no-sign-request"),
        ([place.url, "--profile", "unknown"], {}, "there is no profile"),
        ([place.url, "--endpoint-url", "http://127.0.0.1:9"], {}, "could not connect to"),
        ([place.url, "--endpoint-url", "localhost:9000"], {}, "is not http://host:port"),
        (["s3://Bad Bucket/x"], {}, "is not the name of a bucket"),
        (["s3:///x"], {}, "expected s3://bucket/path"),
        ([f"{place.url}?endpoint_url=http://h&bogus=1"], {}, f'unknown part "bogus" {KNOWN_PARTS}'),
        ([f"{place.url}?bogus&region=eu-west-1"], {}, f'unknown part "bogus" {KNOWN_PARTS}'),
        ([f"{place.url}?endpoint=http://h"], {}, "known are endpoint_url, region, region_name"),
    ]:
        told = place.run("upload", str(place.local), *words, code=1, **variables)
        line = [line for line in told.splitlines() if advice in line]
        assert len(line) == 1, told


def test_a_check_up_says_what_matters_of_a_bucket(place: Place) -> None:
    place.write({"a": "1"})
    place.sync("upload", "--create-folder")
    told = place.run("doctor", place.url)
    for words in [
        f"{s3.endpoint(place.server)}, region us-east-1",
        "Files appear whole, and replace only what was listed.",
        "and with each object",
        "Nothing seems wrong.",
    ]:
        assert words in " ".join(told.split()), told
    assert "renamed" not in told
    with place.target() as target:
        assert {entry.name for entry in target.get_dir()} == {"a"}


def test_the_url_may_say_everything(place: Place) -> None:
    place.write({"a": "1"})
    variables = dict.fromkeys(s3.environment(place.server), "")
    files = place.local.parent / ".aws"
    files.mkdir()
    (files / "credentials").write_text(
        f"[mine]\naws_access_key_id = {place.server.user}\naws_secret_access_key = {place.server.password}\n"
    )
    (files / "config").write_text(
        f"[profile mine]\nregion = eu-west-1\nendpoint_url = {s3.endpoint(place.server)}\n"
    )
    place.run(
        "upload",
        str(place.local),
        f"{place.url}?profile=mine&region=us-east-1",
        "--create-folder",
        **variables,
    )
    assert "Wrote 0/1 files" in place.sync("upload")


def test_keys_in_the_url_work_with_slashes_and_are_told_where_others_see_them(place: Place) -> None:
    place.write({"a": "1"})
    assert "/" in place.server.password
    login = f"{place.server.user}:{place.server.password}"
    seen = "The secret key for test stands in the URL, where others of this computer see it in the list of processes"
    nothing = dict.fromkeys(s3.environment(place.server), "")

    def upload(host: str, *words: str) -> str:
        url = f"{place.url.replace('s3://', f's3://{login}@')}?endpoint_url={endpoint.replace('127.0.0.1', host)}"
        return place.run("upload", str(place.local), url, "--create-folder", *words, **nothing)

    endpoint = s3.endpoint(place.server)
    assert seen not in upload("127.0.0.1"), "a server on this computer is no secret to its users"
    with place.target() as target:
        assert target.read_text("a") == "1"
    if place.server.kind.name == "moto":  # It would take the name of the host for that of a bucket.
        return
    with proxies.running() as proxy:
        through = ["--proxy", f"http://127.0.0.1:{proxy.port}"]
        told = upload("inside.test", *through)
        assert f"{seen}: use the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told
        assert seen not in upload("inside.test", *through, "-q"), "as with other servers"


def test_keys_in_a_url_end_where_the_bucket_begins() -> None:
    for login, keys in [
        ("AK:sec/ret/+=", ("AK", "sec/ret/+=")),
        ("AK:/sec?ret", ("AK", "/sec?ret")),
        ("A%2FK:se%2Fc%40ret", ("A/K", "se/c@ret")),
        ("AK:se@cret", ("AK", "se@cret")),
        ("AK:", ("AK", "")),
    ]:
        target = make_target(f"s3://{login}@my.bucket/www?region=eu-west-1")
        assert isinstance(target, S3Target)
        assert (target.username, target.password) == keys
        assert (target.bucket, target.root_dir, target.query) == ("my.bucket", "/www", "region=eu-west-1")
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    for path in ("", "/dir@2x/a:b@c"):
        target = make_target(f"s3://AK:{secret}@bucket{path}")
        assert isinstance(target, S3Target)
        assert (target.password, target.get_base_name()) == (secret, f"s3://bucket{path}")
    asked = make_target("s3://bucket/what?x=1")
    assert isinstance(asked, S3Target) and (asked.root_dir, asked.query) == ("/what?x=1", "")
    plain = make_target("s3://bucket/dir:a@2x")
    assert isinstance(plain, S3Target)
    assert (plain.username, plain.root_dir) == (None, "/dir:a@2x")
