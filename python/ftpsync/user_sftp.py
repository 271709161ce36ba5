"""`SFTPTarget.sftp`: the server by hand, with the methods that pysftp and paramiko have.

Release 4.1 exposed the pysftp connection that did all the work, and scripts use it for what a target does not
offer, such as `target.sftp.chmod("/srv/www/run.sh", 755)`. This object speaks on a channel of its own of the same
SSH connection, or on that of the target where the server grants no other, and shares the working folder of the target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from ftpsync._replacement import Replacement

if TYPE_CHECKING:
    from types import TracebackType

    from ftpsync.sftp_target import SFTPTarget

__all__ = ["PatchedPysftpConnection", "SFTPAttributes"]

Progress = Callable[[int, int], Any]

_BLOCK = 256 * 1024


class SFTPAttributes:
    """What a server says of a file; each attribute is None if it does not say it.

    Attributes:
        filename: The name in its folder.
        st_size: Bytes.
        st_uid, st_gid: Numbers of user and group.
        st_mode: Kind and permissions.
        st_atime, st_mtime: Seconds since the epoch.
    """

    def __init__(self, facts: tuple[int | None, ...], filename: str = "") -> None:
        self.filename = filename
        self.st_size, self.st_uid, self.st_gid, self.st_mode, self.st_atime, self.st_mtime = facts

    @property
    def longname(self) -> str:
        """The line that `ls -l` would show."""
        return str(self)

    def __str__(self) -> str:
        mode = stat.filemode(self.st_mode) if self.st_mode is not None else "?---------"
        date = (
            time.strftime("%d %b %Y %H:%M", time.localtime(self.st_mtime))
            if self.st_mtime is not None
            else "?"
        )
        owner = f"{self.st_uid or 0:<8} {self.st_gid or 0:<8}"
        return f"{mode}   1 {owner} {self.st_size or 0:>8} {date} {self.filename or '?'}"

    def __repr__(self) -> str:
        return f"<SFTPAttributes: {self}>"


class PatchedPysftpConnection:
    """The server by hand. Paths may be relative to `pwd`, which is the current folder of the target.

    Args:
        target: The open target.

    Attributes:
        timeout: Seconds that the server may be silent; as given to the target.
        logfile: Always False: nothing is logged.
    """

    logfile = False

    def __init__(self, target: SFTPTarget) -> None:
        self._target = target
        self._native: Any = None
        # The server grants no session for this object alone.
        self._is_guest = False
        self.timeout = target.timeout

    def _talk(self) -> Any:
        if self._native is None and not self._is_guest:
            if self._target._native is None:
                raise RuntimeError(f"Target is not open: {self._target}. Call open() first.")
            # Not before it is wanted: it is one session more on the server.
            try:
                self._native = self._target._native.by_hand()
            except OSError as exc:
                if exc.errno != errno.EBUSY:
                    raise
                self._is_guest = True
        if self._native is None:
            # Not kept: while a run goes on it is one of the run, lent until the hook returns.
            return self._target._own_session().sftp()
        return self._native

    def _path(self, path: str | None) -> str:
        return posixpath.normpath(posixpath.join(self.pwd, path or "."))

    @property
    def sftp_client(self) -> PatchedPysftpConnection:
        """The same with the methods of paramiko, which write permissions as numbers: `0o755`."""
        return _ParamikoClient(self)

    def close(self) -> None:
        """Ends the session; the connection stays as long as the target is open."""
        native, self._native = self._native, None
        if native is not None:
            native.close()

    def __enter__(self) -> PatchedPysftpConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- Where it stands ---

    @property
    def pwd(self) -> str:
        """The working folder."""
        return self._target._here()

    def getcwd(self) -> str:
        """Returns the working folder."""
        return self.pwd

    def cwd(self, remotepath: str) -> None:
        """Changes the working folder, also that of the target.

        Raises:
            OSError: It does not exist.
        """
        path = self._path(remotepath)
        if not self.isdir(path):
            raise FileNotFoundError(2, f"no such folder: {path!r}")
        self._target._stray(path)

    chdir = cwd

    @contextlib.contextmanager
    def cd(self, remotepath: str | None = None) -> Iterator[None]:
        """Changes the working folder for the time of a `with` block."""
        before = self.pwd
        try:
            if remotepath is not None:
                self.cwd(remotepath)
            yield
        finally:
            self.cwd(before)

    def normalize(self, remotepath: str) -> str:
        """Returns the absolute path, without links."""
        return str(self._talk().real_path(self._path(remotepath)))

    # --- Looking ---

    def stat(self, remotepath: str) -> SFTPAttributes:
        """Returns what stands at a path; links are followed."""
        return SFTPAttributes(self._talk().stat(self._path(remotepath)))

    def lstat(self, remotepath: str) -> SFTPAttributes:
        """Returns what stands at a path; links are not followed."""
        return SFTPAttributes(self._talk().stat(self._path(remotepath), False))

    def listdir(self, remotepath: str = ".") -> list[str]:
        """Returns the sorted names in a folder."""
        return [attributes.filename for attributes in self.listdir_attr(remotepath)]

    def listdir_attr(self, remotepath: str = ".") -> list[SFTPAttributes]:
        """Returns what is in a folder, sorted by name."""
        found = [SFTPAttributes(facts, name) for name, facts in self._talk().list(self._path(remotepath))]
        return sorted(
            (attributes for attributes in found if attributes.filename not in (".", "..")),
            key=lambda attributes: attributes.filename,
        )

    def listdir_iter(self, remotepath: str = ".") -> Iterator[SFTPAttributes]:
        """Yields what is in a folder."""
        yield from self.listdir_attr(remotepath)

    def exists(self, remotepath: str) -> bool:
        """Tells whether something is there; a link that leads nowhere is nothing."""
        return self._mode(remotepath, self.stat) is not None

    def lexists(self, remotepath: str) -> bool:
        """Tells whether something is there, if only a link."""
        return self._mode(remotepath, self.lstat) is not None

    def isdir(self, remotepath: str) -> bool:
        """Tells whether a folder is there."""
        return stat.S_ISDIR(self._mode(remotepath, self.stat) or 0)

    def isfile(self, remotepath: str) -> bool:
        """Tells whether a file is there."""
        return stat.S_ISREG(self._mode(remotepath, self.stat) or 0)

    def _mode(self, remotepath: str, look: Callable[[str], SFTPAttributes]) -> int | None:
        try:
            return look(remotepath).st_mode or 0
        except FileNotFoundError:
            return None

    # --- Changing ---

    def mkdir(self, remotepath: str, mode: int | None = None) -> None:
        """Makes a folder. `mode` is written as in pysftp, `755` for rwxr-xr-x; None leaves it to the server."""
        self._talk().mkdir(self._path(remotepath), None if mode is None else int(str(mode), 8))

    def makedirs(self, remotedir: str, mode: int | None = None) -> None:
        """Makes a folder with every missing one above it.

        Raises:
            OSError: A file is in the way.
        """
        path = self._path(remotedir)
        if self.isdir(path):
            return
        if self.exists(path):
            raise FileExistsError(17, f"a file is in the way: {path!r}")
        self.makedirs(posixpath.dirname(path), mode)
        self.mkdir(path, mode)

    def rmdir(self, remotepath: str) -> None:
        """Removes an empty folder."""
        self._talk().rmdir(self._path(remotepath))

    def remove(self, remotefile: str) -> None:
        """Removes a file."""
        self._talk().remove(self._path(remotefile))

    unlink = remove

    def rename(self, remote_src: str, remote_dest: str) -> None:
        """Renames a file or folder; the new name must be free."""
        self._talk().rename(self._path(remote_src), self._path(remote_dest))

    def posix_rename(self, remote_src: str, remote_dest: str) -> None:
        """Renames a file or folder, replacing a file of the new name."""
        self._talk().rename(self._path(remote_src), self._path(remote_dest), True)

    def chmod(self, remotepath: str, mode: int) -> None:
        """Changes permissions. `mode` is written as in pysftp: `755` for rwxr-xr-x."""
        self._talk().set(self._path(remotepath), mode=int(str(mode), 8))

    def chown(self, remotepath: str, uid: int | None = None, gid: int | None = None) -> None:
        """Changes user and group, by number; None leaves one as it is."""
        before = self.stat(remotepath)
        owner = (before.st_uid if uid is None else uid, before.st_gid if gid is None else gid)
        self._talk().set(self._path(remotepath), owner=owner)

    def utime(self, remotepath: str, times: tuple[float, float] | None = None) -> None:
        """Sets the times of the last access and modification; None for now."""
        atime, mtime = times or (time.time(), time.time())
        self._talk().set(self._path(remotepath), times=(int(atime), int(mtime)))

    def truncate(self, remotepath: str, size: int) -> None:
        """Cuts a file, or makes it longer."""
        self._talk().set(self._path(remotepath), size=size)

    # --- Files ---

    def getfo(self, remotepath: str, flo: Any, callback: Progress | None = None) -> int:
        """Copies a file into `flo`; returns its size. `callback` gets the bytes so far and in all."""
        total = self.stat(remotepath).st_size or 0 if callback is not None else 0
        count = 0

        def take(block: bytes) -> None:
            nonlocal count
            flo.write(block)
            count += len(block)
            if callback is not None:
                callback(count, total)

        return int(self._talk().read_to(self._path(remotepath), take))

    def get(
        self,
        remotepath: str,
        localpath: str | None = None,
        callback: Progress | None = None,
        preserve_mtime: bool = False,
    ) -> None:
        """Copies a file to this computer, to the same name in the current folder if none is given.

        What was there stays until all has arrived.
        """
        localpath = localpath or posixpath.basename(remotepath)
        with self._opened_here(localpath, remotepath) as file:
            self.getfo(remotepath, file, callback)
        if preserve_mtime:
            found = self.stat(remotepath)
            os.utime(localpath, (found.st_atime or 0, found.st_mtime or 0))

    def _opened_here(self, localpath: str, remotepath: str) -> IO[bytes]:
        """Opens a file of this computer that takes a remote one."""
        folder = os.path.dirname(os.path.realpath(localpath))
        if not os.path.exists(localpath) or (os.path.isfile(localpath) and os.access(folder, os.W_OK)):
            return Replacement(localpath)
        # A device, or a file without room beside it: at least not before there is something to fetch.
        self.stat(remotepath)
        return open(localpath, "wb")

    def putfo(
        self,
        flo: Any,
        remotepath: str | None = None,
        file_size: int = 0,
        callback: Progress | None = None,
        confirm: bool = True,
    ) -> SFTPAttributes:
        """Writes what `flo` holds to a file, which is replaced when all has arrived; of a link, what it leads to."""
        path = self._path(remotepath or posixpath.basename(str(getattr(flo, "name", ""))))
        count = 0

        def give(limit: int) -> bytes:
            nonlocal count
            block: bytes = flo.read(min(limit, _BLOCK))
            count += len(block)
            if block and callback is not None:
                callback(count, file_size)
            return block

        self._talk().write_from(path, give)
        return self.stat(path)

    def put(
        self,
        localpath: str,
        remotepath: str | None = None,
        callback: Progress | None = None,
        confirm: bool = True,
        preserve_mtime: bool = False,
    ) -> SFTPAttributes:
        """Copies a file of this computer to the server, to the same name in the working folder if none is given."""
        remotepath = remotepath or os.path.basename(localpath)
        with open(localpath, "rb") as file:
            found = os.fstat(file.fileno())
            self.putfo(file, remotepath, found.st_size, callback, confirm)
        if preserve_mtime:
            self.utime(remotepath, (found.st_atime, found.st_mtime))
        return self.stat(remotepath)

    def open(self, remote_file: str, mode: str = "r", bufsize: int = -1) -> Any:
        """Opens a file; as in paramiko, `read()` gives bytes in every mode.

        It is fetched as a whole, and written back as a whole when it is closed.
        """
        from tempfile import SpooledTemporaryFile

        stream: Any = SpooledTemporaryFile(max_size=self._target.MAX_SPOOL_MEM)  # noqa: SIM115 - the caller closes it
        try:
            if "x" in mode and self.exists(remote_file):
                raise FileExistsError(17, f"it exists already: {remote_file!r}")
            if "r" in mode or ("a" in mode and self.exists(remote_file)):
                self.getfo(remote_file, stream)
            stream.seek(0, os.SEEK_END if "a" in mode else os.SEEK_SET)
        except BaseException:
            stream.close()
            raise
        is_written = any(letter in mode for letter in "wax+")
        return _RemoteFile(self, self._path(remote_file), stream) if is_written else stream

    file = open

    # --- Commands ---

    def execute(self, command: str) -> list[bytes]:
        """Runs a command on the server; returns the lines it printed, those of errors if there are no others."""
        out, err = self._talk().execute(command)
        lines: list[bytes] = (out or err).splitlines(keepends=True)
        return lines


class _ParamikoClient(PatchedPysftpConnection):
    """The server by hand, on the session of another object, with permissions as paramiko has them."""

    def __init__(self, connection: PatchedPysftpConnection) -> None:
        super().__init__(connection._target)
        self._connection = connection

    def _talk(self) -> Any:
        return self._connection._talk()

    @property
    def sftp_client(self) -> PatchedPysftpConnection:
        return self

    def close(self) -> None:
        self._connection.close()

    def chmod(self, remotepath: str, mode: int) -> None:
        """Changes permissions."""
        self._talk().set(self._path(remotepath), mode=mode)

    def mkdir(self, remotepath: str, mode: int | None = 0o777) -> None:
        """Makes a folder. A `mode` of 0o777, as without one, leaves the permissions to the server."""
        self._talk().mkdir(self._path(remotepath), None if mode == 0o777 else mode)


class _RemoteFile:
    """A file that is written back when it is closed."""

    def __init__(self, sftp: PatchedPysftpConnection, path: str, stream: Any) -> None:
        self._sftp, self._path, self._stream = sftp, path, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def write(self, data: bytes | str) -> None:
        """Writes bytes, or a str as UTF-8."""
        self._stream.write(data.encode() if isinstance(data, str) else data)

    def close(self) -> None:
        """Writes the file back. Harmless twice."""
        if self._stream.closed:
            return
        try:
            self._stream.seek(0)
            self._sftp.putfo(self._stream, self._path)
        finally:
            self._stream.close()

    def __enter__(self) -> _RemoteFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # What is half written does not replace anything.
            self._stream.close()
