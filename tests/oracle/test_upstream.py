"""The tests that pyftpsync brings along pass with ours, as they are.

Its source distributions have them, without the module of fixtures that they import: `upstream/fixture_tools.py` is
ours. That it sets up what the tests mean is shown by the releases themselves, which pass with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import NoReturn

import environments
import pytest
from environments import SOURCES, Environment
from running import PASSWORD, USER, ftp_server, run_python

UPSTREAM = Path(__file__).with_name("upstream")
#: release -> how many tests it has.
NUMBER = {"4.1.0": 71, "3.1.0": 66}

#: What upstream leaves out: unfinished, of no use without a server, or ended by the test itself.
LEFT_OUT = {
    "test_1x_ftp.FtpTargetTest.test_json",
    "test_1x_ftp.FtpTargetTest.test_readwrite",
    "test_1x_ftp.FtpTargetTest.test_remote",
    "test_1x_ftp.FtpTargetTest.test_sync_fs_ftp",
    "test_1x_ftp.FtpTest.test_ftp",
    "test_1x_ftp.FtpTest.test_mlsd",
    "test_bench.BenchmarkTest.test_transfer_large_files",
    "test_bench.BenchmarkTest.test_transfer_small_files",
    "test_develop.TempDevelopTest.test_issue_21",
    "test_develop.TempDevelopTest.test_issue_24",
    "test_sync_bidir.BidirSpecialTest.test_folder_conflict",
}

#: What ours is meant to do otherwise, and the counter that tells it first. In each of them one side has removed a
#: folder in which the other has edited a file: `folder4` and `folder7`, or in the last one `folder1`. pyftpsync removes
#: the edited file with the folder, which its documentation lists as an undetected conflict. Ours reports a conflict and
#: keeps the file, or restores it on the other side if the strategy says so.
DECIDED = {
    "test_sync_bidir.BidirSyncTest.test_default": 'stats["dirs_deleted"], 4)\nAssertionError: 2 != 4',
    "test_sync_bidir.BidirSyncTest.test_resolve_local": 'stats["files_written"], 12)\nAssertionError: 13 != 12',
    "test_sync_bidir.BidirSyncTest.test_resolve_remote": 'stats["files_written"], 12)\nAssertionError: 13 != 12',
    "test_sync_download.DownloadResolveTest.test_delete": 'stats["dirs_deleted"], 2)\nAssertionError: 1 != 2',
    "test_sync_upload.UploadResolveTest.test_delete": 'stats["dirs_deleted"], 2)\nAssertionError: 1 != 2',
    "test_sync_bidir.BidirSpecialTest.test_folder_conflict": (
        'stats["dirs_deleted"], 1)\nAssertionError: 0 != 1'
    ),
}
#: The same with a server.
DECIDED |= {
    name.replace(".Bidir", ".FtpBidir")
    .replace(".Download", ".FtpDownload")
    .replace(".Upload", ".FtpUpload"): why
    for name, why in DECIDED.items()
    if "Special" not in name
}
#: Chooses what pyftpsync does instead.
AS_UPSTREAM = {"no_deep_conflicts": True}


@pytest.fixture(params=NUMBER)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Played:
    """How tests of a release ended, by their names without that of the package."""

    def __init__(self, lines: list[str]) -> None:
        self.outcomes: dict[str, str] = {}
        self.why: dict[str, str] = {}
        for line in map(json.loads, lines):
            name = line["test"].split(".", 1)[1]
            self.outcomes[name] = line["outcome"]
            self.why[name] = line["why"]

    def named(self, outcome: str) -> set[str]:
        return {name for name, ended in self.outcomes.items() if ended == outcome}

    def trouble(self) -> str:
        """What was wrong, where a test failed."""
        return "\n".join(f"{name}: {self.why[name]}" for name in self.named("error") | self.named("failed"))


def played(
    release: str,
    subject: Environment,
    serving: Environment,
    folder: Path,
    *args: str,
    place: str = "fixtures/remote",
    server: tuple[str, ...] = (),
    options: dict[str, object] | None = None,
    word: str = "",
) -> Played:
    """Plays tests of a release.

    Args:
        release: Whose tests.
        subject: With which package.
        serving: Where pyftpdlib is.
        folder: To work in.
        *args: Options of `play.py`.
        place: What is published, below what the server serves.
        server: Options of the server.
        options: Options for every run of a synchronizer.
        word: Only tests with this in their name.
    """
    try:
        tests = environments.upstream_tests(release)
    except environments.Unavailable as why:
        leave_out(f"the tests of pyftpsync {release} could not be fetched: {why}")
    package = SOURCES[release][0]
    served, home = folder / "served", folder / "home"
    (served / "fixtures").mkdir(parents=True)
    (served / "test").mkdir()
    shutil.copytree(tests, home / package)
    shutil.copy(UPSTREAM / "fixture_tools.py", home / package)
    (home / package / "__init__.py").touch()
    # In active mode pyftpdlib mixes up the sessions of one thread.
    with ftp_server(serving, served, "--threads", *server) as port:
        variables = {
            "PYFTPSYNC_TEST_FOLDER": str(served / "fixtures"),
            "PYFTPSYNC_TEST_FTP_URL": f"ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/{place}",
            "PYFTPSYNC_TEST_OPTIONS": json.dumps(options or {}),
        }
        if release == "3.1.0":
            variables["PYFTPSYNC_COMPAT"] = "3.1"
        ran = run_python(subject, [str(UPSTREAM / "play.py"), *args, package, word], home, variables)
    assert ran.returncode == 0, ran.stderr
    return Played(ran.stdout.splitlines())


def leave_out(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def test_the_releases_pass_with_our_fixtures(
    release: str, reference_41: Environment, reference_31: Environment, tmp_path: Path
) -> None:
    subject = {"4.1.0": reference_41, "3.1.0": reference_31}[release]
    theirs = played(release, subject, reference_41, tmp_path)
    # 4.1.0 cannot import its SFTP with the paramiko of today.
    assert theirs.named("error") <= {"loader._FailedTest.test_sftp"}, theirs.trouble()
    assert theirs.named("failed") == set(), theirs.trouble()
    assert theirs.named("skipped") == LEFT_OUT
    assert len(theirs.outcomes) == NUMBER[release]


def test_ours_passes_all_that_is_not_decided_otherwise(
    release: str, ours: Environment, reference_41: Environment, tmp_path: Path
) -> None:
    mine = played(release, ours, reference_41, tmp_path)
    assert mine.named("error") == set(), mine.trouble()
    assert mine.named("failed") == set(DECIDED), mine.trouble()
    assert mine.named("skipped") == LEFT_OUT - set(DECIDED)
    assert len(mine.outcomes) == NUMBER[release]
    for name, difference in DECIDED.items():
        assert difference in re.sub(r"\n +[\^~]+(?=\n)", "", mine.why[name]), name


def test_ours_passes_all_when_it_decides_as_upstream(
    ours: Environment, reference_41: Environment, tmp_path: Path
) -> None:
    # The server is an old one: what ours finds other ways for then is no difference either.
    old = ("--no-mfmt", "--no-mlsd")
    mine = played("4.1.0", ours, reference_41, tmp_path, server=old, options=AS_UPSTREAM)
    assert mine.named("error") | mine.named("failed") == set(), mine.trouble()
    assert mine.named("skipped") == LEFT_OUT
    assert len(mine.outcomes) == NUMBER["4.1.0"]


@pytest.mark.parametrize("word", ["BenchmarkTest", "FtpTargetTest"])
def test_ours_passes_what_upstream_has_switched_off(
    word: str, ours: Environment, reference_41: Environment, tmp_path: Path
) -> None:
    # These tests want a server that publishes a folder of its own.
    mine = played("4.1.0", ours, reference_41, tmp_path, "--all", place="test", word=word)
    assert set(mine.outcomes) == {name for name in LEFT_OUT if word in name}
    assert mine.named("passed") == set(mine.outcomes), mine.trouble()
