"""Servers of S3: moto, which is fast to install, and s3s-fs, which checks every signature.

The bucket is called ``test``; `environment` are the variables that name endpoint and keys. moto keeps its
objects in memory, s3s-fs in the folder that is served.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .base import Kind, Launch, Plan, Server
from .debian import Unavailable, locked

BUCKET = "test"
CHECKOUT = Path(__file__).resolve().parents[3]


class S3Kind(Kind):
    """What both have in common."""

    scheme: ClassVar[str] = "s3"
    greeting: ClassVar[bytes] = b""
    """It waits to be asked."""


@dataclass(frozen=True)
class Moto(S3Kind):
    """moto: takes any key, tells ETags in listings, knows conditions."""

    name: ClassVar[str] = "moto"

    def prepare(self) -> None:
        _python_with_moto()

    def launch(self, plan: Plan) -> Launch:
        command = [_python_with_moto(), "-m", "moto.server", "-H", plan.host, "-p", str(plan.port)]
        # Whatever is asked of the time zone or the accounts of AWS stays here.
        return Launch(command, {"MOTO_S3_CUSTOM_ENDPOINTS": ""}, as_root=False)

    def ready(self, server: Server) -> None:
        request = urllib.request.Request(f"{endpoint(server)}/{BUCKET}", method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass


@dataclass(frozen=True)
class S3sFs(S3Kind):
    """s3s-fs: refuses wrong signatures, tells no ETags in listings."""

    name: ClassVar[str] = "s3s-fs"
    version: ClassVar[str] = "0.14.1"

    def prepare(self) -> None:
        self._program()

    def folder(self, root: Path) -> Path:
        return root / BUCKET

    def forget(self, root: Path) -> None:
        for file in root.glob(".bucket-*"):
            file.unlink()

    def launch(self, plan: Plan) -> Launch:
        (plan.root / BUCKET).mkdir(exist_ok=True)
        command = [str(self._program()), "--host", plan.host, "--port", str(plan.port)]
        command += ["--access-key", plan.user, "--secret-key", plan.password, str(plan.root)]
        return Launch(command, as_root=False)

    def _program(self) -> Path:
        """Returns the program; builds it when it is first needed, which takes a minute."""
        folder = CHECKOUT / ".cache" / "s3s"
        program = folder / "bin" / "s3s-fs"
        if program.exists():
            return program
        if shutil.which("cargo") is None:
            raise Unavailable("cargo is needed to build it")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            if not program.exists():
                self._build(folder)
        return program

    def _build(self, folder: Path) -> None:
        crate = ["s3s-fs", "--version", self.version, "--features", "binary", "--debug", "--locked"]
        done = subprocess.run(
            [
                "cargo",
                "install",
                "--quiet",
                "--root",
                str(folder),
                "--target-dir",
                str(folder / "target"),
                *crate,
            ],
            capture_output=True,
            encoding="utf-8",
            # Nobody debugs it, and half of the time would go into that.
            env={**os.environ, "CARGO_PROFILE_DEV_DEBUG": "0"},
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"cargo could not build it: {done.stderr.strip()[-300:]}")
        shutil.rmtree(folder / "target", ignore_errors=True)


def endpoint(server: Server) -> str:
    """Returns the URL under which buckets are found."""
    return f"http://{server.host}:{server.port}"


def environment(server: Server) -> dict[str, str]:
    """Returns the variables that let the tools of AWS, and this one, log in."""
    return {
        "AWS_ACCESS_KEY_ID": server.user,
        "AWS_SECRET_ACCESS_KEY": server.password,
        "AWS_ENDPOINT_URL": endpoint(server),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _python_with_moto() -> str:
    """Returns an interpreter that has moto: this one, or that of the environment of the checkout."""
    if importlib.util.find_spec("moto") is not None:
        return sys.executable
    python = CHECKOUT / ".venv" / "bin" / "python"
    if not python.exists():
        raise Unavailable("the Python package moto is not installed")
    return str(python)


MOTO = Moto()
S3S_FS = S3sFs()

#: Both of them.
BOTH: tuple[S3Kind, ...] = (MOTO, S3S_FS)
