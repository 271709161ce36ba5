"""What a run promises beyond its result: it can be stopped, it lets other threads work, it needs little memory."""

from __future__ import annotations

import fnmatch
import ftplib
import os
import resource
import signal
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftpsync import _core
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersionError
from ftpsync.synchronizers import (
    BaseSynchronizer,
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import FsTarget
from ftpsync.util import CliSilentRuntimeError
from rough import stumps
from small_servers import ftp_server
from waiting import wait_for

DEADLINE = 30.0


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A server that moves 256 KiB a second; yields its root and its URL."""
    root = tmp_path / "server"
    root.mkdir()
    with ftp_server(root, bytes_per_second=256 * 1024) as server:
        yield root, server.url


def start(command: str, local: Path, url: str, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ftpsync", command, str(local), url, "--no-prompt", *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".pyftpsync-tmp-")]


# -- being stopped ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_row_05_an_interrupted_download_keeps_the_old_file_and_the_next_run_finishes(
    slow_server: tuple[Path, str], tmp_path: Path, how: signal.Signals
) -> None:
    root, url = slow_server
    local = tmp_path / "local"
    local.mkdir()
    (local / "big").write_bytes(b"old")
    os.utime(local / "big", (1e9, 1e9))
    (root / "big").write_bytes(bytes(1 << 20))
    (root / "small").write_bytes(b"small")
    process = start("download", local, url)
    wait_for(lambda: bool(stumps(local)), "the first bytes")
    wait_for(lambda: (local / "small").exists(), "the small file")
    begun = time.monotonic()
    process.send_signal(how)
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3, errors
    assert time.monotonic() - begun < 15
    assert "Aborted by user" in errors
    assert "Traceback" not in errors
    assert (local / "big").read_bytes() == b"old"
    assert temporaries(local) == []
    assert '"small"' in (local / DirMetadata.META_FILE_NAME).read_text(), "what was finished is remembered"
    assert not (root / ".pyftpsync-lock.json").exists()
    done = start("download", local, url)
    _, errors = done.communicate(timeout=DEADLINE)
    assert done.returncode == 0, errors
    assert (local / "big").read_bytes() == bytes(1 << 20)


def test_ctrl_c_during_an_upload_keeps_the_old_file(slow_server: tuple[Path, str], tmp_path: Path) -> None:
    root, url = slow_server
    local = tmp_path / "local"
    local.mkdir()
    (root / "big").write_bytes(b"old")
    os.utime(root / "big", (1e9, 1e9))
    (local / "big").write_bytes(bytes(8 << 20))
    process = start("upload", local, url)
    wait_for(lambda: bool(stumps(root)), "the first bytes")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3, errors
    assert (root / "big").read_bytes() == b"old"


def test_ctrl_c_while_the_server_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start("upload", tmp_path, f"ftp://joe:pw@127.0.0.1:{silent.getsockname()[1]}/")
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3, errors


# -- other threads, memory -------------------------------------------------------------------------


def test_other_threads_work_while_a_run_waits(slow_server: tuple[Path, str], tmp_path: Path) -> None:
    root, url = slow_server
    (root / "big").write_bytes(bytes(512 * 1024))
    local = tmp_path / "local"
    local.mkdir()
    target = make_ftp(url)
    seen: list[bool] = []

    def run() -> None:
        seen.append(DownloadSynchronizer(FsTarget(str(local)), target, {"verbose": 0}).run())

    thread = threading.Thread(target=run)
    thread.start()
    steps = 0
    while thread.is_alive():
        steps += 1
        time.sleep(0.001)
    assert seen == [True]
    # The download lasts about a second. A run that holds the interpreter lets this loop go round once or twice.
    assert steps > 20, "the interpreter was held"


PEAK = """
import resource, sys
from ftpsync.synchronizers import UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
UploadSynchronizer(FsTarget(sys.argv[1]), make_target(sys.argv[2]), {"verbose": 0}).run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("kind", ["local", "ftp"])
def test_memory_does_not_grow_with_the_size_of_a_file(
    kind: str, pyftpdlib_server: Any, tmp_path: Path
) -> None:
    peaks = []
    for size in (1 << 20, 256 << 20):
        local, remote = tmp_path / f"local{size}", tmp_path / f"remote{size}"
        local.mkdir()
        remote.mkdir()
        with (local / "file").open("wb") as file:
            file.truncate(size)
        url = str(remote)
        if kind == "ftp":
            (pyftpdlib_server.root / str(size)).mkdir()
            url = f"{pyftpdlib_server.url}{size}"
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(local), url], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 16 * 1024, f"peaks in KiB: {peaks}"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


# -- what goes wrong, as the library shows it --------------------------------------------------------


def make_ftp(url: str, **changes: Any) -> FTPTarget:
    from ftpsync.targets import make_target

    target = make_target(url)
    assert isinstance(target, FTPTarget)
    for name, value in changes.items():
        setattr(target, name, value)
    return target


def test_failures_have_the_documented_types_and_leave_both_sides_alone(
    pyftpdlib_server: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    url = pyftpdlib_server.url
    with socket.create_server(("127.0.0.1", 0)) as unused:
        free = unused.getsockname()[1]
    cases: list[tuple[FTPTarget, type[BaseException], str]] = [
        (make_ftp(url, password="wrong-secret"), ftplib.error_perm, "530"),
        (make_ftp(url, port=free), ConnectionRefusedError, f"127.0.0.1:{free}"),
        (make_ftp("ftp://joe:pw@no-such-host.invalid/"), socket.gaierror, "no-such-host.invalid"),
        (make_ftp(url, root_dir="/missing"), CliSilentRuntimeError, "Could not change remote directory to"),
    ]
    for target, expected, text in cases:
        with pytest.raises(expected, match=text) as caught:
            UploadSynchronizer(FsTarget(str(tmp_path)), target, {"verbose": 0}).run()
        assert "wrong-secret" not in repr(caught.value) + str(getattr(caught.value, "what", ""))
        assert not target.connected
    assert list(pyftpdlib_server.root.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]


def test_a_missing_local_folder_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="is not a directory"):
        FsTarget("/no/such/folder")


