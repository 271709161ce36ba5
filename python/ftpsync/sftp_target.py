"""A folder on an SFTP server, as far as this version goes: it can be named, but not opened yet."""

from __future__ import annotations

import posixpath
from typing import Any, ClassVar

from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersion, IncompatibleMetadataVersionError
from ftpsync.targets import _check_server, _get_encoding_opt, _Target
from ftpsync.util import CliSilentRuntimeError

__all__ = [
    "CliSilentRuntimeError",
    "DirMetadata",
    "IncompatibleMetadataVersion",
    "IncompatibleMetadataVersionError",
    "PatchedPysftpConnection",
    "SFTPTarget",
    "_Target",
]

_SSH_PORT = 22


class PatchedPysftpConnection:
    """What `SFTPTarget.sftp` is while the target is open.

    Raises:
        RuntimeError: Always, in this version.
    """

    def __init__(self, host: str, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"SFTP is not available in this version (sftp://{host}). Use ftps://, or a local folder."
        )


class SFTPTarget(_Target):
    """A folder on an SFTP server.

    Args:
        path: Absolute path on the server; empty means `/`.
        host: Name or address.
        port: 0 for the usual one.
        username: None to look it up when opening.
        password: None to look it up when opening.
        timeout: Seconds.
        extra_opts: Options of this target alone.

    Attributes:
        username, password, port, timeout: As given; may be set until `open()`.
        sftp: The connection while the target is open, else None.
        lock_data, lock_write_time: The lock file that a run holds on the server, if any.
        ftp_socket_connected: A session with the server is open.
    """

    DEFAULT_BLOCKSIZE: ClassVar[int] = 8 * 1024

    #: Bytes up to which `open_readable()` keeps a file in memory.
    MAX_SPOOL_MEM: ClassVar[int] = 100 * 1024

    def __init__(
        self,
        path: str | None,
        host: str,
        port: int = _SSH_PORT,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
        extra_opts: dict[str, Any] | None = None,
    ) -> None:
        _check_server(host, port, timeout)
        self.encoding = _get_encoding_opt(None, extra_opts, "utf-8")
        super().__init__(path or "/", extra_opts)
        self.host: str = host
        self.port = port or _SSH_PORT
        self.username = username
        self.password = password
        self.timeout = timeout
        self.sftp: PatchedPysftpConnection | None = None
        self.lock_data: dict[str, Any] | bool | None = None
        self.lock_write_time: float | None = None
        self.is_unix: bool | None = None
        self.ftp_socket_connected = False
        self.support_set_time = False

    def __str__(self) -> str:
        cur_dir = posixpath.relpath(self.cur_dir, self.root_dir) if self.cur_dir else "."
        return f"<{self.get_base_name()} + {cur_dir}>"

    def get_base_name(self) -> str:
        """Returns the URL without user, password and port."""
        return f"sftp://{self.host}{self.root_dir}"

    def get_id(self) -> str:
        """Returns the key under which peers remember this target: scheme, user, host, port and root."""
        user = f"{self.username}@" if self.username else ""
        return f"sftp://{user}{self.host}:{self.port}{self.root_dir}"

    def open(self) -> None:
        """Refuses.

        Raises:
            RuntimeError: Always, in this version.
        """
        self.sftp = PatchedPysftpConnection(f"{self.host}{self.root_dir}")
