"""The Rust core of ftpsync. Private: the documented names live in the other modules of the package."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, final

__all__ = [
    "Body",
    "Bucket",
    "ByHand",
    "Conductor",
    "DataConnection",
    "DataListener",
    "Listing",
    "Session",
    "Sftp",
    "Target",
    "Trace",
    "check_up",
    "matches",
    "old_peer_key",
    "run",
]

@final
class Bucket:
    """A bucket by its keys."""

    def list(self, prefix: str, most: int = 0) -> list[tuple[str, int, float | None, str]]:
        """Every object whose key begins like this: tuples of key, size (bytes), modification time (seconds UTC), ETag.

        With ``most``, the first few of them.
        """

    def find(self, key: str) -> tuple[int, float | None, str, str | None, int | None] | None:
        """An object: size (bytes), modification time (seconds UTC), ETag, what the content adds up to.

        Last comes the size of the parts for that. None if there is no such object.
        """

    def fetch(
        self,
        root: str | PathLike[str],
        jobs: Sequence[tuple[str, str]],
        *,
        check: bool,
        workers: int,
        progress: Callable[[int], object] | None = None,
    ) -> Sequence[tuple[str, BaseException | None]]:
        """Puts objects into files below ``root``.

        ``jobs`` are tuples of key and relative path; the outcomes are in order. ``progress`` is called with numbers
        of bytes that have arrived.
        """

    def store(
        self,
        root: str | PathLike[str],
        jobs: Sequence[tuple[str, str, str | None]],
        *,
        workers: int,
        progress: Callable[[int], object] | None = None,
    ) -> Sequence[tuple[str, BaseException | None]]:
        """Puts files below ``root`` at keys.

        ``jobs`` are tuples of relative path, key, and what must be there: an ETag, an empty text for nothing, or
        None for whatever there may be; the outcomes are in order.
        """

    def remove(self, keys: Sequence[str]) -> Sequence[tuple[str, BaseException]]:
        """Deletes objects; returns those that are kept, with the exception."""

    @staticmethod
    def adds_up(file: str | PathLike[str], sum: str, part_size: int | None = None) -> bool | None:
        """Whether a file adds up to what was told of an object; None if that cannot be told."""

@final
class Target:
    """A place that holds a tree of files."""

    @staticmethod
    def local(root: str | PathLike[str], links: str = "inside", verify: bool = False) -> Target:
        """A folder of the local file system, which must exist. ``links``: inside, follow or skip.

        With ``verify``, files are read back after they were written.
        """

    @staticmethod
    def unmade(id: str) -> Target:
        """An empty folder in the place of one that a dry run does not make.

        ``id`` is how the other side would remember it.
        """

    @staticmethod
    def ftp(
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        root: str,
        tls: bool,
        options: dict[str, Any],
        trace: Trace | None = None,
    ) -> Target:
        """A folder on an FTP server; nothing is connected yet. ``options`` are the documented option keys."""

    @staticmethod
    def sftp(
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        root: str,
        options: dict[str, Any],
        home: str | PathLike[str] | None,
        login_name: str,
        agent: str | PathLike[str] | None,
        variables: dict[str, str],
    ) -> Target:
        """A folder on an SFTP server; nothing is connected yet.

        ``options`` are the documented option keys; ``home``, ``login_name``, ``agent`` and ``variables`` tell what ssh
        reads from the environment.
        """

    @staticmethod
    def s3(
        *,
        bucket: str,
        root: str,
        query: str,
        user: str | None,
        password: str | None,
        options: dict[str, Any],
        variables: dict[str, str],
        home: str | PathLike[str] | None,
    ) -> Target:
        """A folder of a bucket; nothing is connected yet.

        ``options`` are the documented option keys; ``variables`` and ``home`` tell what the tools of AWS read from the
        environment.
        """

    @property
    def first_host(self) -> tuple[str, str] | None:
        """The host that an SFTP server is reached by from here, as it is called and as it is; None for a program."""

    @property
    def user(self) -> str | None:
        """Who logs in, where that is known beforehand."""

    def by_hand(self) -> Sftp:
        """Opens a session by hand with an SFTP server, on the connection that the others use."""

    def bucket(self) -> Bucket:
        """The bucket by its keys."""

    @property
    def id(self) -> str:
        """The key under which peers remember this target."""

    @property
    def legacy_id(self) -> str:
        """The key that pyftpsync 3.1 and 4.1 use for the same target."""

    @property
    def base_name(self) -> str:
        """The target as a URL or path, without user and password."""

    def open(self) -> Session:
        """Starts a conversation: connects and logs in."""

    def news(self) -> list[tuple[int, str]]:
        """What was found out since the last call: tuples of the verbosity from which a line is shown, and the line."""

    def interrupt(self) -> None:
        """Ends every conversation at once, from any thread."""

#: Size (bytes), user, group, kind and permissions as in POSIX, times of access and modification (seconds UTC).
_Facts = tuple[int | None, int | None, int | None, int | None, int | None, int | None]

@final
class Sftp:
    """A session with an SFTP server that may go anywhere. Paths are absolute."""

    def stat(self, path: str, follow: bool = True) -> _Facts:
        """What stands at a path: size, user, group, mode, times of access and modification; None if not told."""

    def list(self, path: str) -> list[tuple[str, _Facts]]:
        """The names in a folder, with the same facts about each; links are not followed."""

    def set(
        self,
        path: str,
        *,
        mode: int | None = None,
        owner: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
        size: int | None = None,
    ) -> None:
        """Sets what is given: mode, user and group, times of access and modification, size."""

    def real_path(self, path: str) -> str:
        """The absolute path of something, without links where the server resolves them."""

    def mkdir(self, path: str, mode: int | None = None) -> None:
        """Makes one folder."""

    def rmdir(self, path: str) -> None:
        """Removes an empty folder."""

    def remove(self, path: str) -> None:
        """Removes a file or a link."""

    def rename(self, old: str, new: str, replace: bool = False) -> None:
        """Renames a file or folder; with ``replace`` also onto an existing file."""

    def read_to(self, path: str, write: Callable[[bytes], object]) -> int:
        """Reads a whole file, passing each chunk (bytes) to ``write``; returns the number of bytes."""

    def write_from(self, path: str, read: Callable[[int], bytes]) -> int:
        """Puts a whole file in place, from chunks that ``read(n)`` returns until none is left; returns the size."""

    def execute(self, command: str) -> tuple[bytes, bytes]:
        """Runs a command on the server; returns what it printed as its output, and as errors."""

    def close(self) -> None:
        """Ends the session; harmless twice."""

@final
class Listing:
    """What a folder holds."""

    @property
    def entries(self) -> list[tuple[str, bool, int | None, float | None, str | None]]:
        """Tuples of name, whether it is a folder, size (bytes), modification time (seconds UTC), identity."""

    @property
    def complete(self) -> bool:
        """Whether these are certainly all."""

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Tuples of what was left out or guessed, and why."""

