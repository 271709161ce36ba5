"""What all servers share: a port, a process, the wait for its greeting, and its end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.parse import quote

from . import certificates, debian
from .certificates import Certificates
from .debian import Unavailable

__all__ = ["Kind", "Launch", "Plan", "Server", "Unavailable", "runs", "wrapped"]

# A machine that is busy with other tests takes its time.
START_WITHIN = 60.0
STOP_WITHIN = 5.0
POLL = 0.02
# How many ports, below those that the system hands out, are for these servers.
PORTS = 8000


@dataclass(frozen=True)
class Plan:
    """What a server is to be: everything its configuration depends on."""

    root: Path
    host: str
    port: int
    user: str
    password: str
    work: Path
    """A folder for configuration, logs and secrets; removed with the server."""
    certificates: Certificates | None

    @property
    def log(self) -> Path:
        return self.work / "server.log"


@dataclass(frozen=True)
class Launch:
    """The command of a server and what it needs in its environment."""

    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    as_root: bool = True
    """Whether it has to believe that it is root (it then shows `root` as the folder ``/``)."""


class Server:
    """A running server; a context manager that ends the process it started and no other."""

    def __init__(self, kind: Kind, plan: Plan, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.host, self.port = plan.host, plan.port
        self.user, self.password = plan.user, plan.password
        self.root, self.log = plan.root, plan.log
        self.ca = plan.certificates.authority if plan.certificates else None
        self._plan, self._work, self._process = plan, plan.work, process
        self.port_kept: _FreePort | None = None

    @property
    def tls(self) -> bool:
        return self.ca is not None

    @property
    def url(self) -> str:
        """The root of the server with its credentials, e.g. ``ftp://user:password@127.0.0.1:2121/``."""
        scheme = self.kind.scheme + ("s" if self.tls else "")
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{scheme}://{who}@{self.host}:{self.port}{self.path}/"

    @property
    def path(self) -> str:
        """The folder that is served as clients see it, without slash at the end."""
        return self.kind.path(self._plan).rstrip("/")

    def output(self) -> str:
        """Returns what the server has logged and printed so far."""
        files = [self.log, self._work / "output.txt"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def sessions(self) -> list[int]:
        """Lists the processes that the server has started for its clients."""
        table = _processes()
        below, found = {self._process.pid}, set[int]()
        while more := {each.pid for each in table if each.parent in below} - found:
            below = more
            found |= more
        return sorted(found)

    def stop(self) -> None:
        """Ends the server with all its sessions and removes its configuration, logs and certificates."""
        _end(self._process)
        if self.port_kept is not None:
            self.port_kept.release()
        shutil.rmtree(self._work, ignore_errors=True)
        self.kind.clean_up()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.kind.name} on {self.host}:{self.port}{' with TLS' if self.tls else ''}>"


