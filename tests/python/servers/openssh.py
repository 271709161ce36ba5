"""OpenSSH from Debian, for SFTP: own host keys, one user, password and keys, nothing of this machine's own sshd.

The user touches files as whoever runs the tests. Root gets a mount namespace with the folder that sshd waits
in before the login; an ordinary user needs none, because sshd then changes no identity. Paths are those of
the machine: `Server.url` ends with the folder that is served.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from . import debian
from .base import Kind, Launch, Plan, Server, hashed, wrapped

PACKAGES = ("openssh-server", "openssh-sftp-server", "openssh-client")
PASSPHRASE = "open sesame"
KEYS = {"ed25519": (), "ecdsa": ("-b", "256"), "rsa": ("-b", "3072")}


@dataclass(frozen=True)
class OpenSsh(Kind):
    """sshd with the SFTP server inside it."""

    name: ClassVar[str] = "openssh"
    scheme: ClassVar[str] = "sftp"
    greeting: ClassVar[bytes] = b"SSH"
    settings: tuple[tuple[str, str], ...] = ()
    """Settings beside or instead of the usual ones."""
    has_certificate: bool = False
    """It shows a certificate of an authority to whoever asks for one."""

    def prepare(self) -> None:
        debian.check_libraries(program("sshd"), debian.unpacked(*PACKAGES))

    def path(self, plan: Plan) -> str:
        return str(plan.root)

    def launch(self, plan: Plan) -> Launch:
        make_keys(plan.work, plan.host, plan.port)
        settings = {
            "ListenAddress": plan.host,
            "Port": str(plan.port),
            "PidFile": "none",
            "LogLevel": "VERBOSE",
            "StrictModes": "no",
            "PermitRootLogin": "yes",
            "UsePAM": "no",
            "UseDNS": "no",
            "PrintMotd": "no",
            "MaxStartups": "100",
            "AuthorizedKeysFile": str(plan.work / "authorized_keys"),
            "PasswordAuthentication": "yes",
            "KbdInteractiveAuthentication": "no",
            "Subsystem": "sftp internal-sftp -u 022",
            **dict(self.settings),
        }
        if self.has_certificate:
            certify(plan.work, plan.host)
            settings["HostCertificate"] = str(plan.work / "host_ed25519-cert.pub")
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        lines += [f"HostKey {plan.work / f'host_{kind}'}\n" for kind in KEYS]
        config = plan.work / "sshd_config"
        config.write_text("".join(lines))
        environment = wrapped(plan, "nss") | self._users(plan)
        environment["LD_LIBRARY_PATH"] = debian.library_path(debian.unpacked(*PACKAGES))
        command = [str(program("sshd")), "-D", "-f", str(config), "-E", str(plan.log)]
        if os.geteuid() == 0:
            waiting = "mount -t tmpfs -o mode=755 none /run && mkdir /run/sshd && exec "
            command = ["unshare", "--mount", "sh", "-c", waiting + shlex.join(command)]
        return Launch(command, environment, as_root=False)

    @staticmethod
    def _users(plan: Plan) -> dict[str, str]:
        """Names the user, with the identity of whoever runs this, and the one that sshd waits as."""
        users = {
            plan.user: f"{os.geteuid()}:{os.getegid()}::{plan.root}:/bin/sh",
            "sshd": "65534:65534::/run/sshd:/usr/sbin/nologin",
        }
        shadow = plan.work / "shadow"
        (plan.work / "passwd").write_text("".join(f"{name}:x:{rest}\n" for name, rest in users.items()))
        shadow.write_text(f"{plan.user}:{hashed(plan.password)}:19000:0:99999:7:::\n")
        shadow.chmod(0o600)
        return {"NSS_WRAPPER_SHADOW": str(shadow)}


def program(name: str) -> Path:
    """Returns a program of OpenSSH."""
    folder = debian.unpacked(*PACKAGES) / "usr"
    return folder / ("sbin" if name == "sshd" else "bin") / name


def make_keys(work: Path, host: str, port: int) -> None:
    """Writes keys of the host and of the user, and the files in which each side knows the other."""
    known, authorized = "", ""
    for kind, more in KEYS.items():
        known += f"[{host}]:{port} {_make_key(work / f'host_{kind}', kind, more)}"
        authorized += _make_key(work / f"user_{kind}", kind, more)
        authorized += _make_key(work / f"locked_{kind}", kind, more, PASSPHRASE)
    _make_key(work / "stranger", "ed25519", ())
    (work / "known_hosts").write_text(known)
    (work / "authorized_keys").write_text(authorized)


def certify(work: Path, host: str) -> None:
    """Has an authority, which is made for it, sign a key of the host."""
    _make_key(work / "authority", "ed25519", ())
    command = [
        str(program("ssh-keygen")),
        "-q",
        "-s",
        "authority",
        "-I",
        "host",
        "-h",
        "-n",
        host,
        "host_ed25519.pub",
    ]
    environment = {**os.environ, "LD_LIBRARY_PATH": debian.library_path(debian.unpacked(*PACKAGES))}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=work)


def keygen(*words: str) -> str:
    """Runs ssh-keygen, and returns what it prints."""
    environment = {**os.environ, "LD_LIBRARY_PATH": debian.library_path(debian.unpacked(*PACKAGES))}
    command = [str(program("ssh-keygen")), *words]
    return subprocess.run(command, check=True, capture_output=True, env=environment, encoding="utf-8").stdout


def _make_key(file: Path, kind: str, more: tuple[str, ...], passphrase: str = "") -> str:
    """Writes a pair of keys; returns the public one. RSA takes a second, so those are made once and kept."""
    kept = debian.unpacked(*PACKAGES).with_name("ssh-keys") / file.name
    if kind == "rsa" and kept.exists():
        for suffix in ("", ".pub"):
            shutil.copy(kept.with_name(kept.name + suffix), file.with_name(file.name + suffix))
        return file.with_name(file.name + ".pub").read_text()
    # One round: the passphrase of a test need not be hard to guess.
    command = [str(program("ssh-keygen")), "-q", "-a", "1", "-t", kind, *more, "-N", passphrase]
    environment = {**os.environ, "LD_LIBRARY_PATH": debian.library_path(debian.unpacked(*PACKAGES))}
    command += ["-C", file.name, "-f", str(file)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    if kind == "rsa":
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        for suffix in (".pub", ""):
            half = kept.with_name(f".{kept.name}{suffix}.{os.getpid()}")
            shutil.copy(file.with_name(file.name + suffix), half)
            half.rename(kept.with_name(kept.name + suffix))
    return file.with_name(file.name + ".pub").read_text()


def secrets(server: Server) -> Path:
    """Returns the folder with the keys and the known hosts of a server."""
    return server.log.parent


def make_known(server: Server, home: Path) -> None:
    """Writes the keys of a server down where a user with this home looks for them; others need none."""
    if server.kind.scheme == "sftp":
        (home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
        with (home / ".ssh" / "known_hosts").open("a") as file:
            file.write((secrets(server) / "known_hosts").read_text())


OPENSSH = OpenSsh()
CERTIFIED = OpenSsh(has_certificate=True)
#: It ends a connection whose first two ways to log in were refused.
STRICT = OpenSsh(settings=(("MaxAuthTries", "2"),))
#: As they were ten years ago: still what ssh uses unasked.
AGED = OpenSsh(
    settings=(("KexAlgorithms", "ecdh-sha2-nistp256"), ("Ciphers", "aes128-ctr"), ("MACs", "hmac-sha1"))
)
#: As they were twenty years ago: ssh has to be told to speak with such.
ANCIENT = OpenSsh(
    settings=(
        ("KexAlgorithms", "diffie-hellman-group14-sha1"),
        ("Ciphers", "aes128-cbc"),
        ("MACs", "hmac-sha1"),
        ("HostKeyAlgorithms", "ssh-rsa"),
        ("PubkeyAcceptedAlgorithms", "ssh-rsa"),
    )
)