@final
class Session:
    """One conversation with a target. Paths are relative to its root."""

    @property
    def greeting(self) -> list[tuple[int, str]]:
        """What the conversation began with: tuples of the verbosity from which a line is shown, and the line."""

    @property
    def is_lent(self) -> bool:
        """Whether a run has taken the conversation over."""

    def stand_in(self) -> Session:
        """Another conversation, while a run has this one: one more, or else one of the run, which gets it back."""

    def by_hand(self) -> ByHand:
        """The same conversation for FTP commands of the user's own."""

    def sftp(self) -> Sftp:
        """The same conversation for anything on an SFTP server."""

    def list(self, path: str) -> Listing:
        """Lists a folder."""

    def read_to(self, path: str, write: Callable[[bytes], object]) -> int:
        """Reads a whole file, passing each chunk to ``write``; returns the number of bytes."""

    def write_from(self, path: str, read: Callable[[int], bytes], mtime: float | None = None) -> int:
        """Puts a whole file in place, from chunks that ``read(n)`` returns until it returns none."""

    def mkdir(self, path: str) -> None:
        """Makes a folder that is not there yet; in a bucket it may be."""

    def remove_file(self, path: str) -> None:
        """Removes a file."""

    def remove_dir(self, path: str) -> None:
        """Removes an empty folder."""

    def remove_tree(self, path: str, keep_root: bool = False) -> None:
        """Removes a folder with everything in it; ``keep_root`` leaves the empty folder."""

    def rename(self, old: str, new: str) -> None:
        """Renames a file, replacing what has the new name."""

    def set_mtime(self, path: str, mtime: float) -> bool:
        """Sets the modification time (seconds UTC) of a file; returns whether the target can do that."""

    def close(self) -> None:
        """Ends the conversation, politely unless it is busy; harmless twice."""

@final
class Trace:
    """Shows conversations to a Python callable, while its level is not 0."""

    def __new__(cls, listener: Callable[[str, str], object]) -> Trace:
        """``listener`` is called with ``cmd``, ``resp`` or ``note``, and the text."""

    @property
    def level(self) -> int:
        """How much the user wants to see; 0 is nothing."""

    @level.setter
    def level(self, level: int) -> None: ...