def test_metadata_of_another_version_stops_the_run_and_stays(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    for folder in (local, remote):
        folder.mkdir()
    text = '{"_file_version": 99}'
    (local / DirMetadata.META_FILE_NAME).write_text(text)
    (local / "file").write_text("x")
    with pytest.raises(IncompatibleMetadataVersionError, match="Invalid meta data version: 99.*--migrate"):
        BiDirSynchronizer(FsTarget(str(local)), FsTarget(str(remote)), {"verbose": 0}).run()
    assert (local / DirMetadata.META_FILE_NAME).read_text() == text
    assert list(remote.iterdir()) == []
    BiDirSynchronizer(FsTarget(str(local)), FsTarget(str(remote)), {"verbose": 0, "migrate": True}).run()
    assert (remote / "file").read_text() == "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; see the test for the command line")
def test_an_unreadable_file_is_counted_and_the_rest_is_copied(tmp_path: Path) -> None:
    unreadable(tmp_path)
    local, remote = tmp_path / "local", tmp_path / "remote"
    synchronizer = UploadSynchronizer(FsTarget(str(local)), FsTarget(str(remote)), {"verbose": 0})
    assert synchronizer.run() is True
    assert (synchronizer.error_count(), synchronizer.problem_count()) == (1, 1)


def unreadable(root: Path) -> None:
    for name in ("local", "remote"):
        (root / name).mkdir()
    (root / "local" / "closed").write_text("secret")
    (root / "local" / "closed").chmod(0)
    (root / "local" / "open").write_text("open")
    for folder in (root, root / "local", root / "remote"):
        folder.chmod(0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not read the file")
def test_an_unreadable_file_is_named_and_the_rest_is_copied(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("unreadable")
    unreadable(root)
    for folder in root.parents:
        if folder.stat().st_mode & 0o055 != 0o055 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    code = (
        "import sys; from ftpsync.synchronizers import UploadSynchronizer; from ftpsync.targets import FsTarget;"
        # The other user may not be allowed to read the library of the interpreter, so a run loads it beforehand.
        "run = lambda *folders: UploadSynchronizer(*map(FsTarget, folders), {'verbose': 0});"
        "run(sys.argv[3], sys.argv[4]).run();"
        "import os; os.setgid(65534); os.setuid(65534);"
        "s = run(sys.argv[1], sys.argv[2]);"
        "print(s.run(), s.error_count(), s.problem_count())"
    )
    folders = [root / "local", root / "remote", root / "before", root / "before-too"]
    for folder in folders[2:]:
        folder.mkdir()
    words = [sys.executable, "-c", code, *map(str, folders)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "True 1 1\n", done.stderr
    assert "Could not copy closed: " in done.stderr
    assert [path.name for path in (root / "remote").iterdir()] == ["open"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"connections": 0}, ValueError),
        ({"connections": "many"}, ValueError),
        ({"max_delete": "lots"}, ValueError),
        ({"case": "upper"}, ValueError),
        ({"exclude": 7}, AssertionError),
        ({"match": ["a", 7]}, AssertionError),
    ],
)
def test_malformed_options_fail_at_once(
    options: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    (tmp_path / "local" / "file").write_text("x")
    with pytest.raises(error, match=next(iter(options))):
        UploadSynchronizer(
            FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote")), {"verbose": 0, **options}
        ).run()
    assert list((tmp_path / "remote").iterdir()) == []


def test_the_base_synchronizer_changes_nothing(tmp_path: Path) -> None:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    (tmp_path / "local" / "file").write_text("x")
    targets = FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote"))
    assert BaseSynchronizer(*targets, {"verbose": 0}).run() is True
    assert list((tmp_path / "remote").iterdir()) == []


# -- patterns --------------------------------------------------------------------------------------

LETTERS = st.sampled_from("ab-]![^*?.\\{},é/\n" + string.digits[:2])


@given(st.text(LETTERS, max_size=8), st.text(LETTERS, min_size=1, max_size=8))
def test_patterns_mean_what_fnmatch_means(pattern: str, name: str) -> None:
    expected = not fnmatch.fnmatchcase(name, pattern)
    assert _core.matches(name, False, [], [pattern], False) is expected


# -- the same on the command line ------------------------------------------------------------------


def command_line(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ftpsync", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_a_clash_is_one_line_and_exit_code_1_and_the_rest_is_done(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    (remote / "name").mkdir(parents=True)
    (remote / "name" / "in").write_text("folder")
    local.mkdir()
    (local / "name").write_text("file")
    (local / "other").write_text("x")
    done = command_line("sync", str(local), str(remote))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line]
    assert told[1:] == ["1 problem in this run:", f"  {told[0]}"], done.stderr
    assert '"name"' in told[0]
    assert (local / "name").read_text() == "file"
    assert (remote / "name" / "in").read_text() == "folder"
    assert (remote / "other").read_text() == "x"


@pytest.mark.parametrize(
    "option", [("--max-delete", "lots"), ("--connections", "0"), ("--resolve", "both"), ("--no-such-option",)]
)
def test_a_malformed_option_is_a_usage_error_that_names_it(option: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    (tmp_path / "local" / "file").write_text("x")
    done = command_line("sync", str(tmp_path / "local"), str(tmp_path / "remote"), *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert list((tmp_path / "remote").iterdir()) == []
