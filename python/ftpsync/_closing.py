"""What a run says in the end: every problem, every conflict and what is in the trash, once more in one place."""

from __future__ import annotations

from typing import Final

from ftpsync.util import DRY_RUN_PREFIX, write, write_error

__all__ = ["Closing"]

#: So many of each kind are listed; the others were told when they came up.
_LISTED: Final = 40


#: How to settle conflicts, by what the mode accepts.
_ADVICE: Final = {
    "sync": "decide with --resolve local, remote, old or new, or keep both files with --resolve keep-both",
    "upload": "--resolve local replaces the remote files",
    "download": "--resolve remote replaces the local files",
}


class _Items:
    """The first ones of a kind, and how many there were."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        """Takes one more."""
        self.count += 1
        if self.count <= _LISTED:
            self.first.append(text)

    def lines(self, title: str) -> list[str]:
        """Returns the title and one line for each; nothing if there are none."""
        if not self.count:
            return []
        more = [f"  and {self.count - _LISTED} more, see above"] if self.count > _LISTED else []
        return [title, *(f"  {text}" for text in sorted(self.first)), *more]


class Closing:
    """Collects what is listed at the end of a run."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.problems = _Items()
        self.conflicts = _Items()
        self.kept = _Items()

    def tell(self, verbose: int, dry_run: bool = False) -> None:
        """Writes the lists; nothing where there is nothing to say. Problems are told at every verbosity."""
        if verbose >= 3:
            conflicts = self.conflicts.lines(
                f"{_counted(self.conflicts, 'conflict')} left alone; {_ADVICE[self._mode]}:"
            )
            older = _counted(self.kept, "older file")
            kept = self.kept.lines(
                f"{DRY_RUN_PREFIX}{older} would give way when the two sides first meet; the content would be kept in "
                "the local folder, as"
                if dry_run
                else f"{older} gave way when the two sides first met; the content is kept in the local folder, as"
            )
            for line in (*conflicts, *kept):
                write(line)
        for line in self.problems.lines(f"{_counted(self.problems, 'problem')} in this run:"):
            write_error(line)


def _counted(items: _Items, word: str) -> str:
    return f"{items.count} {word}{'' if items.count == 1 else 's'}"
