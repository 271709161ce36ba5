"""The servers: pyftpdlib in a process of its own, and vsftpd, ProFTPD and Pure-FTPd from Debian.

All serve one user over one folder, shown as ``/``, and touch files as the user who runs the tests. Root and
an ordinary user get the same, the latter in a user namespace.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from . import debian
from .base import Kind, Launch, Plan, hashed, runs, wrapped
from .debian import Unavailable


@dataclass(frozen=True)
class PyFtpdLib(Kind):
    """pyftpdlib: runs wherever Python does, and can be told to know less."""

    name: ClassVar[str] = "pyftpdlib"
    mlsd: bool = True
    mfmt: bool = True
    connections: int = 0
    """How many there may be at a time; 0 for the usual number."""
    lacks: tuple[str, ...] = ()
    """Further commands that it does not know."""
    ciphers: str | None = None
    """What OpenSSL may use, in its own words."""
    newest_tls: str | None = None
    """The name of a constant of `OpenSSL.SSL`, e.g. ``TLS1_VERSION``."""

    def prepare(self) -> None:
        for module in ("pyftpdlib", "OpenSSL"):
            if importlib.util.find_spec(module) is None:
                raise Unavailable(f"the Python package {module} is not installed")

    def launch(self, plan: Plan) -> Launch:
        missing = [*self.lacks, *([] if self.mlsd else ["MLSD", "MLST"]), *([] if self.mfmt else ["MFMT"])]
        settings = {
            "host": plan.host,
            "port": plan.port,
            "user": plan.user,
            "password": plan.password,
            "root": str(plan.root),
            "log": str(plan.log),
            "certificate": str(plan.certificates.both) if plan.certificates else None,
            "missing": missing,
            "ciphers": self.ciphers,
            "newest_tls": self.newest_tls,
            "connections": self.connections,
        }
        file = plan.work / "settings.json"
        file.write_text(json.dumps(settings))
        program = Path(__file__).with_name("embedded.py")
        return Launch([sys.executable, str(program), str(file)], as_root=False)


@dataclass(frozen=True)
class VsFtpd(Kind):
    """vsftpd: no MLSD, no MFMT (it sets times with ``MDTM time name``), TLS sessions must be resumed.

    The password goes through PAM, which a preloaded library points to files of our own.
    """

    name: ClassVar[str] = "vsftpd"
    mlsd: bool = False
    mfmt: bool = False
    session_reuse: bool = True
    implicit: bool = False
    shows_dots: bool = True
    """Names with a dot are listed also where nobody asks for them."""
    zone: str | None = None
    """The time zone that all times are told in, as the variable ``TZ`` has it; UTC without it."""
    sets_times: bool = True

    def prepare(self) -> None:
        debian.check_libraries(_program("vsftpd"), debian.unpacked("vsftpd"))

    def launch(self, plan: Plan) -> Launch:
        settings: dict[str, object] = {
            "listen": True,
            "listen_address": plan.host,
            "listen_port": plan.port,
            "background": False,
            "anonymous_enable": False,
            "local_enable": True,
            "write_enable": True,
            "local_umask": "022",
            "mdtm_write": self.sets_times,
            "use_localtime": self.zone is not None,
            "force_dot_files": self.shows_dots,
            "check_shell": False,
            "pam_service_name": "ftpsync",
            "nopriv_user": "nobody",
            "chroot_local_user": True,
            "allow_writeable_chroot": True,
            "xferlog_enable": True,
            "xferlog_std_format": False,
            "log_ftp_protocol": True,
            "vsftpd_log_file": plan.log,
            # The sandbox knows neither the preloaded libraries nor user namespaces.
            "seccomp_sandbox": False,
            "isolate": False,
            "isolate_network": False,
            "secure_chroot_dir": self._place_without_rights(plan),
        }
        if plan.certificates:
            settings |= {
                "ssl_enable": True,
                "force_local_logins_ssl": True,
                "force_local_data_ssl": True,
                "require_ssl_reuse": self.session_reuse,
                "implicit_ssl": self.implicit,
                # Data connections without a goodbye, from either side, are broken ones.
                "strict_ssl_read_eof": True,
                "strict_ssl_write_shutdown": True,
                "ssl_ciphers": "HIGH",
                "rsa_cert_file": plan.certificates.chain,
                "rsa_private_key_file": plan.certificates.key,
            }
        words = {True: "YES", False: "NO"}
        lines = [
            f"{name}={words[value] if isinstance(value, bool) else value}\n"
            for name, value in settings.items()
        ]
        (plan.work / "vsftpd.conf").write_text("".join(lines))
        libraries = ("nss", "pam") if _is_root() else ("nss", "uid", "pam")
        environment = wrapped(plan, *libraries)
        environment["LD_LIBRARY_PATH"] = debian.library_path(debian.unpacked("vsftpd"))
        if self.zone is not None:
            environment["TZ"] = self.zone
        return Launch([str(_program("vsftpd")), str(plan.work / "vsftpd.conf")], environment)

    def clean_up(self) -> None:
        # Sessions of vsftpd end without the exit handlers that would remove the folders of pam_wrapper.
        for folder in Path("/tmp").glob("pam.?"):
            with contextlib.suppress(OSError, ValueError):
                if folder.stat().st_uid == os.geteuid() and not runs(int((folder / "pid").read_text())):
                    shutil.rmtree(folder)

    @staticmethod
    def _place_without_rights(plan: Plan) -> Path:
        """A folder that nobody may write to, where vsftpd waits before the login; it checks this itself."""
        if not _is_root():
            return Path("/usr")  # root's; in a user namespace even its root may not write there
        empty = plan.work / "empty"
        empty.mkdir()
        plan.work.chmod(0o711)  # vsftpd enters as nobody
        return empty


@dataclass(frozen=True)
class ProFtpd(Kind):
    """ProFTPD: complete, sends its times as facts, requires TLS sessions of the same control connection."""

    name: ClassVar[str] = "proftpd"
    packages: ClassVar[tuple[str, ...]] = ("proftpd-core", "proftpd-mod-crypto")
    implicit: bool = False
    versions: str = "TLSv1.2 TLSv1.3"
    restarts_uploads: bool = True
    """Uploads may begin in the middle. As it comes, they may not."""
    client_authority: Path | None = None
    """Whose certificates a client has to show."""
    modules: tuple[str, ...] = ()
    """Further ones to load, for example `mod_digest.c`, which tells checksums."""
    renegotiates: bool = False
    """Data connections of TLS 1.2 have to be negotiated anew after each MiB."""

    def prepare(self) -> None:
        debian.check_libraries(self._server(), debian.unpacked(*self.packages))

    def _server(self) -> Path:
        return debian.unpacked(*self.packages) / "usr" / "sbin" / "proftpd"

    def launch(self, plan: Plan) -> Launch:
        folder = debian.unpacked(*self.packages)
        lines = [
            f"ModulePath {folder / 'usr' / 'lib' / 'proftpd'}",
            'ServerName "ftpsync"',
            "ServerType standalone",
            f"DefaultAddress {plan.host}",
            f"Port {plan.port}",
            "UseIPv6 off",
            "UseReverseDNS off",
            "User root",
            "Group root",
            "RootLogin on",
            "DefaultRoot ~",
            "AuthOrder mod_auth_file.c",
            f"AuthUserFile {self._users(plan)}",
            "RequireValidShell off",
            "UseFtpUsers off",
            "WtmpLog off",
            "Umask 022",
            "AllowOverwrite on",
            f"AllowStoreRestart {'on' if self.restarts_uploads else 'off'}",
            "AllowRetrieveRestart on",
            "TimesGMT on",
            "MaxInstances 60",
            "DelayEngine off",
            "ControlsEngine off",
            f"ScoreboardFile {plan.work / 'scoreboard'}",
            f"PidFile {plan.work / 'pid'}",
            f"SystemLog {plan.work / 'system.log'}",
            "TransferLog none",
            f"ExtendedLog {plan.log} ALL",
        ]
        if plan.certificates:
            lines += [
                "LoadModule mod_tls.c",
                "TLSEngine on",
                "TLSRequired on",
                f"TLSProtocol {self.versions}",
                f"TLSRSACertificateFile {plan.certificates.chain}",
                f"TLSRSACertificateKeyFile {plan.certificates.key}",
            ]
            if self.implicit:
                lines.append("TLSOptions UseImplicitSSL")
            if self.client_authority:
                lines += ["TLSVerifyClient on", f"TLSCACertificateFile {self.client_authority}"]
            if self.renegotiates:
                lines.append("TLSRenegotiate data 1024 required on timeout 5")
        lines += [f"LoadModule {module}" for module in self.modules]
        config = plan.work / "proftpd.conf"
        config.write_text("\n".join(lines) + "\n")
        environment = {} if _is_root() else wrapped(plan, "nss", "uid")
        environment["LD_LIBRARY_PATH"] = debian.library_path(folder)
        return Launch([str(self._server()), "--nodaemon", "--config", str(config)], environment)

    @staticmethod
    def _users(plan: Plan) -> Path:
        users = plan.work / "users"
        users.write_text(f"{plan.user}:{hashed(plan.password)}:0:0::{plan.root}:/bin/sh\n")
        users.chmod(0o600)
        return users


@dataclass(frozen=True)
class PureFtpd(Kind):
    """Pure-FTPd: has MFMT and SITE UTIME; ends listings at `listing_limit` entries, as its reply remarks."""

    name: ClassVar[str] = "pureftpd"
    listing_limit: int = 10_000

    def prepare(self) -> None:
        debian.check_libraries(_program("pure-ftpd"), debian.unpacked("pure-ftpd"))

    def launch(self, plan: Plan) -> Launch:
        # Virtual users must not be root; with uid_wrapper the user 1000 touches files as whoever runs this.
        environment = wrapped(plan, "nss", "uid")
        environment["LD_LIBRARY_PATH"] = debian.library_path(debian.unpacked("pure-ftpd"))
        command = [
            *(str(_program("pure-ftpd")), "--ipv4only", "--bind", f"{plan.host},{plan.port}"),
            *("--login", f"puredb:{self._users(plan)}", "--noanonymous", "--chrooteveryone"),
            *("--dontresolve", "--limitrecursion", f"{self.listing_limit}:20", "--umask", "022:022"),
            *("--maxclientsnumber", "60", "--maxclientsperip", "60"),
            *("--pidfile", str(plan.work / "pid"), "--altlog", f"clf:{plan.log}"),
        ]
        if plan.certificates:
            command += ["--tls", "3", "--certfile", str(plan.certificates.both)]
        return Launch(command, environment)

    @staticmethod
    def _users(plan: Plan) -> Path:
        # `pure-pw useradd` would choose a hash that takes seconds, at each login again.
        users, database = plan.work / "users", plan.work / "users.pdb"
        users.write_text(f"{plan.user}:{hashed(plan.password)}:1000:1000::{plan.root}::::::::::::\n")
        program = debian.unpacked("pure-ftpd") / "usr" / "bin" / "pure-pw"
        subprocess.run(
            [str(program), "mkdb", str(database), "-f", str(users)], capture_output=True, check=True
        )
        return database


@dataclass(frozen=True)
class InetutilsFtpd(Kind):
    """The ftpd of GNU inetutils: no MLSD, times that cannot be set, times of LIST to the minute.

    It is run by a stand-in for inetd, and shows the whole file system, so that paths are those of this machine.
    """

    name: ClassVar[str] = "inetutils"
    mlsd: bool = False
    mfmt: bool = False

    def path(self, plan: Plan) -> str:
        return str(plan.root)

    def prepare(self) -> None:
        if not _is_root():
            raise Unavailable("inetutils-ftpd has to be started by root")
        debian.check_libraries(self._server(), debian.unpacked("inetutils-ftpd"))

    def _server(self) -> Path:
        return debian.unpacked("inetutils-ftpd") / "usr" / "sbin" / "ftpd"

    def launch(self, plan: Plan) -> Launch:
        environment = wrapped(plan, "nss")
        environment["LD_LIBRARY_PATH"] = debian.library_path(debian.unpacked("inetutils-ftpd"))
        shadow = plan.work / "shadow"
        shadow.write_text(f"{plan.user}:{hashed(plan.password)}:19000:0:99999:7:::\n")
        shadow.chmod(0o600)
        environment["NSS_WRAPPER_SHADOW"] = str(shadow)
        inetd = Path(__file__).with_name("inetd.py")
        # The variables are for the server alone, not for the Python in front of it.
        ftpd = ["env", *(f"{name}={value}" for name, value in environment.items())]
        ftpd += [str(self._server()), "--umask=022", "--timeout=60"]
        return Launch([sys.executable, str(inetd), plan.host, str(plan.port), *ftpd], as_root=False)


def _program(name: str) -> Path:
    return debian.unpacked(name) / "usr" / "sbin" / name


def _is_root() -> bool:
    return os.geteuid() == 0


PYFTPDLIB = PyFtpdLib()
VSFTPD = VsFtpd()
PROFTPD = ProFtpd()
PUREFTPD = PureFtpd()
INETUTILS = InetutilsFtpd()
ALL: tuple[Kind, ...] = (PYFTPDLIB, VSFTPD, PROFTPD, PUREFTPD)
