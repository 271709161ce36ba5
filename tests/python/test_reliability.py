"""Nothing is lost: one test for each promise that is not kept by a single target."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftpsync.synchronizers import BiDirSynchronizer, UploadSynchronizer
from ftpsync.targets import make_target
from small_servers import ftp_server


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    return tmp_path / "local", tmp_path / "remote"


def put(path: Path, text: str, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1.6e9 - age, 1.6e9 - age))
    return path


def run(kind: type[Any], local: Path, url: str, **options: Any) -> Any:
    synchronizer = kind(make_target(str(local)), make_target(url), {"verbose": 0, **options})
    synchronizer.run()
    return synchronizer


@pytest.mark.parametrize("kind", [BiDirSynchronizer, UploadSynchronizer])
@pytest.mark.parametrize("is_new", [False, True])
def test_an_edit_made_on_the_server_during_an_upload_survives(
    sides: tuple[Path, Path], kind: type[Any], is_new: bool
) -> None:
    local, remote = sides
    edit: list[Callable[[], Any]] = []

    def before(command: str) -> None:
        if command.startswith("STOR") and "tmp" in command and edit:
            edit.pop()()

    with ftp_server(remote, before=before) as server:
        put(local / "other", "x", 100)
        if not is_new:
            put(local / "a", "old", 100)
        run(kind, local, server.url)
        put(local / "a", "our edit")
        edit.append(lambda: put(remote / "a", "their edit", 50))
        with pytest.raises(OSError, match="changed since it was listed"):
            run(kind, local, server.url)
        assert (remote / "a").read_text() == "their edit"
        assert [path.name for path in remote.iterdir() if "tmp" in path.name] == []
        stats = run(kind, local, server.url, resolve="skip").get_stats()
        assert stats["conflict_files_skipped"] == 1
        assert ((remote / "a").read_text(), (local / "a").read_text()) == ("their edit", "our edit")
