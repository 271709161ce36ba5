"""Between the core and overridden hooks: builds the documented objects, calls the hook, reads back what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftpsync._report import Reporter, make_entry
from ftpsync.resources import EntryPair, _Resource

if TYPE_CHECKING:
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["HookRelay"]


class HookRelay(Reporter):
    """A reporter that also calls hooks.

    The same entry is the same object in every hook of its folder, and both targets are in that folder meanwhile.

    Attributes:
        default_operation: Operation and reason that the mode gives the pair `re_classify_pair()` is called for.
    """

    def __init__(self, synchronizer: BaseSynchronizer, hooks: list[str]) -> None:
        super().__init__(synchronizer)
        self._hooks = frozenset(hooks)
        self._folder: str | None = None
        self._entries: dict[tuple[bool, str], _Resource] = {}
        self._pairs: dict[str, EntryPair] = {}
        self._calls: list[tuple[EntryPair, Any]] = []
        self.default_operation: tuple[str, str] | None = None

    # --- Called by the core ---

    def before_sync(self, is_local: bool, folder: str, fields: Any) -> bool:
        """Asks whether an entry is to be looked at."""
        self._enter(folder)
        side = self._synchronizer.local if is_local else self._synchronizer.remote
        entry = self._entries.get((is_local, fields[0]))
        if entry is None:
            entry = make_entry(side, folder, fields, None)
            self._entries[is_local, fields[0]] = entry
        return self._synchronizer._before_sync(entry) is not False

    def re_classify(self, fields: dict[str, Any], default: tuple[str, str] | None) -> tuple[bool, str]:
        """Asks for another operation; returns whether the pair is to be dealt with, and the operation."""
        pair = self._pair(fields)
        self.default_operation = default
        try:
            goes_on = self._synchronizer.re_classify_pair(pair) is not False
        finally:
            self.default_operation = None
        return goes_on, str(pair.operation)

    def matches(self, fields: dict[str, Any], _: object) -> bool:
        """Asks whether a pair takes part."""
        return bool(self._synchronizer._match(self._pair(fields).any_entry))

    def operate(self, fields: dict[str, Any], name: str, conductor: Any) -> None:
        """Lets a handler deal with a pair; its exceptions go to `on_error()` first."""
        pair = self._pair(fields)
        self._calls.append((pair, conductor))
        try:
            getattr(self._synchronizer, name)(pair)
        except Exception as exc:
            if self._synchronizer.on_error(exc, pair) is not True:
                raise
        finally:
            self._calls.pop()

    def forgives(self, path: str, exc: Exception) -> bool:
        """Asks whether a run that met this error is a success nevertheless; if not, the error ends it."""
        folder, _, name = path.rpartition("/")
        pair = self._pairs.get(name) if folder == self._folder else None
        if pair is None:
            entry = make_entry(self._synchronizer.local, folder, (name, False, None, None, None, None), None)
            pair = EntryPair(entry, None)
        if self._synchronizer.on_error(exc, pair) is True:
            return True
        raise exc

    def action(self, action: str, status: str, symbol: str, path: str, is_dir: bool, level: int) -> None:
        """Takes what is done about one entry."""
        if "_log_action" not in self._hooks:
            super().action(action, status, symbol, path, is_dir, level)
            return
        folder, _, name = path.rpartition("/")
        known = (
            (self._entries.get((True, name)) or self._entries.get((False, name)))
            if folder == self._folder
            else None
        )
        local = self._synchronizer.local
        entry = known or make_entry(local, folder, (name, is_dir, None, None, None, None), None)
        self._synchronizer._log_action(action, status, symbol, entry, level)

    def tick(self, touched: int, seen: int, folders: int) -> None:
        """Takes how far the run is."""
        self._progress = (touched, seen, folders)
        if "_tick" in self._hooks or self.shows_progress:
            self._synchronizer._tick()

    # --- Called by the defaults of the hooks ---

    def act(self, pair: EntryPair, operation: str, *, is_mismatch: bool = False) -> None:
        """Has an operation carried out on the pair whose handler is being called; returns when it is done.

        Raises:
            RuntimeError: It is another pair.
        """
        if not self._calls or self._calls[-1][0] is not pair:
            raise RuntimeError(
                f"a handler can only deal with the pair that it was called for, not with {pair}"
            )
        self._calls[-1][1].act(operation, is_mismatch)

    # --- Objects ---

    def _enter(self, folder: str) -> None:
        if folder == self._folder:
            return
        self._folder = folder
        self._entries.clear()
        self._pairs.clear()
        for target in (self._synchronizer.local, self._synchronizer.remote):
            root = target.root_dir
            target.cur_dir = f"{root.rstrip('/')}/{folder}" if folder else root

    def _pair(self, fields: dict[str, Any]) -> EntryPair:
        self._enter(fields["folder"])
        pair = self._pairs.get(fields["name"])
        if pair is None:
            pair = EntryPair(self._known(True, fields, "local"), self._known(False, fields, "remote"))
            self._pairs[fields["name"]] = pair
        self.describe(pair, fields)
        return pair

    def _known(self, is_local: bool, fields: dict[str, Any], side: str) -> _Resource | None:
        told = fields[side]
        if told is None:
            return None
        known = self._entries.get((is_local, told[0]))
        if known is None:
            target = self._synchronizer.local if is_local else self._synchronizer.remote
            known = make_entry(target, fields["folder"], told, fields["past"])
            self._entries[is_local, told[0]] = known
        elif fields["past"] is not None:
            known.ps_mtime, known.ps_size, known.ps_utime = fields["past"]
        return known
