"""The programs that are compared, and how each is told to do the same thing as well as it can.

To be fair, every tool gets the same number of connections for transfers, and lftp is told to leave
permissions alone, which would cost it a command per file.
"""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from servers import Server, Unavailable, debian, openssh, s3

REFERENCE = "pyftpsync==4.1.0"


@dataclass(frozen=True)
class Job:
    """One run of a tool: bring one tree to the other side."""

    upload: bool
    local: Path
    remote: str
    """The folder on the server."""
    server: Server
    connections: int
    delete: bool = False
    active: bool = False
    """The server opens the data connections."""

    @property
    def url(self) -> str:
        if self.server.kind.scheme == "s3":
            return f"s3://{s3.BUCKET}/{self.remote}"
        return self.server.url + quote(self.remote)

    @property
    def environment(self) -> list[str]:
        """The beginning of a command that names server and keys in the environment, where that is the custom."""
        if self.server.kind.scheme != "s3":
            return []
        variables = s3.environment(self.server).items()
        # The AWS library in rclone does not want this one beside transports of its own.
        return ["env", "-u", "AWS_CA_BUNDLE", *(f"{name}={value}" for name, value in variables)]

    @property
    def path(self) -> str:
        """The folder on the server, as an absolute path there."""
        return f"{self.server.path}/{self.remote}"


class Tool(ABC):
    """A program under test."""

    name: ClassVar[str]
    needs_mlsd: ClassVar[bool] = False
    speaks: ClassVar[tuple[str, ...]] = ("ftp",)
    knows_active_mode: ClassVar[bool] = False

    @abstractmethod
    def prepare(self) -> None:
        """Makes the program available or raises `Unavailable`."""

    @abstractmethod
    def command(self, job: Job) -> list[str]:
        """Says what to execute."""

    @abstractmethod
    def version(self) -> str:
        """Asks the program for its version."""


class Ours(Tool):
    """This project."""

    name = "ours"
    knows_active_mode = True
    speaks = ("ftp", "sftp", "s3")

    def __init__(self, program: Path) -> None:
        self.program = program

    def prepare(self) -> None:
        if not self.program.exists():
            raise Unavailable(f"{self.program} does not exist; build the project or use --ours PATH")

    def command(self, job: Job) -> list[str]:
        command = [*job.environment, str(self.program), "upload" if job.upload else "download"]
        command += [str(job.local), job.url]
        command += ["--no-prompt", "--no-keyring", "--no-netrc", "-q", "--connections", str(job.connections)]
        if job.active:
            command.append("--ftp-active")
        if job.environment and job.upload:
            # Where no object is, there is no folder.
            command.append("--create-folder")
        if job.server.ca:
            command += ["--tls-ca", str(job.server.ca)]
        return [*command, "--delete"] if job.delete else command

    def version(self) -> str:
        return _first_line([str(self.program), "--version"])


class Reference(Tool):
    """pyftpsync 4.1.0 from PyPI, in an environment of its own; one connection is all it knows."""

    name = "pyftpsync41"
    needs_mlsd = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "bin" / "pyftpsync"

    def prepare(self) -> None:
        if self.program.exists():
            return
        python = str(self.folder / "bin" / "python")
        try:
            # setuptools: some of what it depends on still imports pkg_resources.
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(self.folder)],
                [python, "-m", "pip", "install", "--quiet", REFERENCE, "setuptools<81"],
            ):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"pip could not install {REFERENCE}: {error}") from error

    def command(self, job: Job) -> list[str]:
        command = [str(self.program), "upload" if job.upload else "download", str(job.local), job.url]
        command += ["--no-prompt", "--no-keyring", "--no-netrc", "-q"]
        return [*command, "--delete"] if job.delete else command

    def version(self) -> str:
        return _first_line([str(self.program), "--version"])


