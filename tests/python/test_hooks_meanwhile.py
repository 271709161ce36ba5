"""What hooks do while the run goes on: with its conversations, with the options, and with what they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from folders import put, texts
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from ftpsync.util import set_pyftpsync_logger
from small_servers import ftp_server


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is written, from the logger."""
    seen: list[str] = []
    logger = mock.Mock()
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level).side_effect = lambda text, **_: seen.append(text)
    previous = set_pyftpsync_logger(logger)
    yield seen
    set_pyftpsync_logger(previous)


def between_disks(kind: type[Any], root: Path, **options: Any) -> Any:
    for side in ("local", "remote"):
        (root / side).mkdir(exist_ok=True)
    synchronizer = kind(
        FsTarget(str(root / "local")), FsTarget(str(root / "remote")), {"verbose": 0, **options}
    )
    synchronizer.run()
    return synchronizer


# --- Conversations ---


class WithVerbs(FsTarget):
    """A folder that the run reads by calls of this class."""

    def open_readable(self, name: str) -> Any:
        return super().open_readable(name)


class Asking(UploadSynchronizer):
    """Looks before and after each copy what the server has, and what was to be copied."""

    def on_copy_local(self, pair: Any) -> Any:
        assert pair.name not in self.there()
        super().on_copy_local(pair)
        assert pair.name in self.there()
        assert self.remote.ftp.sendcmd("NOOP").startswith("200")
        if pair.local.is_file():
            with self.local.open_readable(pair.name) as file:
                assert file.read() == b"text of " + pair.name.encode()

    def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> Any:
        assert file_entry.name not in self.there()
        return super()._copy_file(src, dest, file_entry)

    def there(self) -> list[str]:
        return [entry.name for entry in self.remote.get_dir()]


class Glancing(Asking):
    """Looks while files are on their way."""

    def on_copy_local(self, pair: Any) -> Any:
        return UploadSynchronizer.on_copy_local(self, pair)

    def _copy_file(self, src: Any, dest: Any, file_entry: Any) -> Any:
        return UploadSynchronizer._copy_file(self, src, dest, file_entry)

    def _before_sync(self, entry: Any) -> bool:
        self.there()
        if entry.is_local() and entry.is_file():
            with self.local.open_readable(entry.name) as file:
                assert file.read() == b"text of " + entry.name.encode()
        return super()._before_sync(entry)


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("local", [FsTarget, WithVerbs])
@pytest.mark.parametrize("kind", [Asking, Glancing])
def test_hooks_use_a_server_that_has_no_connection_left(
    kind: type[Any], local: type[Any], most: int, tmp_path: Path
) -> None:
    for folder in ("", "a/", "a/b/", "c/"):
        for name in ("one", "two", "three"):
            put(tmp_path / "local" / f"{folder}{name}", f"text of {name}")
    (tmp_path / "remote").mkdir()
    with ftp_server(tmp_path / "remote", most=most) as server:
        synchronizer = kind(local(str(tmp_path / "local")), make_target(server.url), {"verbose": 0})
        synchronizer.run()
        assert synchronizer.error_count() == 0
    assert texts(tmp_path / "remote") == texts(tmp_path / "local")


