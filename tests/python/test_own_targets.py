"""Targets written in Python, and built-in ones with a verb replaced: on either side, with every synchronizer."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from folders import put, tree
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, _Target
from ftpsync.util import set_pyftpsync_logger
from memory_target import MemoryTarget
from servers.base import Server

MODES: dict[str, type[Any]] = {
    "sync": BiDirSynchronizer,
    "upload": UploadSynchronizer,
    "download": DownloadSynchronizer,
}


FILES = {"a.txt": "a", "d/b.txt": "bb", "d/e/c.bin": "c" * 5000, "empty": ""}
TREE: dict[str, str | None] = {**FILES, "d": None, "d/e": None}


def synchronise(kind: type[Any], local: _Target, remote: _Target, **options: Any) -> Any:
    synchronizer = kind(local, remote, {"verbose": 0, **options})
    assert synchronizer.run() is True
    assert not local.connected and not remote.connected
    return synchronizer


@pytest.mark.parametrize("sets_time", [True, False], ids=["dated", "undated"])
@pytest.mark.parametrize("mode", ["sync", "upload"])
def test_an_upload_into_a_target_written_in_python(mode: str, sets_time: bool, tmp_path: Path) -> None:
    for path, text in FILES.items():
        put(tmp_path / path, text)
    remote = MemoryTarget(sets_time=sets_time)
    stats = synchronise(MODES[mode], FsTarget(str(tmp_path)), remote).get_stats()
    assert remote.tree() == dict(sorted(TREE.items()))
    assert (stats["files_written"], stats["upload_bytes_written"]) == (4, 5003)
    again = synchronise(MODES[mode], FsTarget(str(tmp_path)), remote).get_stats()
    assert again["files_written"] == 0, "the times are remembered"
    (tmp_path / "a.txt").unlink()
    put(tmp_path / "d/b.txt", "changed", age=-60)
    synchronise(MODES[mode], FsTarget(str(tmp_path)), remote, delete=True)
    assert remote.tree() == {
        "d": None,
        "d/b.txt": "changed",
        "d/e": None,
        "d/e/c.bin": "c" * 5000,
        "empty": "",
    }


@pytest.mark.parametrize("mode", ["sync", "download"])
def test_a_download_from_a_target_written_in_python(mode: str, tmp_path: Path) -> None:
    remote = MemoryTarget()
    for path, text in FILES.items():
        remote.put(path, text, 1.6e9)
    synchronise(MODES[mode], FsTarget(str(tmp_path)), remote)
    assert tree(tmp_path) == dict(sorted(TREE.items()))
    assert (tmp_path / "a.txt").stat().st_mtime == 1.6e9
    remote.put("new/x", "x", 1.6e9)
    del remote.nodes["empty"]
    synchronise(MODES[mode], FsTarget(str(tmp_path)), remote, delete=True)
    assert tree(tmp_path) == {
        **{k: v for k, v in TREE.items() if k != "empty"},
        "new": None,
        "new/x": "x",
    }


@pytest.mark.parametrize("mode", MODES)
def test_targets_written_in_python_on_both_sides(mode: str) -> None:
    local, remote = MemoryTarget("one"), MemoryTarget("two")
    for path, text in FILES.items():
        (remote if mode == "download" else local).put(path, text, 1.6e9)
    synchronise(MODES[mode], local, remote)
    assert local.tree() == remote.tree() == dict(sorted(TREE.items()))
    stats = synchronise(MODES[mode], local, remote).get_stats()
    assert (stats["files_written"], stats["files_deleted"]) == (0, 0)
    if mode == "sync":
        local.rmdir_all = None  # type: ignore[attr-defined]
        for path in ("d/b.txt",):
            del local.nodes[path]
        synchronise(MODES[mode], local, remote)
        assert "d/b.txt" not in remote.nodes


def test_a_folder_that_goes_is_removed_on_a_target_written_in_python(tmp_path: Path) -> None:
    remote = MemoryTarget()
    for path, text in {**FILES, "k1": "1", "k2": "2"}.items():
        put(tmp_path / path, text)
    synchronise(BiDirSynchronizer, FsTarget(str(tmp_path)), remote)
    for path in ("d/e/c.bin", "d/b.txt"):
        (tmp_path / path).unlink()
    for meta in tmp_path.glob("d/**/.pyftpsync-meta.json"):
        meta.unlink()
    (tmp_path / "d/e").rmdir()
    (tmp_path / "d").rmdir()
    synchronise(BiDirSynchronizer, FsTarget(str(tmp_path)), remote)
    assert remote.tree() == {"a.txt": "a", "empty": "", "k1": "1", "k2": "2"}


class WriteOnlyStore(_Target):
    """Offers no more than a store needs that a server is downloaded into."""

    def __init__(self) -> None:
        super().__init__("/store", None)
        self.kept: dict[str, bytes] = {}
        self.times: dict[str, float] = {}

    def open(self) -> None:
        super().open()
        self.cur_dir = self.root_dir

    def cwd(self, dir_name: str) -> str:
        self.cur_dir = os.path.normpath(os.path.join(self.cur_dir or "", dir_name))
        return self.cur_dir

    def mkdir(self, dir_name: str) -> None:
        pass

    def get_dir(self) -> list[Any]:
        self.cur_dir_meta = DirMetadata(self)
        return []

    @contextmanager
    def open_writable(self, name: str) -> Iterator[Any]:
        stream = io.BytesIO()
        yield stream
        self.kept[f"{self.cur_dir}/{name}"] = stream.getvalue()

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        self.times[f"{self.cur_dir}/{name}"] = mtime

    def flush_meta(self) -> None:
        pass


def test_a_write_only_store_is_the_local_side_of_a_download(pyftpdlib_server: Server) -> None:
    for path, text in FILES.items():
        put(pyftpdlib_server.root / path, text)
    store = WriteOnlyStore()
    synchronise(DownloadSynchronizer, store, server_target(pyftpdlib_server))
    assert store.kept == {f"/store/{path}": text.encode() for path, text in FILES.items()}
    assert set(store.times.values()) == {1.6e9}


def server_target(server: Server, kind: type[FTPTarget] = FTPTarget) -> FTPTarget:
    return kind("/", server.host, server.port, server.user, server.password)


class Wrapper(_Target):
    """Hands everything on to another target, and keeps a list."""

    def __init__(self, inner: _Target) -> None:
        super().__init__(inner.root_dir, None)
        self.inner = inner
        self.support_set_time = inner.support_set_time
        self.calls: list[str] = []

    def open(self) -> None:
        super().open()
        self.inner.open()
        self.cur_dir = self.inner.cur_dir

    def close(self) -> None:
        self.inner.close()
        super().close()

    def cwd(self, dir_name: str) -> str | None:
        self.cur_dir = self.inner.cwd(dir_name)
        return self.cur_dir

    def get_dir(self) -> list[Any]:
        self.cur_dir_meta = DirMetadata(self)
        entries = self.inner.get_dir()
        assert self.inner.cur_dir_meta is not None
        if self.inner.cur_dir_meta.was_read:
            self.cur_dir_meta.read()
        return entries

    def __getattribute__(self, name: str) -> Any:
        if name in (
            "mkdir",
            "rmdir",
            "open_readable",
            "open_writable",
            "write_file",
            "remove_file",
            "set_mtime",
        ):

            def call(*args: Any, **kwargs: Any) -> Any:
                self.calls.append(f"{name} {args[0]}")
                return getattr(self.inner, name)(*args, **kwargs)

            return call
        return super().__getattribute__(name)


@pytest.mark.parametrize("side", ["local", "remote"])
def test_a_target_that_wraps_a_folder(side: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        root.mkdir()
    for path, text in FILES.items():
        put(one / path, text)
    wrapper = Wrapper(FsTarget(str(other if side == "remote" else one)))
    targets = (FsTarget(str(one)), wrapper) if side == "remote" else (wrapper, FsTarget(str(other)))
    synchronise(UploadSynchronizer, *targets)
    assert tree(other) == dict(sorted(TREE.items()))
    expected = "write_file a.txt" if side == "remote" else "open_readable a.txt"
    assert expected in wrapper.calls
    assert synchronise(UploadSynchronizer, *targets).get_stats()["files_written"] == 0


class Shouting(FsTarget):
    """A folder whose files arrive in capitals."""

    def write_file(self, name: str, fp_src: Any, *args: Any, **kwargs: Any) -> None:
        super().write_file(name, io.BytesIO(fp_src.read().upper()), *args, **kwargs)


def test_a_verb_replaced_in_a_subclass_is_honoured(tmp_path: Path) -> None:
    put(tmp_path / "one/d/a.txt", "text")
    (tmp_path / "two").mkdir()
    synchronise(UploadSynchronizer, FsTarget(str(tmp_path / "one")), Shouting(str(tmp_path / "two")))
    assert (tmp_path / "two/d/a.txt").read_text() == "TEXT"


def test_a_stream_of_a_subclass_gets_no_metadata(ftp_server: Server, tmp_path: Path) -> None:
    class Streaming(FsTarget):
        def open_writable(self, name: str) -> Any:
            path = Path(str(self.cur_dir), name)

            class Capitals(io.BytesIO):
                def close(self) -> None:
                    if not self.closed:
                        path.write_bytes(self.getvalue().upper())
                    super().close()

            return Capitals()

    put(tmp_path / "one/a.txt", "text")
    (tmp_path / "two").mkdir()
    target = server_target(ftp_server, FTPTarget)
    synchronise(UploadSynchronizer, FsTarget(str(tmp_path / "one")), target)
    for written in (1, 0):
        run = synchronise(DownloadSynchronizer, Streaming(str(tmp_path / "two")), target)
        assert run.get_stats()["files_written"] == written
    assert (tmp_path / "two/a.txt").read_text() == "TEXT"


def test_a_stream_that_cannot_be_opened_is_counted(ftp_server: Server, tmp_path: Path) -> None:
    class Refusing(FsTarget):
        def open_writable(self, name: str) -> Any:
            if name == "a.txt":
                raise OSError("not today")
            return super().open_writable(name)

    put(tmp_path / "one/a.txt", "text")
    put(tmp_path / "one/b.txt", "text")
    server = server_target(ftp_server, FTPTarget)
    synchronise(UploadSynchronizer, FsTarget(str(tmp_path / "one")), server)
    for goes_on in (True, False):
        (tmp_path / f"two {goes_on}").mkdir()
        run = DownloadSynchronizer(Refusing(str(tmp_path / f"two {goes_on}")), server, {"verbose": 3})
        run.ignore_copy_errors = goes_on
        if goes_on:
            assert run.run() is True
        else:
            with pytest.raises(OSError, match="^not today$"):
                run.run()
        assert (run.error_count(), run.problem_count()) == (1, 1)
    assert set(tree(tmp_path / "two True")) == {"b.txt"}


class Swapping(FsTarget):
    """A folder that keeps what it gets in another form: by the stream as by the verb, since either may be used."""

    def open_writable(self, name: str) -> Any:
        stream = super().open_writable(name)

        class Swapped(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    stream.write(self.getvalue().swapcase())
                    stream.close()
                super().close()

        return Swapped()

    def write_file(self, name: str, fp_src: Any, *args: Any, **kwargs: Any) -> None:
        super().write_file(name, io.BytesIO(fp_src.read().swapcase()), *args, **kwargs)


def test_what_a_subclass_changes_is_changed_once(ftp_server: Server, tmp_path: Path) -> None:
    put(tmp_path / "one/a.txt", "Text")
    (tmp_path / "two").mkdir()
    (tmp_path / "three").mkdir()
    server, one = server_target(ftp_server, FTPTarget), FsTarget(str(tmp_path / "one"))
    synchronise(UploadSynchronizer, one, server)
    synchronise(DownloadSynchronizer, Swapping(str(tmp_path / "two")), server)
    synchronise(UploadSynchronizer, one, Swapping(str(tmp_path / "three")))
    assert [(tmp_path / folder / "a.txt").read_text() for folder in ("two", "three")] == ["tEXT", "tEXT"]


def test_a_verb_replaced_on_an_instance_is_honoured(tmp_path: Path) -> None:
    put(tmp_path / "one/a.txt", "text")
    put(tmp_path / "one/b.txt", "text")
    (tmp_path / "two").mkdir()
    local = FsTarget(str(tmp_path / "one"))
    listed = local.get_dir
    local.get_dir = lambda: [entry for entry in listed() if entry.name != "b.txt"]  # type: ignore[method-assign]
    synchronise(UploadSynchronizer, local, FsTarget(str(tmp_path / "two")))
    assert set(tree(tmp_path / "two")) == {"a.txt"}


class Counting(FTPTarget):
    """A server that is asked through Python."""

    sent: ClassVar[list[str]] = []

    def write_file(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.sent.append(name)
        super().write_file(name, *args, **kwargs)

    def copy_to_file(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.sent.append(f"fetched {name}")
        super().copy_to_file(name, *args, **kwargs)


def test_a_subclass_of_the_ftp_target_is_honoured(ftp_server: Server, tmp_path: Path) -> None:
    Counting.sent.clear()
    for path, text in FILES.items():
        put(tmp_path / "one" / path, text)
    target = server_target(ftp_server, Counting)
    synchronise(UploadSynchronizer, FsTarget(str(tmp_path / "one")), target)
    assert sorted(set(Counting.sent) - {DirMetadata.META_FILE_NAME}) == ["a.txt", "b.txt", "c.bin", "empty"]
    assert (
        synchronise(UploadSynchronizer, FsTarget(str(tmp_path / "one")), target).get_stats()["files_written"]
        == 0
    )
    (tmp_path / "two").mkdir()
    synchronise(DownloadSynchronizer, FsTarget(str(tmp_path / "two")), target)
    assert tree(tmp_path / "two") == dict(sorted(TREE.items()))
    assert "fetched c.bin" in Counting.sent
    assert (tmp_path / "two/a.txt").stat().st_mtime == pytest.approx(1.6e9, abs=1)


def test_an_exception_of_a_target_comes_out_unchanged_and_costs_one_file_only(tmp_path: Path) -> None:
    class Full(MemoryTarget):
        def write_file(self, name: str, *args: Any, **kwargs: Any) -> None:
            if name == "b":
                raise LookupError("no room", 7)
            super().write_file(name, *args, **kwargs)

    for name in "abc":
        put(tmp_path / name, name)
    remote = Full()
    with pytest.raises(LookupError) as caught:
        synchronise(UploadSynchronizer, FsTarget(str(tmp_path)), remote)
    assert caught.value.args == ("no room", 7)
    assert caught.traceback[-1].name == "write_file"
    assert remote.tree() == {"a": "a", "c": "c"}


def test_a_file_that_cannot_be_opened_is_counted(tmp_path: Path) -> None:
    class Broken(MemoryTarget):
        def open_readable(self, name: str) -> Any:
            if name == "b":
                raise PermissionError(13, "no", name)
            return super().open_readable(name)

    remote = Broken()
    for name in "abc":
        remote.put(name, name, 1.6e9)
    stats = synchronise(DownloadSynchronizer, FsTarget(str(tmp_path)), remote).get_stats()
    assert (stats["copy_errors"], stats["errors"]) == (1, 1)
    assert tree(tmp_path) == {"a": "a", "c": "c"}
    synchronizer = DownloadSynchronizer(FsTarget(str(tmp_path)), remote, {"verbose": 0})
    synchronizer.ignore_copy_errors = False
    with pytest.raises(PermissionError):
        synchronizer.run()


def test_a_target_that_fails_in_the_middle_is_not_remembered_as_written(tmp_path: Path) -> None:
    class Cut(MemoryTarget):
        fails = True

        def write_file(self, name: str, fp_src: Any, *args: Any, **kwargs: Any) -> None:
            if self.fails:
                fp_src.read(100)
                raise ConnectionResetError(104, "gone")
            super().write_file(name, fp_src, *args, **kwargs)

    put(tmp_path / "big", "x" * 3_000_000)
    remote = Cut()
    with pytest.raises(ConnectionResetError):
        synchronise(UploadSynchronizer, FsTarget(str(tmp_path)), remote)
    remote.fails = False
    assert synchronise(UploadSynchronizer, FsTarget(str(tmp_path)), remote).get_stats()["files_written"] == 1
    assert remote.tree() == {"big": "x" * 3_000_000}


def test_a_target_that_takes_less_than_all_is_noticed(tmp_path: Path) -> None:
    class Short(MemoryTarget):
        def write_file(self, name: str, fp_src: Any, *args: Any, **kwargs: Any) -> None:
            super().write_file(name, io.BytesIO(fp_src.read(3)), *args, **kwargs)

    put(tmp_path / "file", "longer than that" * 100_000)
    with pytest.raises(OSError, match="instead of 1600000"):
        synchronise(UploadSynchronizer, FsTarget(str(tmp_path)), Short())


def test_hooks_get_the_objects_that_the_target_listed(tmp_path: Path) -> None:
    class Tagged(MemoryTarget):
        def get_dir(self) -> list[Any]:
            entries = super().get_dir()
            for entry in entries:
                entry.tag = f"tag of {entry.name}"
            return entries

    seen: list[str] = []

    class Mine(UploadSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            assert entry.target.cur_dir == entry.rel_path
            if entry.is_local():
                seen.append(entry.tag)
            return super()._before_sync(entry)

        def on_copy_local(self, pair: Any) -> None:
            seen.append(f"copy {pair.local.tag} {pair.local.get_rel_path()}")
            super().on_copy_local(pair)

    local = Tagged()
    for path, text in FILES.items():
        local.put(path, text, 1.6e9)
    (tmp_path / "d").mkdir()
    synchronise(Mine, local, FsTarget(str(tmp_path)))
    assert "copy tag of b.txt d/b.txt" in seen
    assert tree(tmp_path) == dict(sorted(TREE.items()))


def test_a_dry_run_changes_no_target_written_in_python(tmp_path: Path) -> None:
    for path, text in FILES.items():
        put(tmp_path / path, text)
    remote = MemoryTarget()
    remote.put("old", "old", 1.6e9)
    stats = synchronise(
        UploadSynchronizer, FsTarget(str(tmp_path)), remote, dry_run=True, delete=True
    ).get_stats()
    assert remote.tree() == {"old": "old"}
    assert (stats["files_written"], stats["files_deleted"]) == (2, 1)


class ReadingFirst(FsTarget):
    """Reads a file to its end before it writes it, as one that encrypts would."""

    def write_file(self, name: str, fp_src: Any, blocksize: int = 16384, callback: Any = None) -> None:
        content = fp_src.read()
        super().write_file(name, io.BytesIO(content), blocksize, callback)


class ReadingMemory(MemoryTarget):
    """The same for files that are read: each is looked at in its folder only when its bytes are wanted."""

    def write_file(self, name: str, fp_src: Any, blocksize: int = 100, callback: Any = None) -> None:
        content = fp_src.read()
        super().write_file(name, io.BytesIO(content), blocksize, callback)


def make_pages(root: Path) -> None:
    """Folders with one page each, half of which both sides have."""
    for number in range(6):
        for state in ("new", "old"):
            put(root / f"local/{state}{number}/index.html", f"{state}{number}")
        put(root / f"remote/old{number}/index.html", f"old{number}")


@pytest.mark.parametrize("hook", ["on_equal", "_before_sync", "_log_action", "re_classify_pair"])
@pytest.mark.parametrize("mode", ["sync", "upload", "memory"])
def test_a_hook_does_not_move_a_target_that_is_writing(mode: str, hook: str, tmp_path: Path) -> None:
    make_pages(tmp_path)
    local: Any = FsTarget(str(tmp_path / "local"))
    remote: Any = ReadingFirst(str(tmp_path / "remote"))
    if mode == "memory":
        local, remote = MemoryTarget("local"), ReadingMemory("remote")
        for path in sorted((tmp_path / "local").rglob("*.html")):
            local.put(path.relative_to(tmp_path / "local").as_posix(), path.read_text(), 1.6e9)
        for path in sorted((tmp_path / "remote").rglob("*.html")):
            remote.put(path.relative_to(tmp_path / "remote").as_posix(), path.read_text(), 1.6e9)
    base = MODES.get(mode, BiDirSynchronizer)

    def passed_on(self: Any, *args: Any, **more: Any) -> Any:
        return getattr(super(mine, self), hook)(*args, **more)

    mine: Any = type("Mine", (base,), {hook: passed_on})
    synchronise(mine, local, remote)
    there = remote.tree() if mode == "memory" else tree(tmp_path / "remote")
    assert there == tree(tmp_path / "local")


def test_a_hook_may_ask_for_a_copy_while_a_target_is_writing(tmp_path: Path) -> None:
    make_pages(tmp_path)
    for number in range(6):
        put(tmp_path / f"local/old{number}/index.html", "edited")

    class Mine(UploadSynchronizer):
        def on_need_compare(self, pair: Any) -> None:
            if pair.is_dir:
                super().on_need_compare(pair)
            else:
                self.on_copy_local(pair)

    synchronise(Mine, FsTarget(str(tmp_path / "local")), ReadingFirst(str(tmp_path / "remote")))
    assert tree(tmp_path / "remote") == tree(tmp_path / "local")


@pytest.mark.parametrize("hook", ["on_equal", "_before_sync"])
def test_a_write_that_fails_leaves_the_others_in_their_folders(hook: str, tmp_path: Path) -> None:
    make_pages(tmp_path)

    class Failing(ReadingFirst):
        def write_file(self, name: str, fp_src: Any, blocksize: int = 16384, callback: Any = None) -> None:
            content = fp_src.read()
            if content in (b"new1", b"new4"):
                raise OSError("not this one")
            super().write_file(name, io.BytesIO(content), blocksize, callback)

    def passed_on(self: Any, *args: Any) -> Any:
        return getattr(super(mine, self), hook)(*args)

    mine: Any = type("Mine", (UploadSynchronizer,), {hook: passed_on})
    with pytest.raises(OSError, match="not this one"):
        mine(FsTarget(str(tmp_path / "local")), Failing(str(tmp_path / "remote")), {"verbose": 0}).run()
    there = tree(tmp_path / "remote")
    assert {path: text for path, text in there.items() if text and text != path.split("/")[0]} == {}
    assert sum(text is not None for text in there.values()) == 10


class Lazy(io.RawIOBase):
    """A file that is opened when its first bytes are wanted, in the folder where the target is then."""

    def __init__(self, target: FsTarget, name: str) -> None:
        super().__init__()
        self._target, self._name = target, name
        self._stream: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._stream is None:
            self._stream = (Path(str(self._target.cur_dir)) / self._name).open("rb")
        return int(self._stream.readinto(buffer))

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()


class LazyTarget(FsTarget):
    """Opens files no earlier than it has to."""

    def open_readable(self, name: str) -> Any:
        return Lazy(self, name)


@pytest.mark.parametrize("hook", ["on_equal", "_before_sync"])
def test_a_file_is_read_in_its_own_folder(hook: str, tmp_path: Path) -> None:
    make_pages(tmp_path)

    def passed_on(self: Any, *args: Any) -> Any:
        return getattr(super(mine, self), hook)(*args)

    mine: Any = type("Mine", (UploadSynchronizer,), {hook: passed_on})
    synchronise(mine, LazyTarget(str(tmp_path / "local")), ReadingFirst(str(tmp_path / "remote")))
    assert tree(tmp_path / "remote") == tree(tmp_path / "local")


class Archiving(FsTarget):
    """Puts folders that go aside, as a whole."""

    archive: ClassVar[Path]
    moved: ClassVar[list[str]]

    def rmdir(self, dir_name: str) -> None:
        self.moved.append(dir_name)
        os.replace(Path(str(self.cur_dir)) / dir_name, self.archive / dir_name)


@pytest.fixture
def archiving(tmp_path: Path) -> Any:
    (tmp_path / "archive").mkdir()
    for name, text in {
        "a": "1",
        "b": "2",
        "c": "3",
        "proj/x": "X",
        "proj/deep/y": "Y",
        "other/z": "Z",
    }.items():
        put(tmp_path / "local" / name, text)
    (tmp_path / "remote").mkdir()
    kind = type("Archive", (Archiving,), {"archive": tmp_path / "archive", "moved": []})

    def go(base: type[Any] = UploadSynchronizer, **options: Any) -> Any:
        sides = FsTarget(str(tmp_path / "local")), kind(str(tmp_path / "remote"))
        return synchronise(base, *sides, delete=True, **options)

    go()
    for name in ("proj/deep/y", "proj/x"):
        (tmp_path / "local" / name).unlink()
    for meta in (tmp_path / "local/proj").rglob(".pyftpsync-*"):
        meta.unlink()
    (tmp_path / "local/proj/deep").rmdir()
    (tmp_path / "local/proj").rmdir()
    go.moved = kind.moved  # type: ignore[attr-defined]
    return go


@pytest.mark.parametrize("mode", ["sync", "upload"])
def test_a_folder_goes_whole_by_the_rmdir_of_the_target(mode: str, archiving: Any, tmp_path: Path) -> None:
    stats = archiving(MODES[mode]).get_stats()
    assert archiving.moved == ["proj"]
    assert tree(tmp_path / "archive") == {
        "proj": None,
        "proj/deep": None,
        "proj/deep/y": "Y",
        "proj/x": "X",
    }
    assert "proj" not in tree(tmp_path / "remote")
    assert (stats["dirs_deleted"], stats["files_deleted"], stats["errors"]) == (1, 0, 0)
    assert archiving(MODES[mode]).get_stats()["entries_touched"] == 0


@pytest.mark.parametrize("change", ["edited", "added", "excluded"])
def test_nothing_that_is_to_be_kept_goes_with_its_folder(change: str, archiving: Any, tmp_path: Path) -> None:
    kept = tmp_path / "remote/proj/deep" / ("y" if change == "edited" else "new")
    put(kept, "kept", -100_000_000)
    options = {"exclude": "new"} if change == "excluded" else {"resolve": "skip"}
    archiving(BiDirSynchronizer, **options)
    assert kept.read_text() == "kept"
    assert "proj" not in archiving.moved
    assert not (tmp_path / "remote/proj/x").exists()


def test_a_file_that_came_after_the_listing_does_not_go_with_its_folder(
    archiving: Any, tmp_path: Path
) -> None:
    class Late(UploadSynchronizer):
        def on_delete_remote(self, pair: Any) -> None:
            super().on_delete_remote(pair)
            put(tmp_path / "remote/proj/late", "late")

    sides = (
        FsTarget(str(tmp_path / "local")),
        type("T", (Archiving,), {"archive": tmp_path / "archive", "moved": []})(str(tmp_path / "remote")),
    )
    with_late = Late(*sides, {"verbose": 0, "delete": True})
    assert with_late.run() is True
    everything = {**tree(tmp_path / "archive"), **tree(tmp_path / "remote")}
    assert any(text == "late" for text in everything.values())


def test_a_folder_that_the_target_does_not_let_go_stays(archiving: Any, tmp_path: Path) -> None:
    class Refusing(FsTarget):
        def rmdir(self, dir_name: str) -> None:
            raise PermissionError(f"{dir_name} is under guard")

    sides = FsTarget(str(tmp_path / "local")), Refusing(str(tmp_path / "remote"))
    with pytest.raises(PermissionError, match="proj is under guard"):
        UploadSynchronizer(*sides, {"verbose": 0, "delete": True}).run()
    assert (tmp_path / "remote/proj/deep/y").read_text() == "Y"
    assert archiving().get_stats()["dirs_deleted"] == 1


@pytest.mark.parametrize("verb", ["remove_file", "mkdir"])
def test_a_verb_that_fails_is_told_with_the_file_and_the_deed(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(self: Any, name: str) -> None:
        raise PermissionError("operation not permitted")

    put(tmp_path / "local/new/a", "a")
    put(tmp_path / "remote/orphan", "orphan")
    remote: Any = type("Refusing", (FsTarget,), {verb: refused})(str(tmp_path / "remote"))
    previous = set_pyftpsync_logger(None)
    options = {"verbose": 0, "delete": True}
    synchronizer = UploadSynchronizer(FsTarget(str(tmp_path / "local")), remote, options)
    try:
        with pytest.raises(PermissionError, match="^operation not permitted$"):
            synchronizer.run()
    finally:
        set_pyftpsync_logger(previous)
    told = capsys.readouterr().err
    deed = "delete orphan" if verb == "remove_file" else "make the folder new"
    assert f"Could not {deed}: " in told.replace('"', "")


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_source_that_converts_what_it_gives_tells_no_sizes(tells_size: bool, tmp_path: Path) -> None:
    class Converting(FsTarget):
        def get_dir(self) -> Any:
            entries = super().get_dir()
            for entry in entries:
                if entry.is_file() and not tells_size:
                    entry.size = None
            return entries

        def open_readable(self, name: str) -> Any:
            with super().open_readable(name) as file:
                return io.BytesIO(file.read() + b", converted")

    put(tmp_path / "local/a", "a")
    (tmp_path / "remote").mkdir()
    sides = Converting(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote"))
    synchronizer = UploadSynchronizer(*sides, {"verbose": 0})
    if tells_size:
        with pytest.raises(OSError, match="12 bytes arrived instead of 1"):
            synchronizer.run()
    else:
        synchronizer.run()
    assert tree(tmp_path / "remote") == ({} if tells_size else {"a": "a, converted"})
