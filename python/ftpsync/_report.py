"""Words for what the core reports: the lines of a run, its conflicts and its progress.

All output goes through `ftpsync.util.write`, so that it lands in the logger or on the current `sys.stdout`, or through
what a script has put in its place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ftpsync._bridge import relative
from ftpsync._errors import printable
from ftpsync._lines import write, write_error
from ftpsync._locks import take_news
from ftpsync._progress import ProgressLine
from ftpsync.resources import DirectoryEntry, EntryPair, FileEntry, _Resource
from ftpsync.util import (
    DRY_RUN_PREFIX,
    IS_REDIRECTED,
    VT_ERASE_LINE,
    ansi_code,
    byte_compare,
    get_pyftpsync_logger,
    pretty_stamp,
)

if TYPE_CHECKING:
    from ftpsync._bridge import TargetBridge
    from ftpsync.synchronizers import BaseSynchronizer
    from ftpsync.targets import _Target

__all__ = ["Reporter", "is_terminal", "takes_escapes"]

_HELP: Final = {
    "l": "use the local file and overwrite the remote one (or restore it)",
    "r": "use the remote file and overwrite the local one (or restore it)",
    "o": "use the older file",
    "n": "use the newer file",
    "s": "leave both files as they are",
    "k": "keep both; the older one gets a second name",
}
_NAMES: Final = {"l": "Local", "r": "Remote", "o": "Older", "n": "Newer", "s": "Skip"}

#: What settles a conflict.
_ANSWERS: Final = ("local", "remote", "old", "new", "skip", "keep-both")


class Reporter:
    """Tells the user what a run does. The core calls these methods from the thread of `run()`."""

    def __init__(
        self, synchronizer: BaseSynchronizer, bridges: dict[bool, TargetBridge] | None = None
    ) -> None:
        self._synchronizer = synchronizer
        self._bridges = bridges or {}
        self._folder: str | None = None
        options = synchronizer.options
        self._to_terminal = get_pyftpsync_logger() is None and is_terminal()
        self._erases = self._to_terminal and takes_escapes()
        self._colored = self._erases and not options.get("no_color") and not os.environ.get("NO_COLOR")
        self._prefix = DRY_RUN_PREFIX if synchronizer.dry_run else ""
        self.progress = ProgressLine(self._prefix, shows_bytes=self._to_terminal)
        self.shows_progress = bool(
            options.get("progress") or (self._verbose >= 3 and not IS_REDIRECTED and self._to_terminal)
        )

    @property
    def _verbose(self) -> int:
        """How much is shown; hooks may change it."""
        return self._synchronizer.verbose

    # --- Called by the core ---

    def action(
        self,
        action: str,
        status: str,
        symbol: str,
        path: str,
        is_dir: bool,
        level: int,
        told: tuple[Any, Any] = (None, None),
    ) -> None:
        """Takes what is done about one entry, and what the local and the remote side have of it, as far as told."""
        tell = self._synchronizer._on_deed
        if tell is not None and (action, status) == ("skip", "conflict"):
            tell("conflict", path, None, 0, None)
        self.write_line(action, status, symbol, path, is_dir, level)

    def finished(self, action: str, path: str, is_local: bool, size: int, error: str | None) -> None:
        """Takes what was done to one entry, or why it could not be."""
        tell = self._synchronizer._on_deed
        if tell is not None:
            tell(action, path, is_local, size, error)

    def write_line(self, action: str, status: str, symbol: str, path: str, is_dir: bool, level: int) -> None:
        """Writes the line of one entry."""
        if self._verbose < level:
            return
        self.progress.clear()
        tag = f"{action} {status}".strip().upper()
        if len(symbol) > 1 and symbol[0] in "<>":
            symbol = " " + symbol
        shown = printable(path)
        color, reset = self._colors(action, status, symbol)
        erase = (
            ("\x1b[0K" if self._erases and ansi_code("Fore.RED") else " " * 10) if self._to_terminal else ""
        )
        place = f"[{shown}]" if is_dir else shown
        write(f"{self._prefix}{color}{tag:<16} {symbol:^3} {place}{reset}{erase}")

    def note(self, level: int, text: str) -> None:
        """Writes anything else that is worth telling from a verbosity on."""
        if self._verbose >= level:
            self.progress.clear()
            write(printable(text))

    def warning(self, text: str) -> None:
        """Writes what the user should look at, although the run goes on."""
        self.progress.clear()
        write(printable(text), warning=True)

    def failure(self, text: str) -> None:
        """Writes what failed, although the run goes on."""
        line = printable(text[:1].upper() + text[1:])
        self._synchronizer._closing.problems.add(line)
        self.progress.clear()
        write_error(line)

    def conflict_left(self, path: str) -> None:
        """Takes a conflict that nobody has settled."""
        self._synchronizer._closing.conflicts.add(printable(path))

    def trashed(self, place: str) -> None:
        """Takes where the content of a file lies that lost at the first contact."""
        self._synchronizer._closing.kept.add(printable(place))

    def lock(self, is_local: bool, state: str, text: str | None, seconds: float | None) -> None:
        """Takes what has become of the lock file of a side."""
        side = self._synchronizer.local if is_local else self._synchronizer.remote
        take_news(side, state, text, seconds)

    def tick(self, touched: int, seen: int, folders: int) -> None:
        """Takes how far the run is."""
        self.progress.count(touched, seen, folders)
        self.progress.show()

    def flow(self, passed: int, promised: int) -> None:
        """Takes how many bytes have been copied, of those that are known of so far; about twice a second."""
        self.progress.flow(passed, promised)

    def conflict(self, fields: dict[str, Any]) -> None:
        """Describes a conflict that is settled without asking."""
        self._synchronizer._print_pair_diff(self._pair(fields))

    def tell_error(self, exc: BaseException, pair: EntryPair) -> None:
        """Writes that a handler failed. What the core found out it tells itself."""
        if getattr(exc, "is_told_by_core", False):
            return
        color = ansi_code("Fore.LIGHTRED_EX") if self._colored else ""
        reset = ansi_code("Style.RESET_ALL") if self._colored else ""
        self.progress.clear()
        write(f"{color}ERROR: {printable(str(exc))}\n    {printable(str(pair))}{reset}")

    def same_time(self, fields: dict[str, Any], strategy: str) -> None:
        """Tells that a strategy goes by time and cannot decide."""
        self.tell_same_time(self._pair(fields), strategy)

    def tell_same_time(self, pair: EntryPair, strategy: str) -> None:
        """Prints that a strategy goes by time and cannot decide about this pair."""
        self.progress.clear()
        print(f"Cannot resolve using '{strategy}' strategy: {printable(str(pair))}")

    def resolve(self, fields: dict[str, Any], _: object = None) -> tuple[str, bool]:
        """Has the user settle a conflict; returns the answer, and whether it is for all.

        Raises:
            NotImplementedError: It is no answer.
        """
        answer = self._synchronizer._interactive_resolve(self._pair(fields))
        if answer not in _ANSWERS:
            expected = ", ".join(_ANSWERS)
            raise NotImplementedError(
                f"_interactive_resolve() returned {answer!r}: expected one of {expected}"
            )
        return answer, self._synchronizer.resolve_all is not None

    # --- Conflicts ---

    def tell_difference(self, pair: EntryPair) -> None:
        """Shows both files of a conflict, and what is remembered of them."""
        entry = pair.any_entry
        last = pretty_stamp(entry.ps_utime)
        self.progress.clear()
        erase = VT_ERASE_LINE if self._erases else ""
        color = ansi_code("Fore.LIGHTRED_EX") if self._colored else ""
        reset = ansi_code("Style.RESET_ALL") if self._colored else ""
        path = printable(pair.rel_path)
        write(
            f"{erase}{color}CONFLICT: {path!r} was modified on both targets since last sync ({last}).{reset}"
        )
        if entry.ps_size is None:
            write("    (No meta data available.)")
        else:
            then = pretty_stamp(entry.ps_mtime)
            write(f"    Original modification time: {then}, size: {entry.ps_size:,} bytes.")
        write(f"    Local:  {pair.local.as_string() if pair.local else 'n.a.'}")
        write(f"    Remote: {pair.remote.as_string(pair.local) if pair.remote else 'n.a.'}")

    def prompt(self, choices: tuple[str, ...]) -> str:
        """Returns the question at a conflict, initials bright where colours are on."""
        # An answer that is in the help only: the question is the documented one.
        words = [*(_NAMES[choice] for choice in choices if choice in _NAMES), "Binary compare", "Help"]
        bright, normal = ansi_code("Style.BRIGHT"), ansi_code("Style.NORMAL")
        if self._colored:
            words = [f"{bright}{word[0]}{normal}{word[1:]}" for word in words]
        return f"Use {', '.join(words)} ? "

    def tell_help(self, choices: tuple[str, ...]) -> None:
        """Prints what the answers mean."""
        print("Answers (lower case for this file, upper case for all that follow):")
        for choice in choices:
            print(f"  {choice}: {_HELP[choice]}")
        print("  b: compare the two files byte by byte, then ask again")
        print("  h, ?: show this help\n  Ctrl+C: stop")

    @staticmethod
    def tell_comparison(local: _Resource | None, remote: _Resource | None) -> bool:
        """Compares two files of the current folder, and writes the result; returns whether they are equal."""
        if local is None or remote is None:
            write("    Files cannot be compared (one side does not have it).")
            return False
        if local.size != remote.size:
            write(f"    Files are different (size {local.size:,} != {remote.size:,}).")
            return False
        try:
            with (
                local.target.open_readable(local.name) as one,
                remote.target.open_readable(remote.name) as other,
            ):
                is_equal, offset = byte_compare(one, other)
        except OSError as exc:
            write(f"    Files cannot be compared ({printable(str(exc))}).")
            return False
        what = "equal" if is_equal else f"different at offset {offset:,}"
        write(f"    Files are {what}.")
        return is_equal

    # --- Helpers of this class ---

    def _colors(self, action: str, status: str, symbol: str) -> tuple[str, str]:
        if not self._colored:
            return "", ""
        if action in ("copy", "restore"):
            color = ansi_code("Fore.GREEN") if "<" in symbol else ansi_code("Fore.CYAN")
            if status == "new":
                color += ansi_code("Style.BRIGHT")
        elif action == "delete":
            color = ansi_code("Fore.RED")
        elif status == "conflict":
            color = ansi_code("Fore.LIGHTRED_EX")
        else:
            color = ansi_code("Fore.LIGHTBLACK_EX")
        return color, ansi_code("Style.RESET_ALL")

    def enter(self, folder: str) -> None:
        """Makes a folder the current one of both targets."""
        self._folder = folder
        for is_local, target in ((True, self._synchronizer.local), (False, self._synchronizer.remote)):
            if is_local in self._bridges:
                self._bridges[is_local].go(folder)
            else:
                root = target.root_dir
                target.cur_dir = f"{root.rstrip('/')}/{folder}" if folder else root

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Has targets written in Python stand afterwards where they stand now, whatever the run does in between."""
        places = [
            (bridge, relative(bridge.target.cur_dir, bridge.target.root_dir))
            for bridge in self._bridges.values()
        ]
        try:
            yield
        finally:
            for bridge, folder in places:
                bridge.go(folder)

    def _made(self, is_local: bool, folder: str, fields: Any) -> _Resource:
        """Returns the object that the target listed, or else makes one."""
        if is_local in self._bridges:
            listed = self._bridges[is_local].entry(folder, fields[0])
            if listed is not None:
                listed.mtime = fields[3]
                return listed
        target = self._synchronizer.local if is_local else self._synchronizer.remote
        return make_entry(target, folder, fields, None)

    def _pair(self, fields: dict[str, Any]) -> EntryPair:
        """Builds the documented objects from what the core tells about a pair."""
        self.enter(fields["folder"])
        sides = []
        for side in ("local", "remote"):
            told = fields[side]
            entry = None if told is None else self._made(side == "local", fields["folder"], told)
            if entry is not None and fields["past"] is not None:
                entry.ps_mtime, entry.ps_size, entry.ps_utime = fields["past"]
            sides.append(entry)
        pair = EntryPair(*sides)
        self.describe(pair, fields)
        return pair

    @staticmethod
    def describe(pair: EntryPair, fields: dict[str, Any]) -> None:
        """Gives a pair the classifications and the operation that the core tells, and how exact its times are."""
        pair.local_classification = fields["local_classification"]
        pair.remote_classification = fields["remote_classification"]
        pair.operation = fields["operation"]
        pair.re_class_reason = fields["re_class_reason"]
        for entry, word in (
            (pair.local, pair.local_classification),
            (pair.remote, pair.remote_classification),
        ):
            if entry is not None:
                entry.classification = word
                if fields["grain"]:
                    entry._grain = fields["grain"]


def make_entry(target: _Target, folder: str, fields: Any, past: Any) -> _Resource:
    """Builds the documented object for an entry.

    Args:
        target: Where it is.
        folder: Its folder, relative to the root.
        fields: Name, whether it is a folder, size, time, time as listed, identity.
        past: Time, size and moment of the last synchronisation, or None.
    """
    name, is_dir, size, mtime, mtime_org, unique = fields
    root = target.root_dir.rstrip("/")
    place = f"{root}/{folder}" if folder else target.root_dir
    kind = DirectoryEntry if is_dir else FileEntry
    entry = kind(target, place, name, size, mtime, unique)
    entry.mtime_org = mtime_org
    if past is not None:
        entry.ps_mtime, entry.ps_size, entry.ps_utime = past
    return entry


def takes_escapes() -> bool:
    """Tells whether a terminal is more than a typewriter, as far as the environment says."""
    return os.environ.get("TERM") != "dumb"


def is_terminal() -> bool:
    """Tells whether somebody looks at the standard output."""
    isatty = getattr(sys.stdout, "isatty", None)
    try:
        return bool(isatty is not None and isatty())
    except ValueError:  # Somebody has closed it.
        return False
