"""A native core that plays a script: a server in memory, for tests of the Python face alone.

It stands in for `ftpsync._core` where a test is about what the face asks the core for, and tells the user.
"""

from __future__ import annotations

import ftplib
import posixpath
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import ftpsync


@dataclass
class Server:
    """Files by absolute path, folders as None; and what happened so far."""

    tree: dict[str, bytes | None] = field(default_factory=lambda: {"/": None})
    user: str | None = None
    password: str | None = None
    keeps_mtime: bool = False
    mtimes: dict[str, float] = field(default_factory=dict)
    greeting: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    failure: BaseException | None = None
    farewell: BaseException | None = None
    news: list[tuple[int, str]] = field(default_factory=list)

    def core(self) -> types.ModuleType:
        """Returns the module to put in the place of `ftpsync._core`."""
        module = types.ModuleType("ftpsync._core")
        server = self

        class Target:
            @staticmethod
            def local(root: str, links: str = "inside", verify: bool = False) -> Native:
                return Native(server, {"root": root}, root)

            @staticmethod
            def unmade(id: str) -> Native:
                return Native(Server(), {"user": None, "password": None, "root": "/", "options": {}}, id)

            @staticmethod
            def ftp(**arguments: Any) -> Native:
                return Native(
                    server, arguments, f"ftp://{arguments['user']}@{arguments['host']}{arguments['root']}"
                )

            @staticmethod
            def sftp(**arguments: Any) -> Native:
                return Native(server, arguments, f"sftp://{arguments['user']}@{arguments['host']}")

        module.Target = Target  # type: ignore[attr-defined]
        module.Trace = Trace  # type: ignore[attr-defined]
        return module

    def children(self, folder: str) -> list[str]:
        return [path for path in self.tree if path != "/" and posixpath.dirname(path) == folder]


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Puts a script in the place of the core, and lets user and password in."""
    server = Server(user="u", password="p")
    core = server.core()
    monkeypatch.setitem(sys.modules, "ftpsync._core", core)
    monkeypatch.setattr(ftpsync, "_core", core, raising=False)
    return server


@dataclass
class Trace:
    listener: Callable[[str, str], object]
    level: int = 0


@dataclass
class Native:
    server: Server
    arguments: dict[str, Any]
    id: str

    @property
    def first_host(self) -> tuple[str, str]:
        return self.arguments["host"], self.arguments["host"]

    @property
    def user(self) -> str:
        return str(self.arguments["user"])

    def news(self) -> list[tuple[int, str]]:
        return self.server.news

    def open(self) -> Session:
        server, given = self.server, self.arguments
        server.connections.append(given)
        if server.failure is not None:
            raise server.failure
        if (given["user"], given["password"]) != (server.user, server.password):
            raise ftplib.error_perm("530 Login incorrect.")
        options: Mapping[str, Any] = given["options"]
        if given["root"] not in server.tree:
            if not options.get("create_folder"):
                raise ftplib.error_perm("550 No such directory.")
            server.tree[given["root"]] = None
        return Session(server, given["root"], server.greeting)


@dataclass
class Listing:
    entries: list[tuple[str, bool, int | None, float | None, str | None]]
    notes: list[tuple[str, str]]
    complete: bool = True


@dataclass
class Session:
    server: Server
    root: str
    greeting: list[tuple[int, str]]
    is_lent: bool = False

    def _at(self, path: str) -> str:
        return posixpath.join(self.root, path) if path else self.root

    def list(self, path: str) -> Listing:
        self.server.calls.append(("list", path))
        folder = self._at(path)
        if self.server.tree.get(folder, b"") is not None:
            raise ftplib.error_perm("550 No such directory.")
        entries: list[tuple[str, bool, int | None, float | None, str | None]] = []
        for child in self.server.children(folder):
            body = self.server.tree[child]
            mtime = self.server.mtimes.get(child, 1000.0)
            entries.append((posixpath.basename(child), body is None, len(body or b""), mtime, None))
        return Listing(entries, self.server.notes)

    def read_to(self, path: str, write: Callable[[bytes], object]) -> int:
        self.server.calls.append(("read_to", path))
        body = self.server.tree.get(self._at(path))
        if body is None:
            raise ftplib.error_perm("550 No such file.")
        for start in range(0, len(body), 4):
            write(body[start : start + 4])
        return len(body)

    def write_from(self, path: str, read: Callable[[int], bytes], mtime: float | None = None) -> int:
        self.server.calls.append(("write_from", path))
        body = b"".join(iter(lambda: read(65536), b""))
        self.server.tree[self._at(path)] = body
        return len(body)

    def mkdir(self, path: str) -> None:
        self.server.calls.append(("mkdir", path))
        self.server.tree[self._at(path)] = None

    def remove_file(self, path: str) -> None:
        self.server.calls.append(("remove_file", path))
        del self.server.tree[self._at(path)]

    def remove_dir(self, path: str) -> None:
        self.server.calls.append(("remove_dir", path))
        del self.server.tree[self._at(path)]

    def remove_tree(self, path: str) -> None:
        self.server.calls.append(("remove_tree", path))
        top = self._at(path)
        for name in [name for name in self.server.tree if name == top or name.startswith(top + "/")]:
            del self.server.tree[name]

    def set_mtime(self, path: str, mtime: float) -> bool:
        self.server.calls.append(("set_mtime", path, mtime))
        if self.server.keeps_mtime:
            self.server.mtimes[self._at(path)] = mtime
        return self.server.keeps_mtime

    def close(self) -> None:
        self.server.calls.append(("close",))
        if self.server.farewell is not None:
            raise self.server.farewell