class Lftp(Tool):
    """lftp mirror, with pipelined commands and, for large files, segments."""

    name = "lftp"
    knows_active_mode = True

    def prepare(self) -> None:
        self.folder = debian.unpacked("lftp")

    def command(self, job: Job) -> list[str]:
        server = job.server
        settings = {
            "cmd:fail-exit": "yes",
            "net:max-retries": "2",
            "net:timeout": "60",
            "net:connection-limit": str(job.connections),
            "ftp:sync-mode": "off",
            "ftp:passive-mode": "no" if job.active else "yes",
            "ftp:use-feat": "yes",
            "ftp:use-mlsd": "yes" if server.kind.mlsd else "no",
            "ftp:use-mdtm": "yes",
            "ftp:use-site-utime": "no" if server.kind.mfmt else "yes",
            "ftp:timezone": "UTC",
            "ftp:ssl-allow": "yes" if server.tls else "no",
            "ftp:ssl-force": "yes" if server.tls else "no",
            "ftp:ssl-protect-data": "yes" if server.tls else "no",
            "ssl:ca-file": str(server.ca or ""),
            "mirror:parallel-directories": "yes",
        }
        script = [f'set {name} "{value}"' for name, value in settings.items() if value]
        script.append(f'open -u "{server.user},{server.password}" ftp://{server.host}:{server.port}/')
        mirror = f"mirror --no-perms --no-umask --parallel={job.connections}"
        if job.delete:
            mirror += " --delete"
        if job.upload:
            script.append(f'{mirror} -R "{job.local}" "/{job.remote}"')
        else:
            # Segments only for large files: two files by two segments are again four connections.
            segments = max(1, job.connections // 2)
            script.append("set mirror:use-pget-n " + str(segments))
            script.append("set pget:min-chunk-size 32M")
            script.append(f'{mirror} "/{job.remote}" "{job.local}"')
        program = str(self.folder / "usr" / "bin" / "lftp")
        libraries = f"LD_LIBRARY_PATH={debian.library_path(self.folder)}"
        return ["env", libraries, program, "--norc", "-c", "; ".join(script)]

    def version(self) -> str:
        program = str(self.folder / "usr" / "bin" / "lftp")
        return _first_line(
            ["env", f"LD_LIBRARY_PATH={debian.library_path(self.folder)}", program, "--version"]
        )


class Rclone(Tool):
    """rclone copy and sync; may hold one idle connection more than the others, or it could block itself."""

    name = "rclone"
    speaks = ("ftp", "sftp", "s3")

    def prepare(self) -> None:
        self.program = debian.unpacked("rclone") / "usr" / "bin" / "rclone"

    def command(self, job: Job) -> list[str]:
        if job.server.kind.scheme == "s3":
            return self._command_for_s3(job)
        server = job.server
        obscured = subprocess.run(
            [str(self.program), "obscure", "-"],
            input=server.password,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        scheme = server.kind.scheme
        remote = f":{scheme}:{job.path}"
        verb = "sync" if job.delete else "copy"
        number = str(job.connections)
        command = [
            str(self.program),
            verb,
            *([str(job.local), remote] if job.upload else [remote, str(job.local)]),
        ]
        command += [
            "--config",
            "/dev/null",
            f"--{scheme}-host",
            server.host,
            f"--{scheme}-port",
            str(server.port),
        ]
        command += [f"--{scheme}-user", server.user, f"--{scheme}-pass", obscured]
        command += ["--transfers", number, "--checkers", number, "--check-first"]
        if scheme == "sftp":
            # Checksums would be a program on the server for every file.
            command += ["--sftp-disable-hashcheck", "--quiet", "--retries", "1"]
            return [*command, "--sftp-known-hosts-file", str(openssh.secrets(server) / "known_hosts")]
        command += ["--ftp-concurrency", str(job.connections + 1)]
        # Its segments end in an error: it gives up downloads half-way, and takes the server's word for a failure.
        command += ["--multi-thread-streams", "0"]
        command += ["--quiet", "--retries", "1"]
        if not server.tls:
            return command
        # Its own --ca-cert is for HTTP only; the variable is that of the Go libraries.
        return ["env", f"SSL_CERT_FILE={server.ca}", *command, "--ftp-explicit-tls"]

    def _command_for_s3(self, job: Job) -> list[str]:
        # With the slash it does not ask whether that is an object, which this server takes ill.
        remote = f":s3:{s3.BUCKET}/{job.remote}/"
        number = str(job.connections)
        command = [*job.environment, str(self.program), "sync" if job.delete else "copy"]
        command += [str(job.local), remote] if job.upload else [remote, str(job.local)]
        command += ["--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth"]
        command += ["--s3-endpoint", s3.endpoint(job.server), "--s3-no-check-bucket"]
        # Large files travel in parts on as many connections as ours has.
        command += ["--s3-upload-concurrency", number, "--transfers", number, "--checkers", number]
        return [*command, "--check-first", "--quiet", "--retries", "1"]

    def version(self) -> str:
        return _first_line([str(self.program), "version"])


class OpenSshClient(Tool):
    """sftp of OpenSSH with a batch of one line; it compares nothing and deletes nothing."""

    name = "sftp"
    speaks = ("sftp",)

    def prepare(self) -> None:
        self.program = openssh.program("sftp")
        self.libraries = debian.library_path(debian.unpacked(*openssh.PACKAGES))

    def command(self, job: Job) -> list[str]:
        server, keys = job.server, openssh.secrets(job.server)
        batch = keys / "batch"
        upload, download = f'put -rp "{job.local}/." "{job.path}"', f'get -rp "{job.path}/." "{job.local}"'
        batch.write_text(f"{upload if job.upload else download}\n")
        # The fastest cipher, as ours has.
        options = {
            "Ciphers": "aes256-gcm@openssh.com",
            "IdentityFile": str(keys / "user_ed25519"),
            "UserKnownHostsFile": str(keys / "known_hosts"),
        }
        command = ["env", f"LD_LIBRARY_PATH={self.libraries}", str(self.program), "-q", "-b", str(batch)]
        command += ["-S", str(openssh.program("ssh")), "-P", str(server.port)]
        command += [f"-o{name}={value}" for name, value in options.items()]
        return [*command, f"{server.user}@{server.host}"]

    def version(self) -> str:
        command = ["env", f"LD_LIBRARY_PATH={self.libraries}", str(openssh.program("ssh")), "-V"]
        return _first_line(command)


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
