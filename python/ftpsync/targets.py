"""Places that hold a tree of files, as Python sees them: the base class, local folders, and URLs to targets.

A synchroniser hands built-in targets to the native core as a whole. The methods here are for code that uses a
target by hand, and for subclasses: a class that overrides a verb, or implements its own kind of target, is
called for every entry.
"""

from __future__ import annotations

import os
import re
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar

from ftpsync._base_target import _TEMP_PREFIX, Callback, _get_encoding_opt, _Target
from ftpsync._errors import printable
from ftpsync._lazy import lazily
from ftpsync._replacement import Replacement
from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, FileEntry
from ftpsync.util import emulates_31, is_native, to_bytes, to_native, to_unicode, write

__all__ = [
    "DirMetadata",
    "DirectoryEntry",
    "FileEntry",
    "FsTarget",
    "_Target",
    "_get_encoding_opt",
    "is_native",
    "make_target",
    "to_bytes",
    "to_native",
    "to_unicode",
    "write",
]


if TYPE_CHECKING:
    from urllib.parse import ParseResult

# For mock.patch() with the paths of release 4.1; hidden from type checkers, who would take any name then.
if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, {"shutil": "shutil", "unquote": "urllib.parse:unquote"})


def _without_login(text: str) -> str:
    """Masks what may be a user with a password, in a text that was meant to be a URL."""
    login, _, rest = text.rpartition("@")
    return f"***@{rest}" if ":" in login else text


#: How scp and rsync are told a folder on a server.
_AS_FOR_SCP = re.compile(r"([^/\\@:\s]+@[^/\\@:\s]+):")

#: The beginning of what can only be a path.
_PLAIN_PATH = re.compile(r"~?[/\\](?![/\\])|\.\.?[/\\]")

#: Schemes of URLs that `make_target()` knows.
_SCHEMES = ("ftp", "ftps", "sftp", "s3")


def is_url(place: str) -> bool:
    """Tells whether a text is the URL of a server or bucket, as `make_target()` reads it, and not a local path."""
    return place.lstrip().partition(":")[0].lower() in _SCHEMES and ":" in place


