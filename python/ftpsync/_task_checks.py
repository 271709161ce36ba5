"""What the values of a task in `pyftpsync.yaml` may be."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

from ftpsync.cli_common import _limit, _positive, _seconds
from ftpsync.synchronizers import DownloadSynchronizer, UploadSynchronizer

__all__ = ["problem_with"]

_FLAGS: Final = """allow_mass_delete break_lock create_folder delete delete_unmatched dry_run
    exit_zero_on_copy_errors files force ftp_active here inplace migrate no_color no_deep_conflicts no_keyring
    no_netrc no_prompt no_verify_host_keys no_verify_tls progress prompt report_problems root sort
    store_password"""
_TEXTS: Final = "command local remote tls_ca tls_pin"

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "case": ("strict", "local", "remote"),
    "links": ("follow", "skip"),
}
_STRATEGIES: Final[Mapping[str, tuple[str, ...] | None]] = {
    "upload": UploadSynchronizer._ACCEPTED_STRATEGIES,
    "download": DownloadSynchronizer._ACCEPTED_STRATEGIES,
    "sync": ("old", "new", "local", "remote", "skip", "ask"),
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
    choices = _STRATEGIES.get(command) if key == "resolve" else _CHOICES.get(key)
    if choices is not None:
        return None if value in choices else f"choose from {', '.join(choices)}"
    check = _CHECKS.get(key)
    return None if check is None else check(value)


def _flag(value: Any) -> str | None:
    is_flag = isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    return None if is_flag else "expected true or false"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "expected a text"


def _patterns(value: Any) -> str | None:
    is_list = isinstance(value, list) and all(isinstance(pattern, str) for pattern in value)
    return None if is_list or isinstance(value, str) else "expected a text, or a list of texts"


def _verbosity(value: Any) -> str | None:
    is_level = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 6
    return None if is_level else "expected a number from 0 to 6"


def _as_option(convert: Callable[[str], object]) -> Callable[[Any], str | None]:
    """Makes a check of the converter that the command line uses for the same option."""

    def check(value: Any) -> str | None:
        try:
            convert("" if isinstance(value, bool) else str(value))
        except argparse.ArgumentTypeError as exc:
            return str(exc)
        return None

    return check


_CHECKS: Final[Mapping[str, Callable[[Any], str | None]]] = {
    **dict.fromkeys(_FLAGS.split(), _flag),
    **dict.fromkeys(_TEXTS.split(), _text),
    "exclude": _patterns,
    "match": _patterns,
    "verbose": _verbosity,
    "connections": _as_option(_positive),
    "lock_age": _as_option(_seconds),
    "max_delete": _as_option(_limit),
}
