"""What targets on servers have in common: the verbs for use by hand, on a session of the core."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Iterable
from typing import IO, Any, ClassVar, Final

from ftpsync._base_target import _TEMP_PREFIX, Callback, _get_encoding_opt
from ftpsync._errors import harmless, printable
from ftpsync._server_login import ServerLogin
from ftpsync._settings import connections
from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, FileEntry
from ftpsync.util import CliSilentRuntimeError, emulates_31, write, write_error

__all__ = ["ServerTarget", "native_maker"]

#: A character as URLs elsewhere have it.
_ENCODED: Final = re.compile("%[0-9A-Fa-f]{2}")


def native_maker(scheme: str) -> Callable[..., Any]:
    """Returns what makes native targets of a kind that a build may lack.

    Raises:
        RuntimeError: This one does.
    """
    from ftpsync import _core

    maker: Callable[..., Any] | None = getattr(_core.Target, scheme, None)
    if maker is None:
        raise RuntimeError(
            f"This build knows no {scheme}:// addresses: it was made without the Cargo feature {scheme!r}."
        )
    return maker


class ServerTarget(ServerLogin):
    """A folder on a server.

    Subclasses connect: `open()` sets `_native` and `_session`, and calls `super().open()`. What the server refuses
    is an `OSError` with SFTP, and an `ftplib.Error` with FTP.

    Attributes:
        host, timeout: As given; may be set until `open()`.
        lock_data, lock_write_time: The lock file that a run holds on the server, if any.
        ftp_socket_connected: A session with the server is open.
    """

    DEFAULT_BLOCKSIZE: ClassVar[int] = 8 * 1024

    #: Bytes up to which `open_readable()` keeps a file in memory.
    MAX_SPOOL_MEM: ClassVar[int] = 100 * 1024

    timeout: float | None

    def __init__(self, path: str | None, host: str, extra_opts: dict[str, Any] | None) -> None:
        super().__init__(path or "/", host, extra_opts)
        self.lock_data: dict[str, Any] | bool | None = None
        self.lock_write_time: float | None = None
        self.is_unix: bool | None = None
        self.ftp_socket_connected = False
        self.support_set_time = False
        self._native: Any = None
        self._session: Any = None
        # Whether a run is to lock this side; see _lock().
        self._is_lockable = True
        self._known_folders: set[str] = set()
        self._listed: tuple[str, Any] | None = None
        # If the user has gone elsewhere by hand: what the current folder was then, and where names are looked up since.
        self._strayed: tuple[str | None, str] | None = None

    def __str__(self) -> str:
        cur_dir = posixpath.relpath(self.cur_dir, self.root_dir) if self.cur_dir else "."
        return f"<{self.get_base_name()} + {cur_dir}>"

    def get_id(self) -> str:
        """Returns the key under which releases 3.1 and 4.1 remember this target: host and root."""
        return f"{self.host}{self.root_dir}"

    def _memory_key(self) -> str:
        if type(self).get_id is not ServerTarget.get_id:
            return self.get_id()
        native = self._native if self._native is not None else self._make_native(create_folder=False)
        return str(native.id)

    def _way(self) -> list[str]:
        """Returns the names on the way from the root of the server to that of the target."""
        return [name for name in posixpath.normpath(self.root_dir).split("/") if name]

    def _make_native(self, *, create_folder: bool) -> Any:
        """Makes the native target, not connected yet. Abstract."""
        raise NotImplementedError

    def _native_options(self, names: Iterable[str]) -> dict[str, Any]:
        """Returns those of the options that are given, as the native target expects them.

        Raises:
            ValueError: One of them cannot be used.
        """
        given = self.get_options_dict()
        options = {name: given[name] for name in names if given.get(name) is not None}
        if "connections" in options:
            options["connections"] = connections(options["connections"])
        return options

    # --- Life ---

    def _prepare(self) -> None:
        """Takes what options say about the target, now that it is bound.

        Raises:
            RuntimeError: The root cannot be one.
        """
        self.encoding = _get_encoding_opt(None, {"encoding": self.get_option("encoding")}, self.encoding)
        if not self.root_dir.startswith("/"):
            raise RuntimeError(
                f"Unable to navigate to working directory {self.root_dir!r}: "
                "a path on a server is absolute and starts with '/'."
            )

    def _have_it_locked(self) -> None:
        """Finds out whether a run is to lock this side; called by `open()` once the server has let it in."""
        self._is_lockable = False
        self._lock()

    def _lock(self, break_existing: bool = False) -> None:
        """Called by `open()`: has a run that changes this side lock it.

        An override that does not call this one leaves the lock file out; the run then does with one session.

        Args:
            break_existing: Not used; see the option `break_lock`.
        """
        self._is_lockable = True

    def _unlock(self, closing: bool = False) -> None:
        """Does nothing: a run removes the lock file that it has written."""

    def _on_missing_root(self, refusal: Exception, reason: str) -> Any:
        """Reports that the root cannot be entered; returns only if it is to be made.

        A dry run makes nothing: it gets a session with an empty folder. Otherwise returns None.
        """
        is_made = not self.is_unbound() and not self.readonly and self.get_option("create_folder", False)
        if emulates_31() or self.is_unbound() or (self.is_local() and not is_made):
            side = "local directory" if not self.is_unbound() and self.is_local() else "directory"
            write_error(
                printable(f"Could not change {side} to {self.root_dir} ({reason}): missing or not permitted.")
            )
            raise RuntimeError(
                f"Unable to navigate to working directory {self.root_dir!r} ({reason})."
            ) from refusal
        side = "local" if self.is_local() else "remote"
        message = f"Could not change {side} directory to '{self.root_dir}' ({reason})"
        is_source = getattr(self.synchronizer, "_MODE", "") == "download"
        hint = " A path is taken as it stands: '%20' is no blank." if _ENCODED.search(self.root_dir) else ""
        if not self.get_option("create_folder", False):
            advice = "" if is_source else " Pass `--create-folder` to create it."
            raise CliSilentRuntimeError(
                f"{message}. It does not exist, or permissions are missing.{advice}{hint}", min_verbosity=4
            ) from refusal
        if is_source or (self.readonly and not self.dry_run):
            raise CliSilentRuntimeError(
                f"{message}. This run may not change the server, so `--create-folder` is not followed.",
                min_verbosity=4,
            ) from refusal
        if self.dry_run:
            from ftpsync import _core

            write(printable(f"{message}: it would be created.{hint}"))
            self._native = _core.Target.unmade(self._native.id)
            return self._native.open()
        write_error(printable(f"{message}: creating it.{hint}"))
        return None

    def _seconds(self) -> float | None:
        """Returns how long the server may be silent; None for the usual time.

        Raises:
            ValueError: The option `timeout` is no number.
        """
        import socket

        for given in (self.timeout, self.get_option("timeout")):
            if given is None:
                continue
            try:
                return float(given)
            except (TypeError, ValueError):
                raise ValueError(
                    f"invalid option timeout: {given!r} (expected a number of seconds)"
                ) from None
        return socket.getdefaulttimeout()

    def _tell_news(self) -> None:
        """Writes what was found out about the server and has not been told yet."""
        verbose = self._verbose()
        for level, line in self._native.news() if self._native is not None else ():
            if verbose >= level:
                write(harmless(line))

    def close(self) -> None:
        """Says goodbye to the server. Harmless when the target is not open."""
        session, self._session = self._session, None
        if session is not None:
            self._tell_news()
            try:
                session.close()
            except Exception as exc:  # The connection may be gone already; the work is done.
                write_error(harmless(f"Could not close the connection to {self.host}: {exc}"))
        self._native = None
        self._listed = self._strayed = None
        self._keyring_troubles.clear()
        self._known_folders = set()
        super().close()
        self.ftp_socket_connected = False

    def _tell_closing(self) -> None:
        if self.ftp_socket_connected:  # Or else it never came so far.
            super()._tell_closing()

    def _own_session(self) -> Any:
        """Returns the open session. While a run has it, a second one for what hooks do by hand.

        Where the server grants no second one, it is one of the run, lent until the hook returns.

        Raises:
            RuntimeError: The target is not open.
        """
        if self._session is None:
            raise RuntimeError(f"Target is not open: {self}. Call open() first.")
        if self._session.is_lent:
            reporter = getattr(self.synchronizer, "_reporter", None)
            with contextlib.nullcontext() if reporter is None else reporter.standing_still():
                self._session = self._session.stand_in()
        return self._session

    def _talk(self) -> Any:
        """Returns the open session, for a verb of the core.

        Raises:
            RuntimeError: The target is not open.
        """
        return self._own_session()

    # --- Navigation ---

    def _here(self) -> str:
        """Returns the folder in which names are looked up: the current one, or where the user has gone by hand."""
        if self._strayed is not None and self._strayed[0] == self.cur_dir:
            return self._strayed[1]
        return self.cur_dir or self.root_dir

    def _absolute(self, name: str) -> str:
        return self._in_order(posixpath.join(self._here(), name))

    def _in_order(self, path: str) -> str:
        """Returns an absolute path without `.`, `..` and doubled slashes; the root in it stays as it was given.

        What `..` leads to behind a link is the server's to tell, so that such a root has no other spelling.
        """
        root = self.root_dir.rstrip("/")
        if f"{path}/".startswith(f"{root}/"):
            below = posixpath.normpath(path[len(root) :].strip("/") or ".")
            if below == ".":
                return self.root_dir
            if below != ".." and not below.startswith("../"):
                return f"{root}/{below}"
        path = f"/{posixpath.normpath(path).lstrip('/')}"
        plain = "".join(f"/{name}" for name in self._way())
        if ".." not in root.split("/") and f"{path}/".startswith(f"{plain}/"):
            return f"{root}{path[len(plain) :].rstrip('/')}" or "/"
        return path

    def _below_root(self, path: str) -> str:
        """Returns an absolute path relative to the root, as the session wants it: empty for the root itself.

        Raises:
            RuntimeError: It is outside the root.
        """
        root = self.root_dir if self.root_dir.endswith("/") else self.root_dir + "/"
        if path == self.root_dir:
            return ""
        if not path.startswith(root):
            raise RuntimeError(f"Tried to navigate outside root {self.root_dir!r}: {path!r}.")
        return path[len(root) :]

    def _rel(self, name: str) -> str:
        return self._below_root(self._absolute(name))

    def _at(self, name: str) -> tuple[Any, str]:
        """Returns a session, and the path of a name for it.

        Raises:
            RuntimeError: The target is not open, or the name is outside the root.
        """
        session = self._talk()
        return self._reach(session, self._absolute(name))

    def _reach(self, session: Any, path: str) -> tuple[Any, str]:
        """Returns a session that reaches an absolute path, usually the given one, and the path for it.

        Raises:
            RuntimeError: It is outside the root.
        """
        return session, self._below_root(path)

    def cwd(self, dir_name: str) -> str:
        """Changes the current folder and returns it.

        A relative name starts where names are looked up, which is another folder than the current one after a `cwd()`
        by hand. As in release 4.1 the two then move side by side.

        Raises:
            RuntimeError: It is outside the root.
            OSError: It does not exist (over FTP, `ftplib.error_perm`).
        """
        here = self._here()
        path = self._absolute(dir_name)
        rel = self._below_root(path)
        current = self._in_order(posixpath.join(self.cur_dir or self.root_dir, dir_name))
        self._below_root(current)
        is_known = path in self._known_folders or path == self.root_dir or f"{here}/".startswith(f"{path}/")
        if not is_known:
            # There is no cheaper question that every server answers, and a listing is what comes next.
            self._listed = (path, self._talk().list(rel))
            self._known_folders.add(path)
        self.cur_dir = current
        self._strayed = (current, path) if path != current else None
        self.cur_dir_meta = None
        return current

    def pwd(self, *args: Any) -> str | None:
        """Returns the folder in which names are looked up: the current one, unless the user went elsewhere by hand."""
        return self._here() if self.connected else self.cur_dir

    # --- Folders ---

    def mkdir(self, dir_name: str) -> None:
        """Makes a folder.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`); the folder is there already, except in a bucket.
        """
        self.check_write(dir_name)
        self._changing()
        session, path = self._at(dir_name)
        session.mkdir(path)
        self._known_folders.add(self._absolute(dir_name))

    def rmdir(self, dir_name: str) -> None:
        """Removes a folder and everything in it.

        Raises:
            RuntimeError: It is outside the root.
            OSError: The server refused something (over FTP, `ftplib.Error`).
        """
        self.check_write(dir_name)
        self._changing()
        self._talk().remove_tree(self._rel(dir_name))
        self._known_folders.clear()

    def _rmdir_impl(
        self,
        dir_name: str,
        keep_root_folder: bool = False,
        predicate: Callable[[str], Any] | None = None,
    ) -> None:
        """Empties a folder.

        Args:
            dir_name: The folder.
            keep_root_folder: Do not remove the folder itself.
            predicate: Called with every name in the folder; a false answer keeps it.
        """
        self.check_write(dir_name)
        self._changing()
        session = self._talk()
        folder = self._rel(dir_name)
        for name, is_dir, *_ in session.list(folder).entries:
            if predicate is not None and not predicate(name):
                continue
            path = posixpath.join(folder, name)
            if is_dir:
                session.remove_tree(path)
            else:
                session.remove_file(path)
        if not keep_root_folder:
            session.remove_dir(folder)
        self._known_folders.clear()

    def _changing(self) -> None:
        """Drops the listing that `cwd()` fetched ahead: it is about to become wrong."""
        self._listed = None

    def get_dir(self) -> list[FileEntry | DirectoryEntry]:
        """Lists the files and folders of the current folder, and reads its metadata.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
            IncompatibleMetadataVersionError: The metadata of the folder is of another version.
        """
        folder = self.cur_dir or self.root_dir
        place = self._here()
        ahead, self._listed = self._listed, None
        if ahead and ahead[0] == place:
            listing = ahead[1]
        else:
            session, path = self._reach(self._talk(), place)
            listing = session.list(path)
        verbose = self._verbose()
        for name, note in listing.notes:
            if verbose >= 4:
                write(printable(f"{posixpath.join(folder, name)}: {note}"))
        if not listing.complete:
            write(printable(f"The listing of {folder} may be incomplete."), warning=True)

        meta = DirMetadata(self)
        self.cur_dir_meta = meta
        entries: list[FileEntry | DirectoryEntry] = []
        for name, is_dir, size, mtime, unique in listing.entries:
            if is_dir:
                self._known_folders.add(posixpath.join(place, name))
                entries.append(DirectoryEntry(self, folder, name, size, mtime, unique))
            elif name == DirMetadata.META_FILE_NAME:
                meta.read()
            elif name.startswith(_TEMP_PREFIX) or (
                name == DirMetadata.LOCK_FILE_NAME and place == self.root_dir
            ):
                continue
            else:
                entries.append(FileEntry(self, folder, name, size, mtime, unique))
        _apply_remembered_times(meta, entries)
        return entries

    def _names(self) -> list[str]:
        session, path = self._at(".")
        return [entry[0] for entry in session.list(path).entries]

    # --- Files ---

    def open_readable(self, name: str) -> IO[bytes]:
        """Fetches a file of the current folder and returns it as a stream at its start; a context manager.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
        """
        from tempfile import SpooledTemporaryFile

        stream = SpooledTemporaryFile(max_size=self.MAX_SPOOL_MEM)  # noqa: SIM115 - the caller closes it
        try:
            session, path = self._at(name)
            session.read_to(path, stream.write)
            stream.seek(0)
        except BaseException:
            stream.close()
            raise
        return stream

    def open_writable(self, name: str) -> Any:
        """Not provided: a transfer reads from a source, see `write_file()`."""
        raise NotImplementedError

    def copy_to_file(self, name: str, fp_dest: Any, callback: Callback | None = None) -> None:
        """Copies a file of the current folder into `fp_dest`; `callback` gets each block afterwards.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
        """

        def take(block: bytes) -> None:
            fp_dest.write(block)
            if callback is not None:
                callback(block)

        session, path = self._at(name)
        session.read_to(path, take)

    def write_file(
        self,
        name: str,
        fp_src: Any,
        blocksize: int = DEFAULT_BLOCKSIZE,
        callback: Callback | None = None,
    ) -> None:
        """Writes what `fp_src` holds to a file of the current folder; `callback` gets each block.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
        """
        self.check_write(name)
        self._changing()

        def give(limit: int) -> bytes:
            block: bytes = fp_src.read(min(limit, blocksize))
            if block and callback is not None:
                callback(block)
            return block

        session, path = self._at(name)
        session.write_from(path, give)

    def remove_file(self, name: str) -> None:
        """Removes a file of the current folder, and what is remembered of it.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
        """
        self.check_write(name)
        self._changing()
        session, path = self._at(name)
        session.remove_file(path)
        if self.cur_dir_meta is not None:
            self.cur_dir_meta.remove(name)
        if not self.is_unbound():
            self.remove_sync_info(name)

    def set_mtime(self, name: str, mtime: float, size: int | None) -> None:
        """Sets the modification time of a file of the current folder, or remembers it here.

        Args:
            name: Name in the current folder.
            mtime: Seconds since the epoch.
            size: Bytes.

        Raises:
            OSError: The server refused (over FTP, `ftplib.Error`).
        """
        self.check_write(name)
        self._changing()
        session, path = self._at(name)
        is_kept = session.set_mtime(path, mtime)
        meta = self.cur_dir_meta
        if meta is None:
            if is_kept:
                return
            meta = self._read_meta()
        # An entry that is already there is kept true: releases 3.1 and 4.1 believe it.
        if not is_kept or name in meta.list:
            meta.set_mtime(name, mtime, size)

    def _read_meta(self) -> DirMetadata:
        """Reads the metadata of the current folder without listing it."""
        self.get_dir()
        assert self.cur_dir_meta is not None
        return self.cur_dir_meta


def _apply_remembered_times(meta: DirMetadata, entries: list[FileEntry | DirectoryEntry]) -> None:
    """Replaces times that the server could not keep, and forgets those of files that have changed or gone."""
    files = {entry.name: entry for entry in entries if entry.is_file()}
    for name, record in list(meta.list.items()):
        entry = files.get(name)
        if entry is None or not _still_describes(record, entry):
            # Not meta.remove(): what the last run remembers of the name is still needed to see the change.
            del meta.list[name]
            meta.modified_list = True
            continue
        entry.mtime = record["m"]
        entry.meta = record


def _still_describes(record: dict[str, Any], entry: FileEntry | DirectoryEntry) -> bool:
    if record.get("m") is None or entry.size != record.get("s"):
        return False
    uploaded = record.get("u")
    return entry.mtime is None or uploaded is None or entry.mtime <= uploaded + FileEntry.EPS_TIME
