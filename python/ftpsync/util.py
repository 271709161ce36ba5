"""Output, settings and small conversions that the rest of the package shares.

Nothing here opens a connection, a keyring or a terminal when it is imported. The optional packages `colorama`
and `keyring` are attributes of this module (`ftpsync.util.keyring`): imported when first looked at, None when
missing, and replaceable by tests.
"""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import functools
import importlib
import logging
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

from ftpsync._credentials import get_credentials_for_url, prompt_for_password, save_password
from ftpsync._streams import show

if TYPE_CHECKING:
    import configparser

__all__ = [
    "DEBUG_FLAGS",
    "DEFAULT_CREDENTIAL_STORE",
    "DRY_RUN_PREFIX",
    "IS_REDIRECTED",
    "PYTHON_VERSION",
    "VT_ERASE_LINE",
    "CliSilentRuntimeError",
    "ansi_code",
    "byte_compare",
    "check_cli_verbose",
    "decode_dict_keys",
    "emulates_31",
    "eps_compare",
    "get_credentials_for_url",
    "get_option",
    "get_pyftpsync_logger",
    "is_native",
    "make_native_dict_keys",
    "namespace_to_dict",
    "pretty_stamp",
    "prompt_for_password",
    "save_password",
    "set_pyftpsync_logger",
    "str_to_bool",
    "to_bytes",
    "to_native",
    "to_unicode",
    "write",
    "write_error",
]

#: Version of the interpreter, for example `3.12.4`.
PYTHON_VERSION: Final = ".".join(str(part) for part in sys.version_info[:3])

#: Name of a password file in the home folder that very old releases wrote. Its presence is refused, never
#: read.
DEFAULT_CREDENTIAL_STORE: Final = "pyftpsync.pw"

#: What stands in front of every line about something that a dry run did not do.
DRY_RUN_PREFIX: Final = "(DRY-RUN) "

#: Terminal sequence that clears the current line.
VT_ERASE_LINE: Final = "\x1b[2K"

#: Extra topics to log, as given with `--debug`. The one known flag is `classify`.
DEBUG_FLAGS: set[str] = set()

#: The variable of the environment that holds the password of the user in the URL.
PASSWORD_VARIABLE: Final = "PYFTPSYNC_PASSWORD"

_COMPARE_BLOCK: Final = 16 * 1024
_TRUE_WORDS: Final = ("1", "true", "on", "yes")
_FALSE_WORDS: Final = ("0", "false", "off", "no")
_OPTIONAL_MODULES: Final = ("colorama", "keyring")

_STANDARD_MODULES: Final = ("getpass", "netrc")


def _streams_differ() -> bool:
    """Tells whether standard input and output are not the same terminal (or file)."""
    try:
        return os.fstat(0) != os.fstat(1)
    except OSError:  # One of them is closed: certainly nobody is sitting there.
        return True


#: True unless standard input and output are the same thing, usually a terminal.
IS_REDIRECTED: Final = _streams_differ()


def __getattr__(name: str) -> Any:
    """Imports an optional package when it is first looked at; it is None when it is not installed."""
    if name in _STANDARD_MODULES:  # For mock.patch() with the paths of release 4.1.
        return importlib.import_module(name)
    if name not in _OPTIONAL_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(name)
    except ImportError:
        module = None
    except Exception as exc:  # Its installation is broken, or what it finds on this computer.
        write_error(f"Could not load the package {name} ({type(exc).__name__}): {exc}")
        module = None
    globals()[name] = module
    return module


def _optional(name: str) -> Any:
    """Looks an optional package up as an attribute, so that a replacement set by a test is honoured."""
    return getattr(sys.modules[__name__], name)


class CliSilentRuntimeError(RuntimeError):
    """An error that the command line reports without a traceback.

    Attributes:
        min_verbosity: The traceback is shown only at a higher verbosity than this.
        exit_code: What the process should return.
    """

    def __init__(self, msg: object, *, min_verbosity: int, exit_code: int = 1) -> None:
        super().__init__(msg)
        self.min_verbosity = min_verbosity
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        # The usual way calls the constructor, without its keywords: a pool would wait for ever for what a worker sends.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


def emulates_31() -> bool:
    """Tells whether the environment asks for the behaviour of release 3.1 where it differs from 4.1."""
    return os.environ.get("PYFTPSYNC_COMPAT", "").strip() == "3.1"


# --- Output ---

_logger: Any = None


def get_pyftpsync_logger() -> Any:
    """Returns the logger that receives all output, or None when it is printed."""
    return _logger