def test_two_servers_with_one_connection_each(tmp_path: Path) -> None:
    class Comparing(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            for side in (self.local, self.remote):
                side.get_dir()
            return super()._before_sync(entry)

    for name in ("a/one", "a/two", "b/three"):
        put(tmp_path / "local" / name, name)
    put(tmp_path / "remote/c/four", "four")
    with ftp_server(tmp_path / "local", most=1) as one, ftp_server(tmp_path / "remote", most=1) as other:
        synchronizer = Comparing(make_target(one.url), make_target(other.url), {"verbose": 0})
        synchronizer.run()
        assert synchronizer.error_count() == 0
    assert texts(tmp_path / "remote") == texts(tmp_path / "local")
    assert len(texts(tmp_path / "remote")) == 4


# --- Options ---


def make_conflicts(root: Path) -> None:
    for name in ("one", "two"):
        put(root / "local" / name, f"{name} here")
        put(root / "remote" / name, f"{name} there, later", -1000)


@pytest.mark.parametrize("how", ["options", "attribute"])
def test_how_conflicts_are_settled_may_change(how: str, tmp_path: Path) -> None:
    class Decided(BiDirSynchronizer):
        def on_conflict(self, pair: Any) -> Any:
            wanted = "local" if pair.name == "one" else "remote"
            if how == "options":
                self.options["resolve"] = wanted
            else:
                self.resolve_all = wanted
            return super().on_conflict(pair)

    for name in ("one", "two"):
        put(tmp_path / "local" / name, name)
    between_disks(BiDirSynchronizer, tmp_path)
    make_conflicts(tmp_path)
    between_disks(Decided, tmp_path, resolve="skip")
    assert texts(tmp_path / "local") == {"one": "one here", "two": "two there, later"}
    assert texts(tmp_path / "remote") == texts(tmp_path / "local")


def test_an_answer_for_all_conflicts_may_be_taken_back(tmp_path: Path) -> None:
    class Undecided(BiDirSynchronizer):
        def on_conflict(self, pair: Any) -> Any:
            super().on_conflict(pair)
            self.resolve_all = None

    for name in ("one", "two"):
        put(tmp_path / "local" / name, name)
    between_disks(BiDirSynchronizer, tmp_path)
    make_conflicts(tmp_path)
    (tmp_path / "local/two").write_text("two here")
    synchronizer = Undecided(
        FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote")), {"verbose": 0}
    )
    synchronizer.resolve_all = "local"
    synchronizer.run()
    assert sorted(texts(tmp_path / "remote").values()) == ["one here", "two there, later"]


def test_deletions_may_be_called_off(tmp_path: Path) -> None:
    class Careful(UploadSynchronizer):
        def on_delete_remote(self, pair: Any) -> Any:
            self.options["delete"] = pair.name != "precious"
            return super().on_delete_remote(pair)

    for name in ("kept", "old", "precious"):
        put(tmp_path / "local" / name, name)
    between_disks(UploadSynchronizer, tmp_path)
    for name in ("old", "precious"):
        (tmp_path / "local" / name).unlink()
    between_disks(Careful, tmp_path, delete=True, allow_mass_delete=True)
    assert sorted(texts(tmp_path / "remote")) == ["kept", "precious"]


def test_force_may_be_switched_on(tmp_path: Path) -> None:
    class Forcing(UploadSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            self.options["force"] = True
            return super()._before_sync(entry)

    for name in ("one", "two"):
        put(tmp_path / "local" / name, name)
    between_disks(UploadSynchronizer, tmp_path)
    make_conflicts(tmp_path)
    between_disks(Forcing, tmp_path)
    assert texts(tmp_path / "remote") == texts(tmp_path / "local")


def test_each_folder_may_have_its_own_patterns(tmp_path: Path) -> None:
    class WithIgnoreFiles(UploadSynchronizer):
        def _sync_dir(self) -> Any:
            usual = self.options["exclude"]
            listed = Path(self.local.cur_dir or "", ".ignore")
            self.options["exclude"] = usual + (listed.read_text().split() if listed.exists() else [])
            super()._sync_dir()
            self.options["exclude"] = usual

    for name in ("a/one.txt", "a/secret.key", "b/one.txt", "b/secret.key"):
        for side in ("local", "remote"):
            put(tmp_path / side / name, name)
        put(tmp_path / "local" / name, f"{name}, edited", -1000)
    put(tmp_path / "local/a/.ignore", "*.key .ignore")
    between_disks(WithIgnoreFiles, tmp_path, exclude="*.bak")
    found = texts(tmp_path / "remote")
    assert {name for name, text in found.items() if text.endswith("edited")} == {
        "a/one.txt",
        "b/one.txt",
        "b/secret.key",
    }
    assert "a/.ignore" not in found


def test_a_run_that_changes_things_cannot_become_a_dry_run(tmp_path: Path) -> None:
    class Afraid(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            self.dry_run = True
            return super().on_copy_local(pair)

    put(tmp_path / "local/file", "text")
    with pytest.raises(RuntimeError, match="dry_run was changed"):
        between_disks(Afraid, tmp_path)
    assert texts(tmp_path / "remote") == {}


@pytest.mark.parametrize("hook", ["on_copy_local", "_before_sync"])
def test_how_much_is_shown_may_change(hook: str, tmp_path: Path, lines: list[str]) -> None:
    def passing(self: Any, subject: Any) -> Any:
        self.verbose = {"quiet": 2, "loud": 4}.get(subject.name, self.verbose)
        return getattr(UploadSynchronizer, hook)(self, subject)

    names = ["1", "quiet", "2", "loud", "same"]
    for name in names:
        put(tmp_path / "local" / name, name)
    put(tmp_path / "remote/same", "same")
    local = FsTarget(str(tmp_path / "local"))
    listed = local.get_dir
    local.get_dir = lambda: sorted(listed(), key=lambda entry: names.index(entry.name))  # type: ignore[method-assign]
    kind = type("Mine", (UploadSynchronizer,), {hook: passing})
    kind(local, FsTarget(str(tmp_path / "remote")), {"verbose": 3}).run()
    told = [line.split()[-1] for line in lines if line.startswith(("COPY", "EQUAL"))]
    # All entries are looked at before the first one is dealt with.
    assert told == (["1", "loud", "same"] if hook == "on_copy_local" else ["1", "quiet", "2", "loud", "same"])


# --- Entries ---


@pytest.mark.parametrize("hook", ["re_classify_pair", "on_need_compare", "on_conflict"])
def test_a_time_that_a_handler_puts_right_decides(hook: str, tmp_path: Path) -> None:
    def passing(self: Any, pair: Any) -> Any:
        pair.remote.mtime -= 3600
        return getattr(BiDirSynchronizer, hook)(self, pair)

    kind = type("HourAhead", (BiDirSynchronizer,), {hook: passing})
    if hook == "on_conflict":
        put(tmp_path / "local/file", "first")
        between_disks(BiDirSynchronizer, tmp_path)
    put(tmp_path / "local/file", "really newer", -1800)
    put(tmp_path / "remote/file", "only seems newer", -3600)
    between_disks(kind, tmp_path, resolve="new")
    assert texts(tmp_path / "remote") == {"file": "really newer"}
    assert texts(tmp_path / "local")["file"] == "really newer"


def test_a_copy_gets_the_time_that_its_handler_has_given_the_source(tmp_path: Path) -> None:
    class Dated(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            pair.local.mtime = 1.5e9
            return super().on_copy_local(pair)

    put(tmp_path / "local/file", "text")
    between_disks(Dated, tmp_path)
    assert (tmp_path / "remote/file").stat().st_mtime == 1.5e9


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_handler_finds_what_is_remembered_of_its_copy(mode: str, tmp_path: Path) -> None:
    kind, source = (UploadSynchronizer, "local") if mode == "upload" else (DownloadSynchronizer, "remote")
    found = {}

    class Mine(kind):  # type: ignore[misc, valid-type]
        def remember(self, pair: Any) -> None:
            entry = getattr(pair, source)
            info = entry.target.get_sync_info(pair.name)
            found[pair.rel_path] = (info["m"], info["s"])
            assert entry.is_dir() or entry.was_modified_since_last_sync() is False

        def on_copy_local(self, pair: Any) -> Any:
            super().on_copy_local(pair)
            self.remember(pair)

        def on_copy_remote(self, pair: Any) -> Any:
            super().on_copy_remote(pair)
            self.remember(pair)

    put(tmp_path / source / "file", "text")
    put(tmp_path / source / "folder/inner", "inner")
    between_disks(Mine, tmp_path)
    assert found == {"file": (1.6e9, 4), "folder": (None, None)}
    put(tmp_path / source / "file", "edited", -1000)
    put(tmp_path / source / "folder/inner", "edited!", -1000)
    between_disks(Mine, tmp_path)
    assert (found["file"], found["folder/inner"]) == ((1.6e9 + 1000, 6), (1.6e9 + 1000, 7))
    put(tmp_path / source / "file", "not yet", -2000)
    with pytest.raises(AssertionError):  # A dry run remembers nothing.
        between_disks(Mine, tmp_path, dry_run=True)


def test_a_handler_finds_what_a_server_on_the_local_side_remembers(tmp_path: Path) -> None:
    found = []

    class Mine(UploadSynchronizer):
        def on_equal(self, pair: Any) -> Any:
            info = pair.local.get_sync_info()
            found.append((pair.name, info["m"], info["s"], pair.remote.was_modified_since_last_sync()))
            return super().on_equal(pair)

    put(tmp_path / "server/file", "text")
    (tmp_path / "disk").mkdir()
    with ftp_server(tmp_path / "server") as server:
        for _ in range(2):
            Mine(make_target(server.url), FsTarget(str(tmp_path / "disk")), {"verbose": 0}).run()
    assert found == [("file", 1.6e9, 4, False)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_time_that_before_sync_puts_right_counts(dry_run: bool, tmp_path: Path) -> None:
    class HourAhead(DownloadSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            if entry.is_file() and not entry.is_local():
                entry.mtime -= 3600
            return super()._before_sync(entry)

        def on_copy_remote(self, pair: Any) -> Any:
            seen.append((pair.name, pair.remote.mtime))
            return super().on_copy_remote(pair)

    seen: list[tuple[str, float]] = []
    put(tmp_path / "local/same", "text")
    put(tmp_path / "remote/same", "text", -3600)
    put(tmp_path / "remote/new", "new", -3600)
    put(tmp_path / "remote/newer", "newer text", -7200)
    put(tmp_path / "local/newer", "older text")
    between_disks(HourAhead, tmp_path, dry_run=dry_run)
    assert sorted(seen) == [("new", 1.6e9), ("newer", 1.6e9 + 3600)]
    if not dry_run:
        assert (tmp_path / "local/new").stat().st_mtime == 1.6e9
        assert (tmp_path / "local/newer").stat().st_mtime == 1.6e9 + 3600
        seen.clear()
        between_disks(HourAhead, tmp_path)
        assert seen == []
