"""What the values of a task in `pyftpsync.yaml` may be."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ftpsync.cli_common import common_parser, creds_parser, safety_parser, server_parser
from ftpsync.synchronizers import DownloadSynchronizer, UploadSynchronizer
from ftpsync.util import str_to_bool

__all__ = ["MAX_VERBOSITY", "as_meant", "problem_with", "unquoted"]

#: From here on there is nothing more to tell.
MAX_VERBOSITY: Final = 6

_Check = Callable[[Any], str | None]

_STRATEGIES: Final[Mapping[str, tuple[str, ...] | None]] = {
    "upload": UploadSynchronizer._ACCEPTED_STRATEGIES,
    "download": DownloadSynchronizer._ACCEPTED_STRATEGIES,
    "sync": ("old", "new", "local", "remote", "keep-both", "skip", "ask"),
}


def problem_with(key: str, value: Any, command: str) -> str | None:
    """Returns what is wrong with the value of a key, or None.

    Args:
        key: A known key.
        value: As read from the file.
        command: What the task does; it decides which strategies there are.
    """
    if value is None:  # As if the key were absent.
        return None
    strategies = _STRATEGIES.get(command) if key == "resolve" else None
    check = _choice(strategies) if strategies is not None else _CHECKS.get(key)
    return None if check is None else check(value)


def as_meant(key: str, value: Any) -> Any:
    """Returns the value of a key as its option would have it: a quoted 4 is a number, and 1252 an encoding.

    Args:
        key: A key, the value of which is in order.
        value: As read from the file.
    """
    if isinstance(value, str) and key in _CONVERTERS:
        return _CONVERTERS[key](value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number and key in _TEXTS else value


def unquoted(key: str, value: Any) -> Any:
    """Returns the value of a key as it was read from the file, but a quoted `yes` as a flag, as people mean it."""
    if isinstance(value, str) and _CHECKS.get(key) is _flag:
        with contextlib.suppress(ValueError):
            return str_to_bool(value)
    return value


def _flag(value: Any) -> str | None:
    is_flag = isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    return None if is_flag else "expected true or false"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "expected a text"


def _patterns(value: Any) -> str | None:
    is_list = isinstance(value, list) and all(isinstance(pattern, str) for pattern in value)
    return None if is_list or isinstance(value, str) else "expected a text, or a list of texts"


def _verbosity(value: Any) -> str | None:
    is_level = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if is_level else f"expected a number from 0 to {MAX_VERBOSITY}"


def _choice(choices: tuple[str, ...]) -> _Check:
    # A version such as 1.2 looks like a number in the file.
    return lambda value: None if str(value) in choices else f"choose from {', '.join(choices)}"


def _as_option(convert: Callable[[str], object]) -> _Check:
    """Makes a check of the converter that the command line uses for the same option."""

    def check(value: Any) -> str | None:
        try:
            convert("" if isinstance(value, bool) else str(value))
        except argparse.ArgumentTypeError as exc:
            return str(exc)
        return None

    return check


def _options() -> Iterator[argparse.Action]:
    for parser in (common_parser, server_parser, creds_parser, safety_parser):
        yield from parser._actions


def _as_on_the_command_line() -> Iterator[tuple[str, _Check]]:
    """Yields the keys that are options of the command line as well, each with what its option takes."""
    for action in _options():
        if action.nargs == 0:
            yield action.dest, _flag
        elif action.choices is not None:
            yield action.dest, _choice(tuple(action.choices))
        elif action.type is not None:
            yield action.dest, _as_option(action.type)  # type: ignore[arg-type]
        else:
            yield action.dest, _text


#: What turns a text into the value of an option.
_CONVERTERS: Final[Mapping[str, Callable[[str], Any]]] = {
    action.dest: action.type for action in _options() if callable(action.type)
}

#: Options that are texts, also where they look like a number in the file, as a version or a code page does.
_TEXTS: Final = {
    action.dest
    for action in _options()
    if action.nargs != 0 and (action.choices or action.dest == "encoding")
}

_FLAGS: Final = "create_folder delete delete_unmatched files force here report_problems root sort"

_CHECKS: Final[Mapping[str, _Check]] = {
    **dict(_as_on_the_command_line()),
    **dict.fromkeys(_FLAGS.split(), _flag),
    "case": _choice(("strict", "local", "remote")),
    "command": _text,
    "exclude": _patterns,
    "local": _text,
    "match": _patterns,
    "remote": _text,
    "verbose": _verbosity,
}
