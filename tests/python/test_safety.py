"""Ways to lose a file that were found, each named after what must not happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import servers
from folders import put
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from servers.base import StartServer


def names(root: Path) -> set[str]:
    found = (
        str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    return {name for name in found if ".pyftpsync-" not in name}


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    return tmp_path / "local", tmp_path / "remote"


def run(kind: type[Any], sides: tuple[Path, Path], **options: Any) -> Any:
    synchronizer = kind(FsTarget(str(sides[0])), FsTarget(str(sides[1])), {"verbose": 0, **options})
    synchronizer.run()
    return synchronizer


def test_what_a_link_leads_to_is_not_deleted_with_the_link(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "data" / "keep.txt", "precious")
    (local / "current").symlink_to("data")
    for number in range(4):
        put(local / f"other{number}", "x")
    run(BiDirSynchronizer, sides, exclude=["data"])
    assert (remote / "current" / "keep.txt").exists()
    (remote / "current" / "keep.txt").unlink()
    (remote / "current").rmdir()
    run(BiDirSynchronizer, sides, exclude=["data"])
    assert (local / "data" / "keep.txt").read_text() == "precious"
    assert not (local / "current").is_symlink()


def test_download_with_delete_does_not_empty_the_target_of_a_link(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "v2" / "a", "x")
    (local / "latest").symlink_to("v2")
    put(remote / "v2" / "a", "x")
    run(DownloadSynchronizer, sides, delete=True)
    assert (local / "v2" / "a").exists()


def test_delete_unmatched_leaves_the_task_file(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "pyftpsync.yaml", "tasks: {}")
    put(remote / "a", "x")
    run(DownloadSynchronizer, sides, delete=True, delete_unmatched=True)
    assert names(local) == {"pyftpsync.yaml", "a"}


def test_an_edit_made_while_the_file_is_replaced_survives(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "a", "old", 100)
    put(remote / "a", "newer")

    class Editing(DownloadSynchronizer):
        def on_copy_remote(self, pair: Any) -> None:
            put(local / "a", "edited meanwhile", -50)
            super().on_copy_remote(pair)

    with pytest.raises(OSError, match="changed since it was listed"):
        run(Editing, sides)
    assert (local / "a").read_text() == "edited meanwhile"


def test_an_edit_made_before_the_deletion_survives(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    for number in range(4):
        put(local / f"file{number}", "x")
    run(BiDirSynchronizer, sides)
    (remote / "file0").unlink()

    class Editing(BiDirSynchronizer):
        def on_delete_local(self, pair: Any) -> None:
            super().on_delete_local(pair)
            put(local / "file0", "edited meanwhile", -50)

    run(Editing, sides)
    assert (local / "file0").read_text() == "edited meanwhile"


def test_links_can_be_skipped(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "a", "x")
    (local / "link").symlink_to("a")
    run(UploadSynchronizer, sides, links="skip")
    assert names(remote) == {"a"}


def test_files_that_a_server_hides_are_not_deleted_here(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(servers.VSFTPD)
    local = tmp_path / "local"
    for name in (".htaccess", "a", "b", "c"):
        put(local / name, "x")
    remote = server.root / "site"
    remote.mkdir()
    for _ in range(2):
        target = make_target(f"{server.url}site")
        BiDirSynchronizer(FsTarget(str(local)), target, {"verbose": 0}).run()
    assert names(local) == names(remote) == {".htaccess", "a", "b", "c"}


def test_a_mistyped_scheme_shows_no_password() -> None:
    with pytest.raises(ValueError, match="is not a directory") as caught:
        make_target("fpt://joe:secret99@host/x")
    assert "secret99" not in str(caught.value)


def test_temporary_files_of_an_interrupted_run_go(sides: tuple[Path, Path]) -> None:
    local, remote = sides
    put(local / "a", "x")
    old = put(remote / ".pyftpsync-tmp-0123-a", "half", 10)
    young = remote / ".pyftpsync-tmp-4567-a"
    young.write_text("half")
    run(UploadSynchronizer, sides)
    assert not old.exists()
    assert young.exists(), "it may belong to a run that goes on elsewhere"
