"""The promises of every target, kept with real FTP servers: `tests/core/contract.rs`, run against each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import servers
from servers import Kind
from servers.base import StartServer

CHECKOUT = Path(__file__).parents[2]
CLAIM = "ftp_conversations::a_server_of_your_choice_keeps_the_contract"


@pytest.mark.skipif(not shutil.which("cargo") and "CI" not in os.environ, reason="needs cargo")
@pytest.mark.parametrize("kind", servers.ALL, ids=lambda kind: kind.name)
def test_the_contract_holds(kind: Kind, start_server: StartServer, tls: bool) -> None:
    server = start_server(kind, tls=tls)
    (server.root / "contract").mkdir()
    place = [
        server.host,
        str(server.port),
        server.user,
        server.password,
        "/contract",
        *(["tls"] if tls else []),
    ]
    variables = {"FTPSYNC_SERVER": ",".join(place), "FTPSYNC_CA": str(server.ca or "")}
    ran = subprocess.run(
        ["cargo", "test", "--quiet", "--test", "core", "--", "--ignored", "--exact", CLAIM],
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0 and "1 passed" in ran.stdout, ran.stdout + ran.stderr
