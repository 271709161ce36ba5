"""A folder on an FTP server, plain or with TLS.

The conversation with the server is native (`ftpsync._core`); this class finds credentials, words what the
user sees while connecting, and offers the verbs for use by hand.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final

from ftpsync._proxy import proxy_for
from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersion, IncompatibleMetadataVersionError
from ftpsync.resources import DirectoryEntry, FileEntry
from ftpsync.targets import _TEMP_PREFIX, Callback, _check_server, _get_encoding_opt, _Target
from ftpsync.util import (
    CliSilentRuntimeError,
    emulates_31,
    get_credentials_for_url,
    prompt_for_password,
    save_password,
    write,
    write_error,
)

if TYPE_CHECKING:
    import ftplib

__all__ = [
    "CliSilentRuntimeError",
    "DirMetadata",
    "FTPTarget",
    "FtpTarget",
    "IncompatibleMetadataVersion",
    "IncompatibleMetadataVersionError",
    "_Target",
]

_FTP_PORT: Final = 21

#: Options that the native target reads, with the value that stands for "not given".
_NATIVE_OPTIONS = (
    "connect_timeout",
    "connections",
    "ftp_active",
    "ftp_debug",
    "inplace",
    "no_mlsd",
    "no_verify_tls",
    "tls_ca",
    "tls_cert",
    "tls_implicit",
    "tls_key",
    "tls_max",
    "tls_pin",
    "tls_verify",
    "trust_pasv_host",
)

_IMPLICIT_TLS_PORT = 990


class FTPTarget(_Target):
    """A folder on an FTP server.

    Args:
        path: Absolute path on the server; empty means `/`.
        host: Name or address.
        port: 0 for the usual one.
        username: None to look it up when opening.
        password: None to look it up when opening.
        tls: Encrypt commands and data (FTPS; implicit on port 990, else explicit).
        timeout: Seconds; None for the option `timeout`, else `socket.getdefaulttimeout()`.
        extra_opts: Options of this target alone.

    Attributes:
        username, password, port, tls, timeout: As given; may be set until `open()`.
        ftp: For FTP commands of your own, an `ftplib.FTP`; connected while the target is open.
        feat_response, syst_response: Replies of the server, once known.
        support_utf8: The server announced UTF-8 file names.
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
        port: int = 0,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        timeout: float | None = None,
        extra_opts: dict[str, Any] | None = None,
    ) -> None:
        _check_server(host, port, timeout)
        self.encoding = _get_encoding_opt(None, extra_opts, "utf-8")
        super().__init__(path or "/", extra_opts)
        self.host: str = host
        self.port = port or 0
        self.username = username
        self.password = password
        self.tls = tls
        self.timeout = timeout
        self._ftp: ftplib.FTP | None = None
        self.lock_data: dict[str, Any] | bool | None = None
        self.lock_write_time: float | None = None
        self.feat_response: str | None = None
        self.syst_response: str | None = None
        self.is_unix: bool | None = None
        self.support_utf8: bool | None = None
        self.ftp_socket_connected = False
        self.support_set_time = False
        self._native: Any = None
        self._session: Any = None
        self._known_folders: set[str] = set()
        self._listed: tuple[str, Any] | None = None
        self._trace: Any = None
        # The folder in which the conversation stands; None if verbs of the core may have moved it.
        self._stands_in: str | None = None
        # A command of the user's own may have moved it.
        self._is_adrift = False
        # If one did: what the current folder was then, and where it went instead.
        self._strayed: tuple[str | None, str] | None = None

    def __str__(self) -> str:
        cur_dir = posixpath.relpath(self.cur_dir, self.root_dir) if self.cur_dir else "."
        return f"<{self.get_base_name()} + {cur_dir}>"

    def get_base_name(self) -> str:
        """Returns the URL without user, password and port."""
        scheme = "ftps" if self.tls else "ftp"
        return f"{scheme}://{self.host}{self.root_dir}"

    def get_id(self) -> str:
        """Returns the key under which releases 3.1 and 4.1 remember this target: host and root."""
        return f"{self.host}{self.root_dir}"

    def _memory_key(self) -> str:
        if type(self).get_id is not FTPTarget.get_id:
            return self.get_id()
        native = self._native if self._native is not None else self._make_native(create_folder=False)
        return str(native.id)

    @property
    def ftp(self) -> ftplib.FTP:
        """For FTP commands of your own, in the conversation of the target; connected while that is open."""
        if self._ftp is None:
            # Not before it is wanted: `ftplib` loads all of TLS, which takes longer than all the rest together.
            from ftpsync.user_ftp import make_user_ftp

            self._ftp = make_user_ftp(self)
        return self._ftp

    @ftp.setter
    def ftp(self, ftp: ftplib.FTP) -> None:
        self._ftp = ftp

    # --- Life ---

    def open(self) -> None:
        """Connects, logs in and goes to the root.

        Credentials that are missing are looked up or asked for, as the options allow.

        Raises:
            CliSilentRuntimeError: The remote folder is missing.
            RuntimeError: The target is open already; credentials are missing; or the root cannot be entered.
            ftplib.Error: The server refused something.
            OSError: The server could not be reached.
        """
        super().open()
        try:
            self.encoding = _get_encoding_opt(None, {"encoding": self.get_option("encoding")}, self.encoding)
            if not self.root_dir.startswith("/"):
                raise RuntimeError(
                    f"Unable to navigate to working directory {self.root_dir!r}: "
                    "a path on a server is absolute and starts with '/'."
                )
            self._find_credentials()
            self._session = self._enter()
            self.ftp_socket_connected = True
            self.cur_dir = self._stands_in = self.root_dir
            if self._ftp is not None:
                from ftpsync.user_ftp import attach

                attach(self._ftp)
            self._show_greeting()
            if self.get_option("store_password", False) and self.username and self.password:
                save_password(self.host, self.username, self.password)
        except BaseException:
            self.close()
            raise

    def _find_credentials(self) -> None:
        if self.username is not None and self.password is not None:
            return
        if self.get_option("prompt", False) or not self.get_option("no_prompt", True):
            self._knock()  # Nobody shall be asked for the password of a server that is not there.
        found = get_credentials_for_url(self.host, self.get_options_dict(), force_user=self.username)
        if found:
            self.username, self.password = found

    def _knock(self) -> None:
        """Makes sure that somebody listens at the host and port.

        Raises:
            OSError: Nobody does; the attribute `what` tells it in one line.
        """
        if proxy_for(self.host, self.get_option("proxy")):
            return  # What listens there is the proxy's to find out.
        import socket

        port = self.port or (_IMPLICIT_TLS_PORT if self.get_option("tls_implicit", False) else _FTP_PORT)
        timeout = self.get_option("connect_timeout") or self._seconds()
        try:
            socket.create_connection((self.host, port), timeout).close()
        except OSError as exc:
            cause = exc.strerror or str(exc)
            what = f"could not connect to {self.host}, port {port}: {cause}; check host, port and network"
            exc.what = what  # type: ignore[attr-defined]
            raise

    def _make_native(self, *, create_folder: bool) -> Any:
        from ftpsync import _core

        self._trace = _core.Trace(_show)
        self._trace.level = max(0, min(int(self.get_option("ftp_debug", 0) or 0), 255))
        given = self.get_options_dict()
        options = {key: given[key] for key in _NATIVE_OPTIONS if given.get(key) is not None}
        options["create_folder"] = create_folder
        options["encoding"] = self.encoding
        proxy = proxy_for(self.host, self.get_option("proxy"))
        if proxy:
            options["proxy"] = proxy
        timeout = self._seconds()
        if timeout is not None:
            options["timeout"] = timeout
        return _core.Target.ftp(
            host=self.host,
            port=self.port,
            user=self.username,
            password=self.password,
            root=self.root_dir,
            tls=bool(self.tls),
            options=options,
            trace=self._trace,
        )

    def _seconds(self) -> float | None:
        """Returns how long the server may be silent; None for the usual time."""
        import socket

        for given in (self.timeout, self.get_option("timeout")):
            if given is not None:
                return float(given)
        return socket.getdefaulttimeout()

    def _enter(self) -> Any:
        """Connects until user and password are accepted and the root is there; returns the session."""
        create_folder = False
        while True:
            self._native = self._make_native(create_folder=create_folder)
            try:
                return self._native.open()
            except Exception as exc:
                if not _is_refusal(exc):
                    raise
                if _reply(exc).startswith("530"):
                    self._ask_again(exc)
                elif _reply(exc).startswith("550") and not create_folder:
                    self._on_missing_root(exc)
                    create_folder = True
                else:
                    raise

    def _ask_again(self, refusal: Exception) -> None:
        """Reports a refused login and asks for another password, or gives up."""
        write_error(f"Could not login to {self.username or 'anonymous'}@{self.host}: {_reply(refusal)}")
        if self.get_option("no_prompt", True) or not self.username:
            raise refusal
        answer = prompt_for_password(self.host, user=self.username)
        if answer is None:
            raise refusal
        self.username, self.password = answer

    def _on_missing_root(self, refusal: Exception) -> None:
        """Reports that the root cannot be entered; returns only if it is to be made."""
        reason = _reply(refusal)
        if emulates_31() or self.is_unbound() or self.is_local():
            side = "local directory" if not self.is_unbound() and self.is_local() else "directory"
            write_error(f"Could not change {side} to {self.root_dir} ({reason}): missing or not permitted.")
            raise RuntimeError(
                f"Unable to navigate to working directory {self.root_dir!r} ({reason})."
            ) from refusal
        message = f"Could not change remote directory to '{self.root_dir}' ({reason})"
        if not self.get_option("create_folder", False):
            raise CliSilentRuntimeError(
                f"{message}. It does not exist, or permissions are missing. "
                "Pass `--create-folder` to create it.",
                min_verbosity=4,
            ) from refusal
        if self.dry_run or self.readonly:
            raise CliSilentRuntimeError(
                f"{message}. This run may not change the server, so `--create-folder` is not followed.",
                min_verbosity=4,
            ) from refusal
        write_error(f"{message}: creating it.")

    def _show_greeting(self) -> None:
        verbose = self._verbose()
        lines = [(int(level), str(line)) for level, line in self._session.greeting]
        if not any(line.startswith("Login as ") for _, line in lines):
            lines.insert(0, (4, f"Login as '{self.username or 'anonymous'}'."))
        for level, line in lines:
            if line.startswith("SYST: '"):
                self.syst_response = line.removeprefix("SYST: '").removesuffix(".").removesuffix("'")
            elif line.startswith("FEAT: '"):
                self.feat_response = line.removeprefix("FEAT: '").removesuffix(".").removesuffix("'")
                self.support_utf8 = "UTF8" in self.feat_response.upper()
            if verbose >= level:
                write(line)

    def _tell_news(self) -> None:
        """Writes what was found out about the server and has not been told yet."""
        verbose = self._verbose()
        for level, line in self._native.news() if self._native is not None else ():
            if verbose >= level:
                write(line)

    def close(self) -> None:
        """Says goodbye to the server. Harmless when the target is not open."""
        session, self._session = self._session, None
        if session is not None:
            self._tell_news()
            try:
                session.close()
            except Exception as exc:  # The connection may be gone already; the work is done.
                write_error(f"Could not close the connection to {self.host}: {exc}")
        if self._ftp is not None:
            from ftpsync.user_ftp import detach

            detach(self._ftp)
        self.ftp_socket_connected = False
        self._native = None
        self._forget_place()
        self._listed = None
        self._known_folders = set()
        super().close()

    def _own_session(self) -> Any:
        """Returns the open session. While a run has it, a second one for what hooks do by hand.

        Raises:
            RuntimeError: The target is not open.
        """
        if self._session is None:
            raise RuntimeError(f"Target is not open: {self}. Call open() first.")
        if self._session.is_lent:
            self._session = self._native.open()
            self._forget_place()
        return self._session

    def _talk(self) -> Any:
        """Returns the open session, for a verb of the core.

        Raises:
            RuntimeError: The target is not open.
        """
        session = self._own_session()
        self._here()  # Afterwards the conversation may stand anywhere.
        self._stands_in = None
        return session

    def _call_again(self) -> None:
        """Ends the conversation, which may be broken, and begins another."""
        session, self._session = self._session, None
        session.close()
        self._session = self._native.open()
        self._forget_place()

    # --- The folder of the conversation, which commands of the user's own can change ---

    def _here(self) -> str:
        """Returns the folder in which names are looked up: the current one, or where the user has gone by `.ftp`."""
        if self._is_adrift:
            place = self._session.by_hand().folder()
            self._is_adrift = False
            self._stands_in = place
            self._strayed = (self.cur_dir, place) if place != self.cur_dir else None
        if self._strayed is not None and self._strayed[0] == self.cur_dir:
            return self._strayed[1]
        return self.cur_dir or self.root_dir

    def _stand_in_place(self) -> None:
        """Has the conversation stand in the current folder, for a command of the user's own."""
        if self._is_adrift:  # He knows where he is.
            return
        here = self._here()
        if self._stands_in != here:
            self._session.by_hand().enter(here)
            self._stands_in = here

    def _may_have_moved(self) -> None:
        self._is_adrift = True
        self._stands_in = None

    def _forget_place(self) -> None:
        self._is_adrift = False
        self._stands_in = self._strayed = None

    # --- Navigation ---

    def _absolute(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(self._here(), name))

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

    def cwd(self, dir_name: str) -> str:
        """Changes the current folder and returns it.

        A relative name starts where the conversation stands, which is another folder than the current one after
        `ftp.cwd()`. As in release 4.1 the two then move side by side.

        Raises:
            RuntimeError: It is outside the root.
            ftplib.error_perm: It does not exist.
        """
        here = self._here()
        path = self._absolute(dir_name)
        rel = self._below_root(path)
        current = posixpath.normpath(posixpath.join(self.cur_dir or self.root_dir, dir_name))
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
        """Returns the folder in which the conversation stands: the current one, unless `ftp.cwd()` went elsewhere."""
        return self._here() if self.connected else self.cur_dir

    # --- Folders ---

    def mkdir(self, dir_name: str) -> None:
        """Makes a folder.

        Raises:
            ftplib.Error: The server refused.
        """
        self.check_write(dir_name)
        self._changing()
        self._talk().mkdir(self._rel(dir_name))
        self._known_folders.add(self._absolute(dir_name))

    def rmdir(self, dir_name: str) -> None:
        """Removes a folder and everything in it.

        Raises:
            ftplib.Error: The server refused something.
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
            ftplib.Error: The server refused.
            IncompatibleMetadataVersionError: The metadata of the folder is of another version.
        """
        folder = self.cur_dir or self.root_dir
        place = self._here()
        ahead, self._listed = self._listed, None
        listing = ahead[1] if ahead and ahead[0] == place else self._talk().list(self._below_root(place))
        verbose = self._verbose()
        for name, note in listing.notes:
            if verbose >= 4:
                write(f"{posixpath.join(folder, name)}: {note}")
        if not listing.complete:
            write(f"The listing of {folder} may be incomplete.", warning=True)

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
        return [entry[0] for entry in self._talk().list(self._rel(".")).entries]

    # --- Files ---

    def open_readable(self, name: str) -> IO[bytes]:
        """Fetches a file of the current folder and returns it as a stream at its start; a context manager.

        Raises:
            ftplib.Error: The server refused.
        """
        from tempfile import SpooledTemporaryFile

        stream = SpooledTemporaryFile(max_size=self.MAX_SPOOL_MEM)  # noqa: SIM115 - the caller closes it
        try:
            self._talk().read_to(self._rel(name), stream.write)
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
            ftplib.Error: The server refused.
        """

        def take(block: bytes) -> None:
            fp_dest.write(block)
            if callback is not None:
                callback(block)

        self._talk().read_to(self._rel(name), take)

    def write_file(
        self,
        name: str,
        fp_src: Any,
        blocksize: int = DEFAULT_BLOCKSIZE,
        callback: Callback | None = None,
    ) -> None:
        """Writes what `fp_src` holds to a file of the current folder; `callback` gets each block.

        Raises:
            ftplib.Error: The server refused.
        """
        self.check_write(name)
        self._changing()

        def give(limit: int) -> bytes:
            block: bytes = fp_src.read(min(limit, blocksize))
            if block and callback is not None:
                callback(block)
            return block

        self._talk().write_from(self._rel(name), give)

    def remove_file(self, name: str) -> None:
        """Removes a file of the current folder, and what is remembered of it.

        Raises:
            ftplib.Error: The server refused.
        """
        self.check_write(name)
        self._changing()
        self._talk().remove_file(self._rel(name))
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
            ftplib.Error: The server refused.
        """
        self.check_write(name)
        self._changing()
        is_kept = self._talk().set_mtime(self._rel(name), mtime)
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


#: The name in release 3.1; the same class.
FtpTarget = FTPTarget


def _show(kind: str, text: str) -> None:
    """Prints one line of a conversation, as `ftplib` does."""
    print(f"*{kind}*", repr(text))


def _is_refusal(exc: Exception) -> bool:
    """Tells whether the server has said no for good."""
    import ftplib

    return isinstance(exc, ftplib.error_perm)


def _reply(exc: BaseException) -> str:
    """Returns the full reply of the server that an exception carries."""
    return str(exc.args[0]) if exc.args else str(exc)


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
