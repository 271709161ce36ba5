"""Runs pyftpdlib with the settings in a JSON file; started by `PyFtpdLib`, not imported."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import ThreadedFTPServer


class Files(AbstractedFS):  # type: ignore[misc]
    """Sessions are threads, which share one working folder: it stays as it is, or one would lose that of another."""

    def chdir(self, path: str) -> None:
        problem = errno.EACCES if os.path.isdir(path) else errno.ENOTDIR
        if problem == errno.ENOTDIR or not os.access(path, os.X_OK):
            raise OSError(problem, os.strerror(problem))
        self.cwd = self.fs2ftp(path)


def handler(settings: dict[str, Any]) -> type[FTPHandler]:
    """Makes the class of a session: the user, TLS, and the commands it does not know."""
    users = DummyAuthorizer()
    users.add_user(settings["user"], settings["password"], settings["root"], perm="elradfmwMT")
    base: type[FTPHandler] = TLS_FTPHandler if settings["certificate"] else FTPHandler
    known = {name: what for name, what in base.proto_cmds.items() if name not in settings["missing"]}
    members = {"authorizer": users, "proto_cmds": known, "abstracted_fs": Files}
    if settings["certificate"]:
        members |= {
            "certfile": settings["certificate"],
            "tls_control_required": True,
            "tls_data_required": True,
        }
    session = type("Session", (base,), members)
    if settings["ciphers"]:
        session.get_ssl_context().set_cipher_list(settings["ciphers"].encode())
    if settings["newest_tls"]:
        session.get_ssl_context().set_max_proto_version(getattr(SSL, settings["newest_tls"]))
    return session


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(filename=settings["log"], level=logging.DEBUG)
    server = ThreadedFTPServer((settings["host"], settings["port"]), handler(settings))
    if settings["connections"]:
        server.max_cons_per_ip = settings["connections"]
    server.serve_forever()


if __name__ == "__main__":
    main()