def set_pyftpsync_logger(logger: Any = True) -> Any:
    """Chooses where all output goes.

    Args:
        logger: A logger; None to print to the current `sys.stdout` and `sys.stderr`; or True for a ready-made
            logger named `pyftpsync` (this calls `logging.basicConfig`).

    Returns:
        What was in effect before.
    """
    global _logger
    previous = _logger
    if logger is True:
        logging.basicConfig(level=logging.INFO)
        logger = logging.getLogger("pyftpsync")
        logger.setLevel(logging.DEBUG)
    _logger = logger
    return previous


def ask(prompt: str) -> str:
    """Asks a question on the terminal and returns the answer.

    Raises:
        EOFError: Nobody answers; standard input may be closed.
    """
    # Scripts may put something in the place of input(), which answers without a terminal.
    if sys.stdin is None or (getattr(input, "__self__", None) is builtins and has_empty_input()):
        raise EOFError
    return input(prompt)


def has_empty_input() -> bool:
    """Tells whether standard input is closed or the null device, as for jobs: a question would only stand in a log."""
    try:
        return sys.stdin is None or os.path.samestat(os.fstat(sys.stdin.fileno()), os.stat(os.devnull))
    except (AttributeError, OSError, ValueError):  # Something else was put in its place.
        return False


def write(
    *args: object,
    debug: object = None,
    warning: object = None,
    end: str | None = None,
    file: IO[str] | None = None,
    **kwargs: Any,
) -> None:
    """Writes one line to the logger, or prints it.

    Args:
        *args: What to write, joined by blanks.
        debug: True to log at level DEBUG.
        warning: True to log at level WARNING.
        end: Line end, when printing.
        file: Stream, when printing; the current `sys.stdout` if None.
        **kwargs: Handed to the logger or to `print`.
    """
    if not _logger:
        _print(args, end, sys.stdout if file is None else file, **kwargs)
        return
    text = _in_one(args)
    kwargs.pop("flush", None)
    if debug:
        _logger.debug(text, **kwargs)
    elif warning:
        _logger.warning(text, **kwargs)
    else:
        _logger.info(text, **kwargs)


def write_error(*args: object, end: str | None = None, file: IO[str] | None = None, **kwargs: Any) -> None:
    """Writes one line to the logger at level ERROR, or prints it to the current `sys.stderr`."""
    if not _logger:
        _print(args, end, sys.stderr if file is None else file, **kwargs)
        return
    for key in ("debug", "warning", "flush"):
        kwargs.pop(key, None)
    _logger.error(_in_one(args), **kwargs)


def _in_one(args: tuple[object, ...]) -> str:
    """Returns one string: a format with its values filled in, as loggers do, or else the parts, joined by blanks.

    A logger would take any further parts for values, and dump a "Logging error".
    """
    first, values = (args[0], args[1:]) if args else ("", ())
    if values and isinstance(first, str):
        is_named = len(values) == 1 and isinstance(values[0], Mapping) and "%(" in first
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return first % (values[0] if is_named else values)
    return " ".join(str(arg) for arg in args)


def _print(
    args: tuple[object, ...], end: str | None, file: IO[str], *, sep: str | None = None, **kwargs: Any
) -> None:
    """Prints text and line end in one piece: the threads of a run may print at the same time."""
    text = (" " if sep is None else sep).join(str(arg) for arg in args)
    text += "\n" if end is None else end
    if file is sys.stderr:  # Both may go to the same place, where the order counts.
        show(sys.stdout)
    try:
        print(text, end="", file=file, **kwargs)
    except UnicodeEncodeError as error:
        # A name that a stream has no characters for is no reason to end a run.
        print(
            text.encode(error.encoding, "backslashreplace").decode(error.encoding),
            end="",
            file=file,
            **kwargs,
        )
    show(file)


def ansi_code(name: str) -> str:
    """Returns a terminal sequence by its name in colorama.

    Args:
        name: For example `Fore.RED`.

    Returns:
        The sequence; empty if colorama is missing or has no such name.
    """
    code = _optional("colorama")
    for part in name.split("."):
        code = getattr(code, part, None)
    return code if isinstance(code, str) else ""


def check_cli_verbose(default: int = 3) -> int:
    """Computes the verbosity from the command line before it has been parsed.

    Args:
        default: Where counting starts.

    Returns:
        `default` plus one for each `-v` and minus one for each `-q`, also inside combined short options. It
        may be negative.
    """
    verbose = default
    for arg in sys.argv[1:]:
        if arg == "--verbose":
            verbose += 1
        elif arg == "--quiet":
            verbose -= 1
        elif arg.startswith("-") and not arg.startswith("--"):
            verbose += arg.count("v") - arg.count("q")
    return verbose


