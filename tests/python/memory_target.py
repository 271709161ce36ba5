"""A target written in Python, for tests."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, FileEntry
from ftpsync.targets import _Target


class MemoryTarget(_Target):
    """A tree in a dict, as somebody would write it who read the documentation."""

    def __init__(self, name: str = "memory", sets_time: bool = True) -> None:
        super().__init__(f"/{name}", None)
        self.support_set_time = sets_time
        #: Path to (content, time); None for a folder.
        self.nodes: dict[str, tuple[bytes, float] | None] = {}
        self.now = 1.7e9

    def put(self, path: str, text: str, mtime: float) -> None:
        folder = path.rpartition("/")[0]
        while folder:
            self.nodes.setdefault(folder, None)
            folder = folder.rpartition("/")[0]
        self.nodes[path] = (text.encode(), mtime)

    def open(self) -> None:
        super().open()
        self.cur_dir = self.root_dir

    def cwd(self, dir_name: str) -> str:
        assert self.cur_dir is not None
        path = os.path.normpath(os.path.join(self.cur_dir, dir_name))
        assert path == self.root_dir or self.nodes[self._key(path)] is None, path
        self.cur_dir_meta = None
        self.cur_dir = path
        return path

    def _key(self, path: str) -> str:
        return os.path.relpath(path, self.root_dir)

    def _node(self, name: str) -> str:
        assert self.cur_dir is not None and "/" not in name
        return self._key(os.path.join(self.cur_dir, name))

    def get_dir(self) -> list[Any]:
        assert self.cur_dir is not None
        self.cur_dir_meta = DirMetadata(self)
        here = self._key(self.cur_dir)
        entries: list[Any] = []
        for path, node in self.nodes.items():
            folder, _, name = path.rpartition("/")
            if folder != ("" if here == "." else here):
                continue
            if name == DirMetadata.META_FILE_NAME:
                self.cur_dir_meta.read()
            elif node is None:
                entries.append(DirectoryEntry(self, self.cur_dir, name, None, None, None))
            else:
                entries.append(FileEntry(self, self.cur_dir, name, len(node[0]), node[1], None))
        return entries

    def mkdir(self, dir_name: str) -> None:
        self.check_write(dir_name)
        assert self._node(dir_name) not in self.nodes
        self.nodes[self._node(dir_name)] = None

    def rmdir(self, dir_name: str) -> None:
        self.check_write(dir_name)
        path = self._node(dir_name)
        for known in [known for known in self.nodes if known == path or known.startswith(path + "/")]:
            del self.nodes[known]

    def open_readable(self, name: str) -> Any:
        node = self.nodes[self._node(name)]
        assert node is not None
        return io.BytesIO(node[0])

    def write_file(self, name: str, fp_src: Any, blocksize: int = 100, callback: Any = None) -> None:
        self.check_write(name)
        content = b""
        while block := fp_src.read(blocksize):
            content += block
            if callback:
                callback(block)
        self.nodes[self._node(name)] = (content, self.now)

    @contextmanager
    def open_writable(self, name: str) -> Iterator[Any]:
        self.check_write(name)
        stream = io.BytesIO()
        yield stream
        self.nodes[self._node(name)] = (stream.getvalue(), self.now)

    def remove_file(self, name: str) -> None:
        self.check_write(name)
        del self.nodes[self._node(name)]

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        self.check_write(name)
        if self.support_set_time:
            node = self.nodes[self._node(name)]
            assert node is not None
            self.nodes[self._node(name)] = (node[0], mtime)

    def tree(self) -> dict[str, str | None]:
        return {
            path: None if node is None else node[0].decode()
            for path, node in sorted(self.nodes.items())
            if not path.endswith(DirMetadata.META_FILE_NAME)
        }
