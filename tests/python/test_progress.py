"""The last line on a terminal while files are being copied."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from ftpsync import _progress
from ftpsync._progress import ProgressLine, bytes_in_words
from ftpsync.synchronizers import DownloadSynchronizer
from ftpsync.targets import FsTarget, make_target
from ftpsync.util import set_pyftpsync_logger
from small_servers import ftp_server


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_bytes_and_their_rate_are_shown_after_a_second(clock: list[float], capsys: Any) -> None:
    line = ProgressLine("(DRY-RUN) ", shows_bytes=True)
    line.count(3, 5, 2)
    line.flow(0, 10_000_000)
    assert capsys.readouterr().out == ""
    clock[0] += 2
    line.flow(5_000_000, 10_000_000)
    touched = "(DRY-RUN) Touched 3/5 entries in 2 directories..."
    assert capsys.readouterr().out == f"{touched} 4.8 MiB of 9.5 MiB, 2.4 MiB/s\r"
    line.count(4, 5, 2)
    line.show()
    assert capsys.readouterr().out.startswith("(DRY-RUN) Touched 4/5 entries in 2 directories... 4.8 MiB")


def test_the_rate_is_that_of_the_last_seconds(clock: list[float], capsys: Any) -> None:
    line = ProgressLine("", shows_bytes=True)
    for look in range(30):
        line.flow(min(look, 20) * 1024, 100 * 1024)
        clock[0] += 0.5
    assert capsys.readouterr().out.rstrip().endswith("20.0 KiB of 100.0 KiB, 0 B/s")


def test_what_follows_finds_an_empty_line(clock: list[float], capsys: Any) -> None:
    line = ProgressLine("", shows_bytes=True)
    line.flow(0, 2000)
    clock[0] += 2
    line.flow(1000, 2000)
    shown = capsys.readouterr().out
    line.clear()
    assert capsys.readouterr().out == " " * (len(shown) - 1) + "\r"
    line.clear()
    assert capsys.readouterr().out == ""


def test_without_a_terminal_the_line_is_that_of_pyftpsync(clock: list[float], capsys: Any) -> None:
    line = ProgressLine("", shows_bytes=False)
    line.flow(0, 2000)
    clock[0] += 2
    line.flow(1000, 2000)
    line.count(1, 2, 1)
    line.show()
    line.clear()
    assert capsys.readouterr().out == "Touched 1/2 entries in 1 directories...\r"


def test_a_run_shows_the_bytes_of_a_file_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "there" / "large.bin").write_bytes(bytes(1 << 20))
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    previous = set_pyftpsync_logger(None)
    try:
        with ftp_server(tmp_path / "there", bytes_per_second=400_000) as server:
            local, remote = FsTarget(str(tmp_path / "here")), make_target(server.url)
            DownloadSynchronizer(local, remote, {"verbose": 3, "no_color": True, "progress": True}).run()
    finally:
        set_pyftpsync_logger(previous)
    shown = terminal.getvalue().split("\r")
    assert [line for line in shown if line.endswith("KiB/s") and " KiB of 1.0 MiB, " in line]
    assert shown[-2].strip() == shown[-1] == "", "The line is empty again for what follows."
    assert (tmp_path / "here" / "large.bin").read_bytes() == bytes(1 << 20)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_bytes_as_people_read_them(number: int, words: str) -> None:
    assert bytes_in_words(number) == words


@pytest.mark.parametrize("columns", [25, 40, 60])
def test_the_line_never_fills_a_narrow_terminal(
    columns: int, clock: list[float], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    line = ProgressLine("", shows_bytes=True)
    line.count(12_345, 67_890, 2000)
    line.flow(0, 10_000_000)
    clock[0] += 2
    line.flow(5_000_000, 10_000_000)
    shown = capsys.readouterr().out.rstrip("\r")
    assert len(shown) < columns
    assert "12345/67890 4.8 MiB" in shown