# --- Text and numbers ---


def is_native(s: object) -> bool:
    """Tells whether `s` is a str."""
    return isinstance(s, str)


def to_bytes(s: Any, encoding: str = "utf-8") -> bytes:
    """Encodes a str; bytes pass unchanged.

    Raises:
        TypeError: `s` is neither.
    """
    if isinstance(s, bytes):
        return s
    if isinstance(s, str):
        return s.encode(encoding)
    raise TypeError(f"expected str or bytes, not {type(s).__name__}")


def to_native(s: Any, encoding: str = "utf-8") -> str:
    """Decodes bytes; a str passes unchanged and anything else is converted by `str()`."""
    return s.decode(encoding) if isinstance(s, bytes) else str(s)


to_unicode = to_native


def namespace_to_dict(o: object) -> dict[str, Any]:
    """Returns the attributes of `o` that are not callable, as a new dict."""
    return {key: value for key, value in vars(o).items() if not callable(value)}


def make_native_dict_keys(d: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns a copy of `d` whose keys are str, in nested dicts too."""
    return {
        to_native(key): make_native_dict_keys(value) if isinstance(value, Mapping) else value
        for key, value in d.items()
    }


#: The name of the same function in release 3.1.
decode_dict_keys = make_native_dict_keys


def eps_compare(f1: float, f2: float, eps: float) -> int:
    """Compares two numbers: 0 if they differ by at most `eps`, else -1 or 1."""
    difference = f1 - f2
    if abs(difference) <= eps:
        return 0
    return -1 if difference < 0 else 1


def pretty_stamp(stamp: float | None) -> str:
    """Formats seconds since the epoch as local time, or None as `n.a.`."""
    if stamp is None:
        return "n.a."
    return datetime.fromtimestamp(stamp).strftime("%Y-%m-%d %H:%M:%S")


def str_to_bool(val: object) -> bool:
    """Reads a switch as people write it: 1/true/on/yes or 0/false/off/no, in any case.

    Raises:
        ValueError: It is none of these words.
    """
    word = str(val).strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError(f"Invalid value {word!r}: expected one of {', '.join(_TRUE_WORDS + _FALSE_WORDS)}.")


def byte_compare(stream_a: IO[bytes], stream_b: IO[bytes]) -> tuple[bool, int]:
    """Compares two binary streams from where they stand.

    Returns:
        Whether they are equal, and the offset in bytes of the first difference: the end of the shorter one if
        that is the difference, the common length if there is none.
    """
    offset = 0
    while True:
        block_a = _read_block(stream_a)
        block_b = _read_block(stream_b)
        if block_a != block_b:
            differing = (at for at, (a, b) in enumerate(zip(block_a, block_b, strict=False)) if a != b)
            return False, offset + next(differing, min(len(block_a), len(block_b)))
        offset += len(block_a)
        if not block_a:
            return True, offset


def _read_block(stream: IO[bytes]) -> bytes:
    """Reads a full block; a raw stream or a socket may deliver it in pieces."""
    block = bytearray()
    while len(block) < _COMPARE_BLOCK:
        piece = stream.read(_COMPARE_BLOCK - len(block))
        if not piece:
            break
        block += piece
    return bytes(block)


def computer_name() -> str:
    """Returns the name of this computer."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket

    return socket.gethostname()


def login_name() -> str | None:
    """Returns the name under which this process runs; None for nobody, as in some containers."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


# --- Settings ---


@functools.cache
def _rc_file() -> configparser.RawConfigParser | None:
    """Reads `~/.pyftpsyncrc`, once. Few people have one."""
    path = os.path.expanduser("~/.pyftpsyncrc")
    if not os.path.exists(path):
        return None
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as exc:
        write_error(f"Could not read {path}: {exc}")
    return parser


def get_option(env_name: str, section: str, opt_name: str, default: Any = None) -> Any:
    """Returns a setting: from the environment, else from `~/.pyftpsyncrc`, else the default."""
    value = os.environ.get(env_name)
    if value is not None:
        return value
    file = _rc_file()
    return default if file is None else file.get(section, opt_name, fallback=default)


# Plain scripts see log lines on stderr without doing anything for it.
set_pyftpsync_logger(True)
