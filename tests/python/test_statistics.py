"""What the counters of a run count, where the comparison with the reference does not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftpsync.synchronizers import BiDirSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget


@pytest.fixture
def sides(tmp_path: Path) -> tuple[FsTarget, FsTarget]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    return FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote"))


def test_rates_come_with_the_first_copy_and_counters_add_up_over_runs(
    sides: tuple[FsTarget, FsTarget],
) -> None:
    local, remote = sides
    run = BiDirSynchronizer(local, remote, {"verbose": 0})
    run.run()
    stats = run.get_stats()
    assert not {"write_time", "upload_write_time", "upload_rate_str", "download_rate_str"} & stats.keys()
    assert isinstance(stats["elap_secs"], float) and stats["elap_str"] == f"{stats['elap_secs']:0.2f} sec"

    Path(local.root_dir, "up").write_bytes(b"x" * 100_000)
    run.run()
    assert isinstance(stats["upload_write_time"], float) and isinstance(stats["write_time"], float)
    kilobytes = 100_000 / stats["upload_write_time"] / 1000
    assert stats["upload_rate_str"] == f"{kilobytes:0.2f} kB/sec"
    assert "download_rate_str" not in stats
    assert (stats["files_written"], stats["local_files"], stats["bytes_written"]) == (1, 1, 100_000)

    Path(remote.root_dir, "down").write_bytes(b"y" * 10)
    run.run()
    assert (stats["files_written"], stats["upload_files_written"], stats["download_files_written"]) == (
        2,
        1,
        1,
    )
    assert (stats["local_files"], stats["remote_files"]) == (1 + 1, 1 + 1)
    assert (stats["bytes_written"], stats["download_bytes_written"]) == (100_010, 10)
    assert stats["write_time"] >= stats["upload_write_time"]
    assert (stats["files_created"], stats["result_code"]) == (0, None)


def test_a_dry_run_counts_what_it_would_write_but_no_bytes(sides: tuple[FsTarget, FsTarget]) -> None:
    folder = Path(sides[0].root_dir, "folder")
    folder.mkdir()
    (folder / "inside").write_text("x")
    Path(sides[0].root_dir, "a").write_text("xyz")
    run = UploadSynchronizer(*sides, {"verbose": 0, "dry_run": True})
    run.run()
    stats = run.get_stats()
    assert (stats["files_written"], stats["upload_files_written"]) == (1, 1)
    assert (stats["dirs_created"], stats["entries_touched"]) == (1, 2)
    assert (stats["bytes_written"], stats["meta_bytes_written"]) == (0, 0)


def test_meta_bytes_count_characters(sides: tuple[FsTarget, FsTarget]) -> None:
    Path(sides[0].root_dir, "ümläut-日本").write_text("x")
    first = BiDirSynchronizer(*sides, {"verbose": 0})
    first.run()
    text = Path(sides[0].root_dir, ".pyftpsync-meta.json").read_text(encoding="utf-8")
    assert len(text) != len(text.encode())
    assert first.get_stats()["meta_bytes_written"] == len(text)
    second = BiDirSynchronizer(*sides, {"verbose": 0})
    second.run()
    assert second.get_stats()["meta_bytes_read"] == len(text)
    assert second.get_stats()["meta_bytes_written"] == 0
