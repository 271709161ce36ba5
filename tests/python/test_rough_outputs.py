"""Outputs that cannot take what is told, and surroundings that are not as they should be: no run is lost over them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ftpsync import pyftpsync
from ftpsync.synchronizers import UploadSynchronizer
from rough import Sides, contents
from small_servers import Small

NAMES = ("\u00fcml\u00e4ut \u20ac.txt", "\U0001f600", "\u65e5\u672c")


def run(
    command: list[str], before: Callable[[], object] | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        preexec_fn=before,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
    assert b"unexpected" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
    ids=["C", "ascii", "latin-1"],
)
def test_a_name_that_the_output_has_no_characters_for_stops_no_run(
    sides: Sides, server: Small, environment: dict[str, str]
) -> None:
    for name in NAMES:
        (sides.local / name).write_text(name)
    done = run(sides.command("sync", server.url, "--progress"), **environment)
    assert done.returncode == 0, done.stderr
    local, remote = sides.contents()
    assert local == remote and len(local) == 5
    assert b"\\u20ac" in done.stdout and b"\\u65e5" in done.stdout, done.stdout
    for word in ("tree", "scan"):
        listed = run([sys.executable, "-m", "ftpsync", word, str(sides.local)], **environment)
        assert listed.returncode == 0, listed.stderr


def test_a_script_whose_output_lacks_characters_is_not_stopped_either(sides: Sides) -> None:
    (sides.local / NAMES[0]).write_text("x")
    code = (
        "import sys; from ftpsync.synchronizers import UploadSynchronizer; from ftpsync.targets import make_target\n"
        "from ftpsync.util import set_pyftpsync_logger; set_pyftpsync_logger(None)\n"
        "UploadSynchronizer(make_target(sys.argv[1]), make_target(sys.argv[2]), {'verbose': 3}).run()\n"
    )
    words = [sys.executable, "-c", code, str(sides.local), str(sides.remote)]
    assert run(words, PYTHONIOENCODING="ascii").returncode == 0
    assert (sides.remote / NAMES[0]).exists()


def test_bytes_of_a_name_that_are_no_text_are_shown_as_bytes(sides: Sides, server: Small) -> None:
    (sides.local / os.fsdecode(b"caf\xe9 \xff")).write_text("x")
    done = run(sides.command("sync", server.url))
    assert done.returncode == 1
    assert b"Could not copy caf\\xe9 \\xff: " in done.stderr, done.stderr


def full(*outputs: int) -> Callable[[], None]:
    """Puts these outputs on a disk without room."""

    def set_up() -> None:
        disk = os.open("/dev/full", os.O_WRONLY)
        for output in outputs:
            os.dup2(disk, output)

    return set_up


@pytest.mark.parametrize("outputs", [(1,), (2,), (1, 2)])
def test_outputs_on_a_full_disk_leave_everything_in_good_order(
    sides: Sides, server: Small, outputs: tuple[int, ...]
) -> None:
    for number in range(200):
        (sides.local / f"a file with a rather long name, number {number}").write_text("x")
    (sides.local / os.fsdecode(b"\xff")).write_text("cannot be sent, which is told")
    before = contents(sides.local)
    done = run(sides.command("upload", server.url), full(*outputs))
    assert done.returncode == 1, done
    if 2 not in outputs:
        assert b"No space left on device" in done.stderr
    assert not (sides.remote / ".pyftpsync-lock.json").exists()
    for name, body in contents(sides.remote).items():
        assert name == "theirs" or before[name] == body
    (sides.local / os.fsdecode(b"\xff")).unlink()
    assert run(sides.command("upload", server.url)).returncode == 0
    assert contents(sides.local).items() <= contents(sides.remote).items()


def test_a_log_shows_what_is_going_on(sides: Sides) -> None:
    """Jobs that say nothing are killed, with all that was still to be written."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"ftp://joe@127.0.0.1:{silent.getsockname()[1]}/"
        command = sides.command("upload", url, "--timeout", "30", "--connect-timeout", "30")
        environment = {**os.environ, "PYFTPSYNC_PASSWORD": "x", "PYTHONUNBUFFERED": ""}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as job:
            assert job.stdout is not None
            assert job.stdout.readline().startswith(b"Upload ")
            connection, _ = silent.accept()
            with connection:
                connection.settimeout(60)
                connection.sendall(b"220 ready\r\n")
                # Whoever has ended says no name.
                assert connection.recv(4) == b"USER"
            job.kill()