@final
class ByHand:
    """A conversation, for commands of the user's own."""

    def send(self, line: bytes) -> None:
        """Sends one command line, without its end."""

    def reply(self) -> list[bytes]:
        """Reads the next reply: its lines, without their ends."""

    def folder(self) -> str:
        """Asks for the current folder."""

    def enter(self, folder: str) -> None:
        """Goes to a folder, given by its absolute path."""

    def dial(self, port: int, elsewhere: str | None = None) -> DataConnection:
        """Connects to a port of the server for a transfer."""

    def listen(self) -> DataListener:
        """Prepares for a data connection that the server opens."""

    @property
    def greetings(self) -> tuple[str | None, str | None]:
        """What the server said first, and what it said when it let the user in."""

    @property
    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Host and port of both ends: this one, and that of the server."""

    def fileno(self) -> int:
        """The number of the socket, for settings; it stays the property of the conversation."""

    def set_active(self, is_active: bool) -> None:
        """Lets the server open the data connections of this target from now on, or not."""

    def masked(self, text: str) -> str:
        """A text without the password."""

    def hang_up(self) -> None:
        """Ends the conversation without a word."""

@final
class DataListener:
    """Waits for a data connection that the server opens."""

    @property
    def at(self) -> tuple[str, int]:
        """Host and port."""

    def accept(self) -> DataConnection:
        """Waits for the connection; once."""

    def close(self) -> None:
        """Does not wait any more."""

@final
class DataConnection:
    """The connection of one transfer."""

    def begin(self, is_upload: bool) -> None:
        """Begins the transfer that the server has agreed to, encrypted where the conversation is."""

    @property
    def is_encrypted(self) -> bool:
        """Whether it is encrypted."""

    def read(self, limit: int) -> bytes:
        """Reads up to ``limit`` bytes, none at the end."""

    def write(self, block: bytes) -> None:
        """Sends all of the bytes."""

    def close(self) -> None:
        """Ends the connection: what was sent is complete; harmless twice."""

    def give_up(self) -> None:
        """Gives the transfer up: what was sent is not complete; harmless twice."""

@final
class Conductor:
    """What a hook asks the run for while it is being called. Every method returns when the deed is done."""

    def operate(self, operation: str) -> None:
        """Has an operation carried out on the pair of the hook."""

    def mismatch(self, operation: str) -> None:
        """Has done what is done about names that the filter leaves out."""

    def copy(self, to_local: bool) -> None:
        """Has the pair of the hook copied to one side, without a line about it."""

    def remove(self, on_local: bool) -> None:
        """Has the pair of the hook deleted on one side, without a line about it."""

    def put_right(self, is_local: bool, mtime: float) -> None:
        """Has an entry of the pair of the hook dealt with as a file of this time."""

    def go(self) -> None:
        """Has done what is usually done where the hook was called."""

    def remember(self, dir: str, name: str, mtime: float | None, size: int | None) -> None:
        """Has a local folder remember that both sides agree on a name."""

    def date(
        self, is_local: bool, dir: str, name: str, mtime: float, size: int | None, written: float
    ) -> None:
        """Has a folder remember the time that a file should have, and when it was written."""

    def forget(self, is_local: bool, dir: str, name: str) -> None:
        """Has a folder forget a name."""

@final
class Body:
    """What a target written in Python reads from while it writes a file."""

    def read(self, limit: int) -> bytes:
        """Returns up to ``limit`` bytes; none at the end."""

def run(
    local: object,
    remote: object,
    sessions: tuple[Session | None, Session | None],
    settings: Mapping[str, object],
    reporter: object,
    stats: dict[str, Any],
) -> None:
    """Synchronises two targets, each a ``Target`` or a ``TargetBridge``.

    See ``src/python/engine.rs`` for the keys of ``settings``.
    """

def old_peer_key(id: str) -> str | None:
    """The key that releases 3.1 and 4.1 use for the peer with this id; None for a folder."""

def matches(name: str, is_dir: bool, match: list[str], exclude: list[str], fold_case: bool) -> bool:
    """Tells whether a name takes part, by shell patterns as in ``fnmatch``."""

def check_up(target: Target, writes: bool) -> dict[str, Any]:
    """Finds out what a target can do; with ``writes``, by a small temporary file that is removed again.

    Returns findings by name; None for what could not be found out.
    """
