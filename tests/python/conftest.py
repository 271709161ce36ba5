"""Fixtures for tests against real servers.

`ftp_server` and `ftps_server` run a test once per kind of server; `start_server` starts chosen ones. A server
that cannot run on this machine skips the test, with the reason; under ``CI=true`` it fails it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import servers
import small_servers
from ftpsync.util import set_pyftpsync_logger
from rough import Sides
from servers import Kind, Server, Unavailable
from servers.base import StartServer
from skipping import missing


@pytest.fixture(autouse=True)
def usual_sink() -> Iterator[None]:
    """Output goes where it goes after an import, whatever the test before has left: the command line prints."""
    previous = set_pyftpsync_logger(True)
    yield
    set_pyftpsync_logger(previous)


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Returns ``start(kind, root=None, **options)``; what it starts ends with the test."""
    with ExitStack() as running:

        def start(kind: Kind, root: Path | None = None, **options: Any) -> Server:
            folder = root if root is not None else tmp_path_factory.mktemp("server")
            try:
                return running.enter_context(kind.start(folder, **options))
            except Unavailable as reason:
                missing(f"{kind.name}: {reason}")

        yield start


@pytest.fixture(params=servers.ALL, ids=lambda kind: kind.name)
def ftp_server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """A plain server of each kind."""
    return start_server(request.param)


@pytest.fixture(params=servers.EVERY, ids=lambda kind: kind.name)
def any_server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """A server of each kind, FTP and SFTP."""
    return start_server(request.param)


@pytest.fixture
def openssh_server(start_server: StartServer) -> Server:
    return start_server(servers.OPENSSH)


@pytest.fixture(params=servers.ALL, ids=lambda kind: kind.name)
def ftps_server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """A server of each kind that insists on TLS; its authority is in `Server.ca`."""
    return start_server(request.param, tls=True)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def pyftpdlib_server(start_server: StartServer) -> Server:
    return start_server(servers.PYFTPDLIB)


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Two folders that have not met yet, and the command line; some modules have others."""
    return Sides(tmp_path)


@pytest.fixture
def server(sides: Sides) -> Iterator[small_servers.Small]:
    """Shows the remote side; some modules have others."""
    with small_servers.ftp_server(sides.remote) as small:
        yield small
