"""What is said while connecting to a server, at each verbosity, as 4.1.0 says it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from environments import Environment
from running import PASSWORD, USER, ftp_server, run_python

#: The reference sends both spellings of one command, ours the one that RFC 2640 servers know.
TWICE = "Sent 'OPTS UTF-8'."


def connecting(
    environment: Environment, server: Environment, folder: Path, *arguments: str
) -> tuple[list[str], str, int]:
    """Runs the command line against a fresh server; returns its lines, what went to stderr, and the exit code."""
    for name in ("served/site", "local", "home"):
        (folder / name).mkdir(parents=True)
    (folder / "local" / "here").write_text("here")
    (folder / "served" / "site" / "there").write_text("there")
    with ftp_server(server, folder / "served") as port:
        command, remote, *options = arguments
        url = f"ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/{remote}"
        words = ["-m", "ftpsync.pyftpsync", command, str(folder / "local"), url, "--no-color", *options]
        ran = run_python(environment, words, folder / "home")
    text = re.sub(r"-?\d+\.\d\d sec", "<number> sec", ran.stdout.replace(str(folder), "<folder>"))
    lines = [line for line in text.splitlines() if line != TWICE and not re.match(r"[ {]'", line)]
    return lines, ran.stderr, ran.returncode


@pytest.mark.parametrize(
    "arguments",
    [
        *(("upload", "site", *verbosity) for verbosity in ((), ("-v",), ("-vv",), ("-q",), ("-qqq",))),
        ("sync", "site", "-vv"),
        ("upload", "missing", "-v", "--create-folder"),
    ],
    ids=" ".join,
)
def test_a_successful_run(
    tmp_path: Path, ours: Environment, reference_41: Environment, arguments: tuple[str, ...]
) -> None:
    theirs = connecting(reference_41, reference_41, tmp_path / "theirs", *arguments)
    here = connecting(ours, reference_41, tmp_path / "here", *arguments)
    assert here[0] == theirs[0]
    assert here[2] == theirs[2] == 0
    start = "Could not change remote directory to '/missing' ("
    assert here[1].startswith(start) == theirs[1].startswith(start) == ("missing" in arguments)


@pytest.mark.parametrize("verbosity", ["-q", "-v", "-vv"])
def test_a_missing_folder(
    tmp_path: Path, ours: Environment, reference_41: Environment, verbosity: str
) -> None:
    theirs = connecting(reference_41, reference_41, tmp_path / "theirs", "upload", "missing", verbosity)
    here = connecting(ours, reference_41, tmp_path / "here", "upload", "missing", verbosity)
    assert here[0] == theirs[0]
    assert here[2] == theirs[2] == 1
    if verbosity == "-vv":  # Both show where it came from, too.
        return
    start = "\nERROR:\nCould not change remote directory to '/missing' ("
    for _, errors, _ in (theirs, here):
        assert errors.startswith(start) and "--create-folder" in errors and errors.endswith("\n\n")


def test_a_wrong_password(tmp_path: Path, ours: Environment, reference_41: Environment) -> None:
    for environment in (reference_41, ours):
        folder = tmp_path / environment.name
        (folder / "served").mkdir(parents=True)
        (folder / "local").mkdir()
        with ftp_server(reference_41, folder / "served") as port:
            words = [
                "upload",
                str(folder / "local"),
                f"ftp://{USER}:nonsense@127.0.0.1:{port}/",
                "--no-prompt",
            ]
            ran = run_python(environment, ["-m", "ftpsync.pyftpsync", *words], folder / "home")
        assert ran.returncode == 1
        assert ran.stderr.startswith(f"Could not login to {USER}@127.0.0.1: 530")
        assert "nonsense" not in ran.stdout + ran.stderr or environment is reference_41
