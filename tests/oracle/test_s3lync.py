"""Scripts for s3lync 0.4.2 do the same with `ftpsync.compat_s3lync`, as long as s3lync does nothing wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from environments import Unavailable, s3lync

import servers
from servers import Server, s3

SCRIPT = Path(__file__).with_name("s3lync_script.py")
SCENARIOS = (
    "a_file_goes_up_and_comes_down",
    "a_folder_goes_up_without_what_is_excluded",
    "a_folder_comes_down",
    "only_changes_travel",
    "a_mirror_down",
    "a_mirror_up",
    "files_are_opened",
    "objects_are_deleted",
    "excludes_are_listed",
    "mistakes_are_told",
    "places_and_words",
)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        with s3.MOTO.start(tmp_path_factory.mktemp("s3")) as running:
            yield running
    except servers.Unavailable as reason:
        _leave_out(str(reason))


@pytest.fixture(scope="module")
def reference() -> Path:
    try:
        return s3lync().python
    except Unavailable as reason:
        _leave_out(str(reason))


def _leave_out(reason: str) -> Any:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def told(python: Path, module: str, moto: Server, folder: Path) -> dict[str, Any]:
    """Plays all scenarios; returns what each of them came to."""
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3LYNC_"))}
    done = subprocess.run(
        [str(python), str(SCRIPT), module, str(folder), *SCENARIOS],
        capture_output=True,
        encoding="utf-8",
        env={**kept, "XDG_CACHE_HOME": str(folder / "cache"), **s3.environment(moto)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_scripts_for_s3lync_come_to_the_same(moto: Server, reference: Path, tmp_path: Path) -> None:
    theirs = told(reference, "s3lync", moto, tmp_path / "theirs")
    ours = told(Path(sys.executable), "ftpsync.compat_s3lync", moto, tmp_path / "ours")
    assert set(theirs) == set(SCENARIOS)
    for name in SCENARIOS:
        assert ours[name] == theirs[name], name
