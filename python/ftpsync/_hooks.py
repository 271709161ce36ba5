"""Between the core and overridden hooks: builds the documented objects, calls the hook, reads back what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ftpsync._bridge import relative
from ftpsync._errors import harmless
from ftpsync._report import Reporter, make_entry
from ftpsync._settings import core_verbosity
from ftpsync.metadata import DirMetadata
from ftpsync.resources import EntryPair, _Resource
from ftpsync.targets import FsTarget, _Target
from ftpsync.util import DEBUG_FLAGS, write

if TYPE_CHECKING:
    from ftpsync._bridge import TargetBridge
    from ftpsync._core import Conductor
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["HookRelay"]


#: From which verbosity most lines are shown.
_USUAL_LEVEL: Final = 3


#: Times of the local and the remote entry of a pair.
_Times = tuple[float | None, float | None]


class _Call(NamedTuple):
    """A hook that is being called: what it is about (None: a folder as a whole), where, and whom it may ask."""

    subject: EntryPair | _Resource | None
    folder: str
    conductor: Conductor
    #: Of the local and the remote entry, as they were before it.
    times: _Times = (None, None)


class _Objects:
    """The documented objects of one folder."""

    def __init__(self) -> None:
        self.entries: dict[tuple[bool, str], _Resource] = {}
        self.pairs: dict[str, EntryPair] = {}
        #: Of the targets that the core takes as a whole: the others have their own.
        self.memories: dict[bool, DirMetadata] = {}


class HookRelay(Reporter):
    """A reporter that also calls hooks.

    The same entry is the same object in every hook of its folder, and both targets are in that folder meanwhile.

    Attributes:
        default_operation: Operation and reason that the mode gives the pair `re_classify_pair()` is called for.
    """

    def __init__(
        self, synchronizer: BaseSynchronizer, hooks: list[str], bridges: dict[bool, TargetBridge]
    ) -> None:
        super().__init__(synchronizer, bridges)
        self._hooks = frozenset(hooks)
        self._here = _Objects()
        self._objects: dict[str, _Objects] = {}
        self._calls: list[_Call] = []
        #: Whether it is user code that is running, and not what it has asked for.
        self._is_listening = False
        self._refused: BaseException | None = None
        #: On its way to the method that has called the one that raised it.
        self._passing: BaseException | None = None
        self.default_operation: tuple[str, str] | None = None
        self._is_dry_run = bool(synchronizer.dry_run)
        self._rules = self._rules_now()

    # --- Called by the core ---

    def changes(self) -> dict[str, Any] | None:
        """Returns the rules as user code has left them; None if they are what they were when last asked.

        Raises:
            RuntimeError: What was changed must stay as it is.
        """
        synchronizer = self._synchronizer
        if bool(synchronizer.dry_run) != self._is_dry_run:
            raise RuntimeError(
                "dry_run was changed while the run goes on, which is too late: set it before run()"
            )
        if self._rules_now() == self._rules:
            return None
        from ftpsync.synchronizers import process_options

        process_options(synchronizer.options)
        self._rules = self._rules_now()
        return self._rules

    def before_sync(self, is_local: bool, folder: str, fields: Any) -> tuple[bool, float | None]:
        """Asks whether an entry is to be looked at; returns that, and its time if it was given another."""
        self.enter(folder)
        entry = self._entry(is_local, folder, fields, None)
        mtime = entry.mtime
        goes_on = bool(self._synchronizer._before_sync(entry))
        return goes_on, None if entry.mtime == mtime else entry.mtime

    def re_classify(
        self, fields: dict[str, Any], default: tuple[str, str] | None
    ) -> tuple[bool, str, _Times]:
        """Asks for another operation; returns whether to deal with the pair, the operation, and changed times."""
        pair = self._pair(fields)
        if "classify" in DEBUG_FLAGS:
            _tell_classification(pair, fields["past"])
        times = _times_of(pair)
        self.default_operation = default
        try:
            goes_on = self._synchronizer.re_classify_pair(pair) is not False
        finally:
            self.default_operation = None
        return goes_on, str(pair.operation), _changed(times, pair)

    def matches(self, fields: dict[str, Any], _: object) -> bool:
        """Asks whether a pair takes part."""
        return bool(self._synchronizer._match(self._pair(fields).any_entry))

    def operate(self, fields: dict[str, Any], name: str, conductor: Conductor) -> bool:
        """Lets a handler deal with a pair; its exceptions go to `on_error()` first.

        Returns:
            Whether the handler says that the entry was deleted, so that there is nothing to descend into.
        """
        pair = self._pair(fields)
        with self._calling(_Call(pair, fields["folder"], conductor, _times_of(pair))):
            try:
                getattr(self._synchronizer, name)(pair)
            except Exception as exc:
                # The handler of a closer look is called by that of the pair: one of the two asks.
                if exc is self._refused or self._synchronizer.on_error(exc, pair) is not True:
                    self._refused = exc
                    raise
        return any(entry is not None and entry.was_deleted for entry in (pair.local, pair.remote))

    def leaf(self, name: str, told: tuple[bool, str, Any], conductor: Conductor) -> None:
        """Lets a method copy or delete one file or folder. Its exceptions go to `forgives()` first."""
        is_local, folder, fields = told
        self.enter(folder)
        entry = self._entry(is_local, folder, fields, None)
        synchronizer = self._synchronizer
        sides = (synchronizer.local, synchronizer.remote)
        try:
            with self._calling(_Call(entry, folder, conductor)):
                if name in ("_copy_file", "_copy_recursive"):
                    getattr(synchronizer, name)(*(sides if is_local else reversed(sides)), entry)
                else:
                    getattr(synchronizer, name)(entry)
        except BaseException as exc:
            is_inner = any(call.subject is not None for call in self._calls)
            self._passing = exc if is_inner else None
            raise

    def sync_dir(self, folder: str, conductor: Conductor) -> None:
        """Lets a method synchronise one folder, with everything in it."""
        self.enter(folder)
        with self._calling(_Call(None, folder, conductor)):
            self._synchronizer._sync_dir()

    def forgives(self, path: str, fields: dict[str, Any] | None, exc: BaseException) -> bool:
        """Asks whether a run that met this error is a success nevertheless; if not, it ends with the error."""
        if exc is self._passing or not isinstance(exc, Exception):
            return False
        folder, _, name = path.rpartition("/")
        if fields is not None:
            pair = self._pair(fields)
        else:
            entry = make_entry(self._synchronizer.local, folder, (name, False, None, None, None, None), None)
            pair = EntryPair(entry, None)
        return self._synchronizer.on_error(exc, pair) is True

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
        if "_log_action" not in self._hooks:
            super().action(action, status, symbol, path, is_dir, level, told)
            return
        folder, _, name = path.rpartition("/")
        # Where a file meets a folder, the line is about one of the two.
        local, remote = (fields if fields and fields[1] == is_dir else None for fields in told)
        is_local = remote is None or (local is not None and not _is_about_remote(action, status, symbol))
        fields = (local if is_local else remote) or (name, is_dir, None, None, None, None)
        self.enter(folder)
        if (local or remote) and fields[0] == name:
            entry = self._entry(is_local, folder, fields, None)
        else:  # It is shown under the name that it has on the other side.
            target = self._synchronizer.local if is_local else self._synchronizer.remote
            entry = make_entry(target, folder, (name, *fields[1:]), None)
        # As in pyftpsync 4.1: overrides may take the level as a keyword only, or know nothing but the usual one.
        more = {} if level == _USUAL_LEVEL else {"min_level": level}
        self._synchronizer._log_action(action, status, symbol, entry, **more)

    def finished(self, action: str, path: str, is_local: bool, size: int, error: str | None) -> None:
        """Takes what was done to one entry, or why it could not be. What was copied, handlers may ask about."""
        super().finished(action, path, is_local, size, error)
        if action in ("copy", "mkdir") and error is None and not self._is_dry_run:
            self._remember(path, is_local)

    def _remember(self, path: str, is_local: bool) -> None:
        """Notes that both sides agree on what was copied to one of them, in the folders that hooks are in."""
        folder, _, name = path.rpartition("/")
        objects = self._objects.get(folder)
        source = None if objects is None else objects.entries.get((not is_local, name))
        if objects is None or source is None:
            return
        memory = (
            objects.memories.get(True) if True not in self._bridges else self._bridges[True].memory(folder)
        )
        if memory is not None:
            is_dir = source.is_dir()
            memory._note_agreed(name, None if is_dir else source.mtime, None if is_dir else source.size)

    def count(self, name: str, more: float) -> None:
        """Takes what the core has counted."""
        self._synchronizer._inc_stat(name, more)

    def tick(self, touched: int, seen: int, folders: int) -> None:
        """Takes how far the run is."""
        self.progress.count(touched, seen, folders)
        if "_tick" in self._hooks or self.shows_progress:
            self._synchronizer._tick()

    # --- Called by the defaults of the hooks ---

    def operate_on(self, pair: EntryPair, operation: str) -> None:
        """Has an operation carried out on the pair whose handler is being called; returns when it is done.

        Raises:
            RuntimeError: It is another pair.
        """
        with self._asking(pair) as conductor:
            conductor.operate(operation)

    def leave_out(self, pair: EntryPair) -> None:
        """Has done what is done about names that do not take part.

        Raises:
            RuntimeError: It is another pair than the one whose handler is being called.
        """
        with self._asking(pair) as conductor:
            conductor.mismatch(str(pair.operation))

    def copy(self, dest: _Target, entry: _Resource) -> bool:
        """Has an entry copied, if the core has it in hand; returns whether it has."""
        with self._asking_about(entry) as (conductor, is_pair):
            if conductor is None:
                return False
            if is_pair:
                conductor.copy(dest is self._synchronizer.local)
            else:
                conductor.go()
        return True

    def remove(self, entry: _Resource) -> bool:
        """Has an entry deleted at the end of the run, if the core has it in hand; returns whether it has."""
        with self._asking_about(entry) as (conductor, is_pair):
            if conductor is None:
                return False
            if is_pair:
                conductor.remove(entry.target is self._synchronizer.local)
            else:
                conductor.go()
        entry.was_deleted = True
        return True

    def sync_folder(self) -> bool:
        """Has the folder synchronised that the targets are in, if it is its turn; returns whether it is."""
        if not self._calls or self._calls[-1].subject is not None:
            return False
        with self._asking(None) as conductor:
            conductor.go()
        return True

    # --- Called by the metadata of a folder that user code has changed ---

    def remembered(self, meta: DirMetadata, name: str, mtime: float | None, size: int | None) -> None:
        """Takes that both sides agree on a name."""
        if self._is_listening:
            self._calls[-1].conductor.remember(_folder_of(meta), name, mtime, size)

    def dated(self, meta: DirMetadata, name: str, mtime: float, size: int | None, written: float) -> None:
        """Takes the time of a file that its target could not set."""
        if self._is_listening:
            self._calls[-1].conductor.date(self._is_local(meta), _folder_of(meta), name, mtime, size, written)

    def forgotten(self, meta: DirMetadata, name: str) -> None:
        """Takes that nothing is remembered of a name any more."""
        if self._is_listening:
            self._calls[-1].conductor.forget(self._is_local(meta), _folder_of(meta), name)

    def _is_local(self, meta: DirMetadata) -> bool:
        return meta.target is self._synchronizer.local

    # --- Calls under way ---

    @contextmanager
    def _calling(self, call: _Call) -> Iterator[None]:
        self._calls.append(call)
        outer, self._is_listening = self._is_listening, True
        try:
            yield
        finally:
            self._is_listening = outer
            self._calls.pop()

    @contextmanager
    def _asking(self, subject: EntryPair | _Resource | None) -> Iterator[Conductor]:
        """Lends the conductor of a call. What it does may lead elsewhere: the targets are taken back to the folder."""
        call = self._calls[-1] if self._calls else None
        if call is None or call.subject is not subject:
            raise RuntimeError(
                f"a handler can only deal with the pair that it was called for, not with {subject}"
            )
        self._is_listening = False
        try:
            self._pass_times_on(call)
            yield call.conductor
        finally:
            self._is_listening = True
            self.enter(call.folder)

    @staticmethod
    def _pass_times_on(call: _Call) -> None:
        """Has the pair dealt with by the times that user code has given its entries."""
        if isinstance(call.subject, EntryPair):
            for is_local, mtime in zip((True, False), _changed(call.times, call.subject), strict=True):
                if mtime is not None:
                    call.conductor.put_right(is_local, mtime)

    @contextmanager
    def _asking_about(self, entry: _Resource) -> Iterator[tuple[Conductor | None, bool]]:
        """Lends the conductor of a call about an entry, or about the pair that it belongs to; None if there is none."""
        subject = self._calls[-1].subject if self._calls else None
        is_pair = isinstance(subject, EntryPair) and (entry is subject.local or entry is subject.remote)
        if not is_pair and (subject is None or subject is not entry):
            yield None, False
            return
        with self._asking(subject) as conductor:
            yield conductor, is_pair

    def _rules_now(self) -> dict[str, Any]:
        synchronizer = self._synchronizer
        options = synchronizer.options
        names, patterns = ("force", "delete", "delete_unmatched"), ("match", "exclude")
        return {
            **{name: bool(options.get(name)) for name in names},
            "resolve": str(synchronizer.resolve_all or options.get("resolve") or "skip"),
            **{
                name: given[:] if isinstance(given := options.get(name), list) else given for name in patterns
            },
            "verbose": core_verbosity(synchronizer, self._hooks),
        }

    # --- Objects ---

    def enter(self, folder: str) -> None:
        """Makes a folder the current one of both targets."""
        is_there = folder == self._folder
        super().enter(folder)
        if is_there:
            return
        # Only the folders above are come back to.
        above = {
            path: known
            for path, known in self._objects.items()
            if f"{folder}/".startswith(f"{path}/") or not path
        }
        self._objects = above
        self._here = self._objects.setdefault(folder, _Objects())
        for is_local, target in ((True, self._synchronizer.local), (False, self._synchronizer.remote)):
            if is_local not in self._bridges:
                memory = self._here.memories.get(is_local)
                if memory is None:
                    memory = self._here.memories[is_local] = _memory_of(target, is_local)
                target.cur_dir_meta = memory

    def _pair(self, fields: dict[str, Any]) -> EntryPair:
        self.enter(fields["folder"])
        pair = self._here.pairs.get(fields["name"])
        if pair is None:
            pair = EntryPair(self._told(True, fields, "local"), self._told(False, fields, "remote"))
            self._here.pairs[fields["name"]] = pair
            self._recall(fields["name"], fields["past"])
        reason = pair.re_class_reason
        self.describe(pair, fields)
        if reason is not None and pair.re_class_reason is None:
            pair.re_class_reason = reason  # A word of user code, which the core does not know.
        return pair

    def _recall(self, name: str, past: tuple[Any, Any, Any] | None) -> None:
        """Notes what is remembered of a name, where the local side is no disk: its metadata was not read here."""
        memory = self._here.memories.get(True)
        if past is not None and memory is not None and not isinstance(memory.target, FsTarget):
            memory._note_agreed(name, *past)

    def _told(self, is_local: bool, fields: dict[str, Any], side: str) -> _Resource | None:
        if fields[side] is None:
            return None
        return self._entry(is_local, fields["folder"], fields[side], fields["past"])

    def _entry(self, is_local: bool, folder: str, fields: Any, past: Any) -> _Resource:
        known = self._here.entries.get((is_local, fields[0]))
        if known is None:
            known = self._made(is_local, folder, fields)
            self._here.entries[is_local, fields[0]] = known
        if past is not None:
            known.ps_mtime, known.ps_size, known.ps_utime = past
        return known


def _times_of(pair: EntryPair) -> _Times:
    local, remote = (None if entry is None else entry.mtime for entry in (pair.local, pair.remote))
    return local, remote


def _changed(before: _Times, pair: EntryPair) -> _Times:
    """Returns the times that the entries of a pair have got since then; None for those that are as they were."""
    local, remote = (now if now != then else None for then, now in zip(before, _times_of(pair), strict=True))
    return local, remote


def _is_about_remote(action: str, status: str, symbol: str) -> bool:
    """Tells whether a line is about the remote entry of a pair: what is copied from there, or deleted there."""
    if (action, status) == ("delete", "unmatched"):
        return symbol == ">"
    return symbol.strip() in ("<", ">X")


def _tell_classification(pair: EntryPair, past: tuple[Any, Any, Any] | None) -> None:
    """Writes how both sides were judged, and by what the last run remembers."""
    record = None if past is None else dict(zip("msu", past, strict=True))
    for told in (pair.local, pair.remote, pair):
        if told is not None:
            kind = "pair " if told is pair else ""
            write(harmless(f"Classified {kind}{told}, meta={record}"), debug=True)


def _folder_of(meta: DirMetadata) -> str:
    """The folder of a metadata file, relative to the root of its target."""
    return relative(meta.path, meta.target.root_dir)


def _memory_of(target: _Target, is_local: bool) -> DirMetadata:
    """What the last run remembers of the current folder, for hooks that ask their entries."""
    meta = DirMetadata(target)
    if is_local and isinstance(target, FsTarget):
        meta._peek()
    return meta