def is_text(text: str) -> bool:
    """Tells whether a text has nothing but characters, and no bytes that Python could not read as such."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_to_make(place: str) -> str:
    """Returns the absolute path of a local folder that may have to be made; nobody wants one of the name `fpts:`.

    Raises:
        ValueError: It was meant as a place on a server.
    """
    if _PLAIN_PATH.match(place) is None:
        _refuse_other_urls(place)
    return os.path.abspath(os.path.expanduser(place))


def _refuse_other_urls(place: str) -> None:
    """Makes sure that a text which is no URL that we know is a path.

    Raises:
        ValueError: It was meant as a place on a server.
    """
    if os.path.isdir(os.path.expanduser(place)):
        return
    scheme, mark, rest = place.partition("://")
    if mark and "@" in rest.partition("/")[0]:
        # A mistyped scheme: the text holds a password that must not be shown, perhaps with slashes.
        shown = f"{scheme}://***@{place.rpartition('@')[2]}"
    else:
        shown = _without_login(place)
    if mark or shown != place:
        raise ValueError(f"{shown} is not a directory. (Known schemes: ftp, ftps, s3, sftp.)")
    if login := _AS_FOR_SCP.match(place):
        raise ValueError(f"{place} is not a directory. (On a server it is sftp://{login[1]}/PATH.)")


def _parted(url: str) -> ParseResult:
    """Returns the parts of a URL.

    Raises:
        ValueError: It is none.
    """
    from urllib.parse import urlparse

    try:
        return urlparse(url, allow_fragments=False)
    except ValueError:
        # Its words show what stands there, which may be a password.
        raise ValueError(
            f"{url.partition(':')[0]}:... is no URL: expected ftp://host/path, with brackets in a password "
            "percent-encoded."
        ) from None


def _place(scheme: str, parts: ParseResult) -> tuple[str, int, str]:
    """Returns the host that a URL names, the port (0: the usual one), and the path.

    Raises:
        ValueError: It names none, or they are not usable.
    """
    host = parts.hostname
    if host and ":" in host:
        # The interface behind a link-local address (RFC 6874) is written with its percent sign encoded.
        host = host.replace("%25", "%", 1)
    if not host:
        shown = f"{scheme}://{_without_login(parts.path)}"
        raise ValueError(f"{shown!r} names no host: expected {scheme}://host/path.")
    hint = "(If that is no host but a user: '/', '?' and '#' in a password must be percent-encoded.)"
    try:
        port = parts.port or 0
    except ValueError:
        # Its words show what stands there, which may be a password.
        raise ValueError(f"The port of {scheme}://{host} is not a number up to 65535. {hint}") from None
    # Only S3 knows questions. A path that ends before its '?' is that of another folder.
    path = (
        parts.path + (f";{parts.params}" if parts.params else "") + (f"?{parts.query}" if parts.query else "")
    )
    if path and not path.startswith("/"):
        raise ValueError(f"After {scheme}://{host} must come a '/'. {hint}")
    return host, port, path


def make_target(url: str, extra_opts: dict[str, Any] | None = None) -> Any:
    """Makes a target from a URL or a path.

    Args:
        url: `ftp://user:password@host:port/path`, the same with `ftps` or `sftp`, `s3://bucket/path`, or a local
            folder. User and password may be percent-encoded.
        extra_opts: Options of this target alone; they win over those of the synchronizer.

    Returns:
        A target that is not open yet: `FsTarget`, `FTPTarget`, `SFTPTarget` or `S3Target`, which only the URL can tell.
        `username` and `password` may still be set.

    Raises:
        ValueError: The local folder does not exist, or the URL is not usable.
    """
    from urllib.parse import unquote

    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {url!r}")
    if is_url(url) and not is_text(url):
        raise ValueError(
            f"{url.partition(':')[0]}:... has bytes that are no characters: they do not suit the locale (LANG, LC_ALL)."
        )
    if url.strip().partition(":")[0].lower() == "s3":
        from ftpsync.s3_target import S3Target

        return S3Target.from_url(url, extra_opts)
    parts = _parted(url)
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES:
        _refuse_other_urls(url)
        return FsTarget(url, extra_opts)
    host, port, path = _place(scheme, parts)
    username, password = parts.username, parts.password
    if not emulates_31():
        username = unquote(username) if username is not None else None
        # One that is empty is asked for.
        password = unquote(password) if password else None
    if scheme == "sftp":
        from ftpsync.sftp_target import SFTPTarget

        return SFTPTarget(
            path,
            host,
            port,
            username=username,
            password=password,
            timeout=None,
            extra_opts=extra_opts,
        )

    from ftpsync.ftp_target import FTPTarget

    return FTPTarget(
        path,
        host,
        port,
        username=username,
        password=password,
        tls=scheme == "ftps",
        timeout=None,
        extra_opts=extra_opts,
    )


class FsTarget(_Target):
    """A folder of the local file system.

    Args:
        root_dir: The folder; `~` is expanded and the path made absolute.
        extra_opts: Options of this target alone.

    Raises:
        ValueError: There is no such folder.
    """

    DEFAULT_BLOCKSIZE: ClassVar[int] = 16 * 1024

    #: The native target while open.
    _native: Any = None

    def __init__(self, root_dir: str, extra_opts: dict[str, Any] | None = None) -> None:
        self.encoding = _get_encoding_opt(None, extra_opts, sys.getfilesystemencoding())
        root_dir = os.path.abspath(os.path.expanduser(root_dir))
        if not os.path.isdir(root_dir):
            hint = " (It is a file.)" if os.path.exists(root_dir) else ""
            raise ValueError(f"{root_dir} is not a directory.{hint}")
        super().__init__(root_dir, extra_opts)
        self.support_set_time = True

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]]:
        drive, path = os.path.splitdrive(os.path.normcase(os.path.realpath(self.root_dir)))
        return ("disk", drive), [name for name in path.split(os.sep) if name]

    def __str__(self) -> str:
        cur_dir = os.path.relpath(self.cur_dir, self.root_dir) if self.cur_dir else "."
        return f"<FS:{self.root_dir} + {cur_dir}>"

    def open(self) -> None:
        """Makes the target ready for use, at its root.

        Raises:
            RuntimeError: It is open already, or another thread uses it.
        """
        super().open()
        try:
            self._native = self._make_native()
        except BaseException:
            super().close()
            raise
        self.cur_dir = self.root_dir

    def _make_native(self) -> Any:
        from ftpsync import _core

        links = str(self.get_option("links") or "inside")
        return _core.Target.local(self.root_dir, links, bool(self.get_option("verify", False)))

    def _native_target(self) -> Any:
        if self._native is None:  # A subclass has opened the base class only.
            self._native = self._make_native()
        return self._native

    def close(self) -> None:
        """Ends the use of the target. Harmless when it is not open."""
        super().close()
        self._native = None

    def _path(self, name: str) -> str:
        return os.path.join(self.cur_dir or self.root_dir, name)

    def cwd(self, dir_name: str) -> str:
        """Changes the current folder and returns it; that it exists is not checked.

        Raises:
            RuntimeError: It is outside the root.
        """
        path = os.path.normpath(self._path(dir_name))
        if not _is_below(path, self.root_dir):
            raise RuntimeError(f"Tried to navigate outside root {self.root_dir!r}: {path!r}.")
        self.cur_dir_meta = None
        self.cur_dir = path
        return path

    def pwd(self, *args: Any) -> str | None:
        """Returns the current folder."""
        return self.cur_dir

    def mkdir(self, dir_name: str) -> None:
        """Makes a folder.

        Raises:
            OSError: It could not be made, or exists.
        """
        self.check_write(dir_name)
        os.mkdir(self._path(dir_name))

    def rmdir(self, dir_name: str) -> None:
        """Removes a folder and everything in it; of a link only the link.

        Raises:
            OSError: Something could not be removed.
        """
        self.check_write(dir_name)
        path = self._path(dir_name)
        if os.path.islink(path):
            os.unlink(path)
        else:
            import shutil

            shutil.rmtree(path)

    def get_dir(self) -> list[FileEntry | DirectoryEntry]:
        """Lists the files and folders of the current folder, and reads its metadata.

        Links count as what they lead to. Dangling ones, those that lead outside the root or back to a folder
        above them, and everything that is neither file nor folder are left out (shown at verbosity 4).

        Raises:
            OSError: The folder cannot be listed.
            IncompatibleMetadataVersionError: Its metadata is of another version.
        """
        folder = self.cur_dir or self.root_dir
        self.cur_dir_meta = DirMetadata(self)
        entries: list[FileEntry | DirectoryEntry] = []
        with os.scandir(folder) as listing:
            for found in listing:
                if found.name == DirMetadata.META_FILE_NAME:
                    self.cur_dir_meta.read()
                    continue
                if found.name.startswith(_TEMP_PREFIX):
                    continue
                entry = self._entry(folder, found)
                if entry is not None:
                    entries.append(entry)
        return entries

    def _names(self) -> list[str]:
        return os.listdir(self.cur_dir or self.root_dir)

    def _entry(self, folder: str, found: os.DirEntry[str]) -> FileEntry | DirectoryEntry | None:
        try:
            stat = found.stat()  # Follows links.
        except FileNotFoundError:
            self._leave_out(found, "leads nowhere" if found.is_symlink() else "vanished")
            return None
        except OSError as exc:  # In a circle, to where nobody may look, or to a name that is too long.
            if not found.is_symlink():
                raise
            self._leave_out(found, f"is a link that cannot be followed: {exc.strerror}")
            return None
        if found.is_symlink():
            real = os.path.realpath(found.path)
            if not _is_below(real, os.path.realpath(self.root_dir)):
                self._leave_out(found, "is a link that leads outside the root")
                return None
            if found.is_dir() and _is_below(os.path.realpath(folder), real):
                self._leave_out(found, "is a link to a folder above it")
                return None
        kind: type[FileEntry | DirectoryEntry]
        if found.is_file():
            kind = FileEntry
        elif found.is_dir():
            kind = DirectoryEntry
        else:
            self._leave_out(found, "is neither a file nor a folder")
            return None
        return kind(self, folder, found.name, stat.st_size, stat.st_mtime, str(stat.st_ino))

    def _leave_out(self, found: os.DirEntry[str], why: str) -> None:
        if self._verbose() >= 4:
            write(printable(f"Ignoring {found.path}: it {why}."))

    def open_readable(self, name: str) -> IO[bytes]:
        """Opens a file of the current folder for reading bytes.

        Raises:
            OSError: It cannot be opened.
        """
        return open(self._path(name), "rb")

    def open_writable(self, name: str) -> IO[bytes]:
        """Opens a file of the current folder for writing bytes.

        What was there stays until the stream is flushed, closed or forgotten, and after an exception inside a `with`
        block without either.

        Raises:
            OSError: It cannot be written.
        """
        self.check_write(name)
        return Replacement(self._path(name))

    def write_file(
        self,
        name: str,
        fp_src: Any,
        blocksize: int = DEFAULT_BLOCKSIZE,
        callback: Callback | None = None,
    ) -> None:
        """Writes what `fp_src` holds to a file of the current folder; `callback` gets each block afterwards.

        Raises:
            OSError: It cannot be written. What was there stays.
        """
        # As in 4.1, not by open_writable(): a subclass that changes what is written there and here would do so twice.
        self.check_write(name)
        with Replacement(self._path(name)) as stream:
            while block := fp_src.read(blocksize):
                stream.write(block)
                if callback is not None:
                    callback(block)

    def copy_to_file(self, name: str, fp_dest: Any, callback: Callback | None = None) -> None:
        """Copies a file of the current folder into `fp_dest`; `callback` gets each block afterwards.

        Raises:
            OSError: It cannot be read.
        """
        with self.open_readable(name) as stream:
            while block := stream.read(self.DEFAULT_BLOCKSIZE):
                fp_dest.write(block)
                if callback is not None:
                    callback(block)

    def remove_file(self, name: str) -> None:
        """Removes a file of the current folder; of a link only the link.

        Raises:
            OSError: It could not be removed.
        """
        self.check_write(name)
        os.remove(self._path(name))
        if self.cur_dir_meta is not None:
            # During a run the other side is not to take it for a new file, which would come back.
            self.cur_dir_meta._remove(name)

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        """Sets the modification time of a file of the current folder; the time of the last access stays.

        Args:
            name: Name in the current folder.
            mtime: Seconds since the epoch.
            size: Not needed here.

        Raises:
            OSError: It could not be set.
        """
        self.check_write(name)
        path = self._path(name)
        os.utime(path, (os.stat(path).st_atime, mtime))


def _is_below(path: str, root: str) -> bool:
    """Tells whether `path` is `root` or inside it, by parts: `/data-old` is not inside `/data`."""
    try:
        return os.path.commonpath([path, root]) == os.path.normpath(root)
    except ValueError:  # Different drives.
        return False
