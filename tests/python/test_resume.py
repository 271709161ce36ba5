"""Large files whose transfer is cut, on real servers: the rest follows, and not everything again."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import servers
from servers import Kind, proxies
from servers.base import StartServer
from test_end_to_end import bodies, make_world, times, write

SIZE = 12_000_000
CUT = 7_000_000


@pytest.mark.parametrize("kind", servers.ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("command", ["upload", "download"])
def test_a_transfer_that_was_cut_goes_on(
    kind: Kind, command: str, start_server: StartServer, tmp_path: Path
) -> None:
    world = make_world(start_server(kind), tmp_path)
    source, target = (world.local, world.remote) if command == "upload" else (world.remote, world.local)
    write(source, "large.bin", os.urandom(SIZE))
    with proxies.running() as proxy:
        proxy.cuts_after = CUT
        world.run(command, "--proxy", f"socks5://127.0.0.1:{proxy.port}")
        assert proxy.cuts_after == 0, "nothing was cut"
    assert bodies(target) == bodies(source)
    assert times(target) == times(source)
    assert [path.name for path in target.iterdir() if "-tmp-" in path.name] == []
    offsets = [int(found) for found in re.findall(r"\bREST (\d+)", world.server.output())]
    if offsets or kind is not servers.PUREFTPD:  # Which does not tell what it was asked.
        assert 0 < max(offsets) <= CUT, offsets
