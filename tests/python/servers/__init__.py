"""Real FTP servers for the tests and the benchmark, started on loopback without being installed.

Every kind has the same face::

    with PROFTPD.start(folder, tls=True) as server:
        ftplib.FTP().connect(server.host, server.port)

``start`` raises `Unavailable` where a kind cannot run on this machine (no Debian package manager, no
network for the first download, no user namespaces for an ordinary user). See `kinds` for what each one does.
"""

from .base import Kind, Server, Unavailable
from .kinds import (
    ALL,
    INETUTILS,
    PROFTPD,
    PUREFTPD,
    PYFTPDLIB,
    VSFTPD,
    InetutilsFtpd,
    ProFtpd,
    PureFtpd,
    PyFtpdLib,
    VsFtpd,
)
from .openssh import OPENSSH, OpenSsh

#: All servers, whatever they speak.
EVERY: tuple[Kind, ...] = (*ALL, OPENSSH)

__all__ = [
    "ALL",
    "EVERY",
    "INETUTILS",
    "OPENSSH",
    "PROFTPD",
    "PUREFTPD",
    "PYFTPDLIB",
    "VSFTPD",
    "InetutilsFtpd",
    "Kind",
    "OpenSsh",
    "ProFtpd",
    "PureFtpd",
    "PyFtpdLib",
    "Server",
    "Unavailable",
    "VsFtpd",
]