def test_errors_stand_where_they_belong_in_a_log(sides: Sides, server: Small) -> None:
    (sides.local / os.fsdecode(b"\xff")).write_text("cannot be sent, which is told")
    log = sides.local.parent / "log"
    with log.open("wb") as stream:
        subprocess.run(
            sides.command("upload", server.url),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            timeout=60,
            check=False,
        )
    text = log.read_bytes()
    places = [text.find(words) for words in (b"Upload ", b"Could not copy", b"Wrote ", b"1 problem")]
    assert -1 not in places and places == sorted(places), text


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed_is_no_obstacle(sides: Sides, server: Small, closed: int) -> None:
    done = run(sides.command("sync", server.url, "-v"), lambda: os.close(closed))
    assert done.returncode == 0, done
    assert contents(sides.local) == contents(sides.remote)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_has_only_write_is_no_obstacle(
    sides: Sides, server: Small, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Window:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    window = Window()
    monkeypatch.setattr(sys, stream, window)
    monkeypatch.setattr(sys, "argv", ["pyftpsync", "sync", str(sides.local), server.url, "--progress"])
    pyftpsync.run()
    assert sides.contents()[0] == sides.contents()[1]
    assert window.text or stream == "stderr"


def test_a_program_keeps_what_it_does_at_sigterm(
    sides: Sides, server: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def note(*_: object) -> None:
        """What the program does."""

    class Look(UploadSynchronizer):
        def _before_sync(self, entry: object) -> bool:
            found.append(signal.getsignal(signal.SIGTERM))
            return True

    monkeypatch.setitem(pyftpsync._SYNCHRONIZERS, "upload", Look)
    monkeypatch.setattr(sys, "argv", ["pyftpsync", "upload", str(sides.local), server.url])
    before = signal.getsignal(signal.SIGTERM)
    for handler in (note, signal.SIG_IGN, signal.SIG_DFL):
        try:
            signal.signal(signal.SIGTERM, handler)
            pyftpsync.run()
            assert signal.getsignal(signal.SIGTERM) is handler
        finally:
            signal.signal(signal.SIGTERM, before)
        expected = signal.default_int_handler if handler is signal.SIG_DFL else handler
        assert found and set(found) == {expected}
        found.clear()


@pytest.mark.parametrize("home", [None, "/nonexistent/home", "mine"], ids=["unset", "missing", "a file"])
def test_a_home_that_is_none_is_no_obstacle(sides: Sides, server: Small, home: str | None) -> None:
    place = str(sides.local / home) if home == "mine" else home
    words = ["env", *(["-u", "HOME"] if place is None else [f"HOME={place}"])]
    done = run([*words, *sides.command("sync", server.url)])
    assert done.returncode == 0, done.stderr
    assert contents(sides.local) == contents(sides.remote)


@pytest.mark.parametrize(
    ("netrc", "said"),
    [
        (b'machine 127.0.0.1 login "unfinished\n macdef', b""),
        (b"\xff\xfe\0machine x", b"codec can't decode"),
        (None, b"Is a directory"),
    ],
    ids=["broken", "binary", "a folder"],
)
def test_a_netrc_that_cannot_be_read_is_told(
    sides: Sides, tmp_path: Path, netrc: bytes | None, said: bytes
) -> None:
    place = tmp_path / "home" / ".netrc"
    place.parent.mkdir()
    place.mkdir() if netrc is None else place.write_bytes(netrc)
    nobody = "ftp://127.0.0.1:1/"
    done = run(sides.command("sync", nobody, "--no-keyring", "--no-prompt"), HOME=str(place.parent))
    assert done.returncode == 1
    assert b"Could not read .netrc file: " in done.stderr and said in done.stderr, done.stderr
    assert b"None" not in done.stderr, done.stderr


def test_a_current_folder_that_was_removed_is_told(sides: Sides, server: Small, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    script = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "ftpsync", "sync", ".", server.url]
    done = run(["sh", "-c", script, "sh", str(gone), *command], PYTHONPATH=os.pathsep.join(sys.path))
    assert done.returncode == 1
    assert b"Has the current folder been removed?" in done.stderr, done.stderr


def test_a_task_file_without_end_is_a_usage_error(sides: Sides) -> None:
    (sides.local / "pyftpsync.yaml").write_text("{a: " * 3000)
    done = run(["sh", "-c", f'cd "{sides.local}" && exec "{sys.executable}" -m ftpsync run'])
    assert done.returncode == 2
    assert b"Error parsing" in done.stderr, done.stderr