class Kind(ABC):
    """A server program: how it is found, configured and started."""

    name: ClassVar[str]
    scheme: ClassVar[str] = "ftp"
    greeting: ClassVar[bytes] = b"220"
    """What it says first."""
    mlsd: bool = True
    """Whether it lists with MLSD (vsftpd has only LIST)."""
    mfmt: bool = True
    """Whether it sets modification times with MFMT."""
    implicit: bool = False
    """Whether it begins with TLS, if it has TLS at all."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes the program available, downloading it if need be; raises `Unavailable` when it cannot."""

    @abstractmethod
    def launch(self, plan: Plan) -> Launch:
        """Writes the configuration and says what to execute; the process has to stay in the foreground."""

    def path(self, plan: Plan) -> str:
        """Says under which path clients see the folder that is served."""
        return "/"

    def folder(self, root: Path) -> Path:
        """Says where files are that clients see at the top."""
        return root

    def forget(self, root: Path) -> None:  # noqa: B027 (most have nothing to do)
        """Lets the server forget what it noted of files that were put there beside it."""

    def ready(self, server: Server) -> None:  # noqa: B027 (most have nothing to do)
        """Does what is left to do once the server answers."""

    def clean_up(self) -> None:  # noqa: B027 (most have nothing to do)
        """Removes what the program leaves behind outside the folder of its configuration."""

    def start(
        self,
        root: Path,
        *,
        tls: bool = False,
        user: str = "tester",
        password: str = "s3cret/@pass",
        host: str = "127.0.0.1",
        port: int | None = None,
        launcher: Sequence[str] = (),
        proof: Certificates | None = None,
    ) -> Server:
        """Starts a server over a folder and returns when it answers.

        Args:
            root: The folder to serve; created if need be.
            tls: TLS, required for control and data connections.
            user: The only user.
            password: The password of that user.
            host: The address to listen on.
            port: A fixed port; a free one by default.
            launcher: A command to put in front of that of the server, e.g. to enter a network namespace.
            proof: What a server with TLS shows; made for loopback by default.
        """
        self.prepare()
        root.mkdir(parents=True, exist_ok=True)
        attempts = 1 if port is not None else 3
        while True:
            work = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
            kept = _FreePort(host) if port is None else None
            try:
                chosen = kept.number if kept is not None else port or 0
                made = (proof or certificates.make(work, host, "localhost")) if tls else None
                plan = Plan(root.resolve(), host, chosen, user, password, work, made)
                server = self._start(plan, launcher)
                server.port_kept = kept
                return server
            except BaseException as error:
                if kept is not None:
                    kept.release()
                shutil.rmtree(work, ignore_errors=True)
                attempts -= 1
                # Another process may have taken the port between the choice and the start.
                if attempts <= 0 or not isinstance(error, _EndedEarly):
                    raise

    def _start(self, plan: Plan, launcher: Sequence[str]) -> Server:
        launch = self.launch(plan)
        command = [*launcher, *_dies_with_parent(), *(_seemingly_root() if launch.as_root else ())]
        # The variables go through env(1), so that a preloaded library meets the server and not the launcher.
        command += ["env", *(f"{name}={value}" for name, value in launch.environment.items())]
        command += launch.command
        with (plan.work / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=plan.work,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(self, plan, process)
        try:
            _wait_for_greeting(server, process)
            self.ready(server)
        except BaseException:
            _end(process)
            raise
        return server


class _EndedEarly(RuntimeError):
    pass


class _FreePort:
    """A port that no other test takes meanwhile, so that nobody else's greeting is taken for that of our server.

    It lies below those that the system hands out by itself, and is locked as long as the server runs.
    """

    def __init__(self, host: str) -> None:
        import fcntl  # Where there is none, there are none of these servers either.

        folder = Path(tempfile.gettempdir()) / f"ftpsync-ports-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        last = max(_first_port_of_system() - 1, 1024 + PORTS)
        while True:
            self.number = random.randint(last - PORTS + 1, last)
            self._file = (folder / str(self.number)).open("w")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind((host, self.number))
                return
            except OSError:
                self._file.close()

    def release(self) -> None:
        """Leaves the port to others. Harmless twice."""
        self._file.close()


def _first_port_of_system() -> int:
    """The first of the ports that the system hands out."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 49152


def _dies_with_parent() -> list[str]:
    """A launcher that ends the server when the test run is killed and cannot clean up."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _seemingly_root() -> list[str]:
    """A launcher that lets an ordinary user call chroot, by way of a user namespace."""
    if os.geteuid() == 0:
        return []
    launcher = ["unshare", "--user", "--map-root-user"]
    try:
        subprocess.run([*launcher, "true"], capture_output=True, timeout=START_WITHIN, check=True)
    except (OSError, subprocess.SubprocessError):
        raise Unavailable("an ordinary user needs user namespaces (unshare --user) to run it") from None
    return launcher


def _wait_for_greeting(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        if process.poll() is not None:
            raise _EndedEarly(f"{server!r} ended with status {process.returncode}:\n{server.output()}")
        try:
            with socket.create_connection((server.host, server.port), timeout=1.0) as plain:
                connection = _believing().wrap_socket(plain) if server.tls and server.kind.implicit else plain
                with connection:
                    if not server.kind.greeting or connection.recv(3) == server.kind.greeting:
                        return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server!r} did not greet within {START_WITHIN:g} s:\n{server.output()}")
        time.sleep(POLL)


def _believing() -> ssl.SSLContext:
    """A context that asks for no proof."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and its sessions: asks first, insists after a while, returns when all are gone."""
    # The sessions of vsftpd lead groups of their own, which only their ancestry tells, and only for so long.
    groups = _groups_below(process.pid)
    for request in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, request)
        deadline = time.monotonic() + STOP_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None and not _alive(groups):
                return
            time.sleep(POLL)
    raise RuntimeError(f"process groups {sorted(groups)} do not end")


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    group: int
    dead: bool


