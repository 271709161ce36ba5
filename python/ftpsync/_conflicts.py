"""How a conflict is settled: by the strategy, or by asking until the answer can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftpsync._lines import write_error
from ftpsync._report import Reporter
from ftpsync.util import ask

if TYPE_CHECKING:
    from ftpsync.resources import EntryPair
    from ftpsync.synchronizers import BaseSynchronizer

__all__ = ["settle"]

#: Strategies that need no answer.
_SETTLED = ("local", "remote", "old", "new", "skip", "keep-both")


def settle(synchronizer: BaseSynchronizer, pair: EntryPair) -> str:
    """Returns what is to be done about a conflict; a capital answer is kept in `resolve_all`."""
    reporter = synchronizer._reporter or Reporter(synchronizer)
    strategy = synchronizer.resolve_all or str(synchronizer.options.get("resolve") or "skip")
    is_about_all = strategy not in ("old", "new")
    if _is_undecided(strategy, pair):
        reporter.tell_same_time(pair, strategy)
        strategy = "ask" if synchronizer.is_script else "skip"
    if strategy in _SETTLED:
        return strategy
    synchronizer._print_pair_diff(pair)
    choices = _choices(synchronizer)
    while True:
        try:
            answer = ask(reporter.prompt(choices)).strip()
        except EOFError:
            return _left_alone(synchronizer, is_about_all)
        if answer in ("h", "H", "?"):
            reporter.tell_help(choices)
        elif answer in ("b", "B"):
            synchronizer._compare_file(pair.local, pair.remote)  # type: ignore[arg-type]
        elif answer.lower() in choices:
            strategy = synchronizer._resolve_shortcuts[answer.lower()]
            if _is_undecided(strategy, pair):
                print("Files have identical modification times.")
                continue
            if answer.isupper():
                synchronizer.resolve_all = strategy
            return strategy


def _left_alone(synchronizer: BaseSynchronizer, is_about_all: bool) -> str:
    """Takes that nobody is there to answer: what was asked for cannot be done, so the run does not end as a success."""
    synchronizer._inc_stat("errors")
    if is_about_all:
        write_error("There is nobody to ask about conflicts: they are left alone. See --resolve.")
        synchronizer.resolve_all = "skip"
    else:
        write_error("There is nobody to ask about this conflict: it is left alone.")
    return "skip"


def _is_undecided(strategy: str, pair: EntryPair) -> bool:
    """Tells whether a strategy goes by time, where the times are the same."""
    return strategy in ("old", "new") and bool(pair.local and pair.remote) and pair.is_same_time()


def _choices(synchronizer: BaseSynchronizer) -> tuple[str, ...]:
    """Returns the letters that can be answered."""
    accepted = synchronizer._ACCEPTED_STRATEGIES or _SETTLED
    return tuple(key for key, word in synchronizer._resolve_shortcuts.items() if word in accepted)