def _processes() -> list[_Process]:
    """Reads the process table; empty where there is no /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent group ...; the name may hold blanks and brackets.
            state, parent, group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            found.append(_Process(int(stat.parent.name), int(parent), int(group), state in "ZX"))
    return found


def runs(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be collected."""
    return any(each.pid == pid and not each.dead for each in _processes())


def _groups_below(pid: int) -> set[int]:
    table = _processes()
    below = {pid}
    while more := {each.pid for each in table if each.parent in below} - below:
        below |= more
    return {pid} | {each.group for each in table if each.pid in below}


def _alive(groups: set[int]) -> bool:
    return any(each.group in groups and not each.dead for each in _processes())


def wrapped(plan: Plan, *libraries: str) -> dict[str, str]:
    """Returns the environment in which a server sees users, groups and passwords of its own.

    The cwrap libraries are preloaded: nss_wrapper shows a passwd file with the user of the plan, pam_wrapper
    a PAM service ``ftpsync`` that knows the password, and uid_wrapper lets a change of identity succeed
    without effect, so that the server touches files as the user who started the test.
    """
    folder = debian.unpacked("libnss-wrapper", "libuid-wrapper", "libpam-wrapper")
    preload = [next(folder.rglob(f"lib{name}_wrapper.so")) for name in libraries]
    uid = 1000 if "uid" in libraries else 0
    users = {
        plan.user: f"{uid}:{uid}::{plan.root}",
        "root": "0:0::/root",
        "nobody": "65534:65534::/nonexistent",
    }
    passwd = "".join(f"{name}:x:{rest}:/bin/sh\n" for name, rest in users.items())
    (plan.work / "passwd").write_text(passwd)
    (plan.work / "group").write_text(f"root:x:0:\n{plan.user}:x:1000:\nnogroup:x:65534:\n")
    environment = {
        "LD_PRELOAD": " ".join(map(str, preload)),
        "NSS_WRAPPER_PASSWD": str(plan.work / "passwd"),
        "NSS_WRAPPER_GROUP": str(plan.work / "group"),
    }
    if "uid" in libraries:
        environment |= {"UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
    if "pam" in libraries:
        environment |= _password_service(plan, next(folder.rglob("pam_matrix.so")))
    return environment


def _password_service(plan: Plan, module: Path) -> dict[str, str]:
    passwords, services = plan.work / "passwords", plan.work / "pam.d"
    passwords.write_text(f"{plan.user}:{plan.password}:ftpsync\n")
    passwords.chmod(0o600)
    services.mkdir()
    stack = "".join(f"{what} required {module} passdb={passwords}\n" for what in ("auth", "account"))
    # PAM insists on a service named "other".
    for name in ("ftpsync", "other"):
        (services / name).write_text(f"{stack}session required pam_permit.so\n")
    return {"PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": str(services), "PAM_WRAPPER_DEBUGLEVEL": "0"}


def hashed(password: str) -> str:
    """Returns a password as it stands in /etc/shadow."""
    command = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


#: What the fixture `start_server` gives: ``start(kind, root=None, **options)``.
StartServer = Callable[..., Server]
