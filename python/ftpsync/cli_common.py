"""Command line options that several sub-commands share, as argparse parents.

Scripts with a command line of their own use them too:
`ArgumentParser(parents=[verbose_parser, creds_parser])`.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import os
import re
import sys
from typing import Any, Final

from ftpsync._settings import MAX_CONNECTIONS, MAX_DEPTH
from ftpsync.synchronizers import DEFAULT_OMIT

__all__ = [
    "common_parser",
    "creds_parser",
    "matcher_parser",
    "safety_parser",
    "server_parser",
    "verbose_parser",
]


class Parser(argparse.ArgumentParser):
    """A parser that is made quickly.

    `argparse` asks `shutil` for the width of the terminal, for each option again. Importing that takes longer than all
    parsers together.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(**kwargs)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str, **kwargs: Any) -> None:
        kwargs.setdefault("width", terminal_width() - 2)
        super().__init__(prog, **kwargs)


def terminal_width() -> int:
    """The columns of the terminal, in the way of `shutil.get_terminal_size()`."""
    columns = 0
    with contextlib.suppress(ValueError):
        columns = int(os.environ.get("COLUMNS", ""))
    if columns <= 0:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    return columns if columns > 0 else 80


def sentence(text: str) -> str:
    """Returns what a command does as a sentence for its help."""
    return f"{text[0].upper()}{text[1:]}."


def _positive(text: str) -> int:
    """Converts an option value to a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return number


def _connections(text: str) -> int:
    """Converts an option value to a number of connections."""
    number = _positive(text)
    if number > MAX_CONNECTIONS:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MAX_CONNECTIONS}, not {text!r}")
    return number


def _depth(text: str) -> int:
    """Converts an option value to a number of folders within folders."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_DEPTH:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MAX_DEPTH}, not {text!r}")
    return number


def _seconds(text: str) -> float:
    """Converts an option value to a number of seconds, at least 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 366 * 24 * 3600:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, at least 1, not {text!r}")
    return number


def _encoding(text: str) -> str:
    """Checks the name of an encoding."""
    try:
        codecs.lookup(text)
    except LookupError:
        raise argparse.ArgumentTypeError(f"unknown encoding {text!r}") from None
    return text


def _limit(text: str) -> int | str:
    """Converts `N` to a number of files, and keeps `N%` as it is."""
    match = re.fullmatch(r"(\d+)\s*(%?)", text.strip())
    if match is None or (match[2] and int(match[1]) > 100):
        raise argparse.ArgumentTypeError(f"expected a number of files, or a share such as 20%, not {text!r}")
    return f"{int(match[1])}%" if match[2] else int(match[1])


def _add_verbosity(parser: argparse.ArgumentParser, prefix: str, base: int) -> None:
    """Adds the options that may stand before and after the sub-command.

    Args:
        parser: Gets the options.
        prefix: Stands in front of the attribute names, so that those given after the sub-command do not
            overwrite those given before it.
        base: Where counting `-v` starts.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-v",
        "--verbose",
        dest=f"{prefix}verbose",
        action="count",
        default=base,
        help="show more: -v adds unchanged files and the login, -vv all counters and tracebacks, -vvv the "
        "conversation with the server",
    )
    group.add_argument(
        "-q",
        "--quiet",
        dest=f"{prefix}quiet",
        action="count",
        default=0,
        help="show less: -q leaves the summary line, -qqq nothing but errors",
    )
    parser.add_argument(
        "--debug",
        dest=f"{prefix}debug",
        action="append",
        choices=("classify",),
        help="log a topic in detail (needs -v)",
    )
    parser.add_argument(
        "--case",
        dest=f"{prefix}case",
        choices=("strict", "local", "remote"),
        default=None,
        help="names that differ only in upper and lower case: keep them apart, or spell them as one "
        "side does (default: report them as an error)",
    )


verbose_parser = Parser(add_help=False, allow_abbrev=False)
_add_verbosity(verbose_parser, "", 3)

#: The groups of options about servers, in the order in which help shows them.
_ABOUT_SERVERS: Final = ("reaching a server", "FTP", "FTPS", "SFTP", "S3")


def _about_servers(parser: argparse.ArgumentParser) -> list[argparse._ArgumentGroup]:
    """Adds the groups. One that stays empty is not shown, but keeps its place where parents are put together."""
    return [parser.add_argument_group(title) for title in _ABOUT_SERVERS]


# With the options of release 4.1 and no others: scripts add some of their own, which must not be there already.
common_parser = Parser(add_help=False, allow_abbrev=False)
_, _ftp, _, _sftp, _ = _about_servers(common_parser)
common_parser.add_argument(
    "-n", "--dry-run", action="store_true", help="show what would be done and change nothing on either side"
)
common_parser.add_argument(
    "--progress", action="store_true", help="show progress even when redirected or less verbose"
)
common_parser.add_argument(
    "--no-color", action="store_true", help="no terminal colours (as with the variable NO_COLOR)"
)
_ftp.add_argument(
    "--ftp-active", action="store_true", help="let the server connect to this machine (default: passive mode)"
)
common_parser.add_argument(
    "--migrate",
    action="store_true",
    help="replace metadata files of another format version; what they remember is lost",
)
_sftp.add_argument(
    "--no-verify-host-keys", action="store_true", help="do not check SFTP servers against ~/.ssh/known_hosts"
)

#: Follows `common_parser` among the parents.
server_parser = Parser(add_help=False, allow_abbrev=False)
_reaching, _ftp, _tls, _sftp, _s3 = _about_servers(server_parser)
_ftp.add_argument(
    "--ftp-engine",
    choices=("own", "suppaftp"),
    default=argparse.SUPPRESS,
    help="what speaks FTP: our own engine, or the library suppaftp, one command at a time (default: own)",
)
_sftp.add_argument(
    "--accept-new-host-key",
    action="store_true",
    default=argparse.SUPPRESS,
    help="trust an SFTP server that was never seen before, and add its key to ~/.ssh/known_hosts (a changed key is "
    "still refused)",
)
_sftp.add_argument(
    "--identity-file",
    metavar="FILE",
    action="append",
    default=argparse.SUPPRESS,
    help="log in with the private key in this file; may be given several times",
)
_sftp.add_argument(
    "--ssh-config",
    metavar="FILE",
    default=argparse.SUPPRESS,
    help="read this file instead of ~/.ssh/config and the system-wide configuration",
)
_tls.add_argument(
    "--require-tls",
    action="store_true",
    default=argparse.SUPPRESS,
    help="refuse plain ftp:// before anything is sent",
)
_tls.add_argument(
    "--no-verify-tls",
    action="store_true",
    help="accept any TLS certificate (unsafe: anybody may be listening)",
)
_tls.add_argument(
    "--tls-ca",
    metavar="FILE",
    default=argparse.SUPPRESS,
    help="trust the certificates in this PEM file as well",
)
_tls.add_argument(
    "--tls-pin",
    metavar="sha256:HEX",
    default=argparse.SUPPRESS,
    help="accept only the certificate with this fingerprint",
)
_tls.add_argument(
    "--tls-implicit",
    action="store_true",
    default=argparse.SUPPRESS,
    help="begin with TLS at once instead of with AUTH TLS (default: on port 990 only)",
)
_tls.add_argument(
    "--tls-cert",
    metavar="FILE",
    default=argparse.SUPPRESS,
    help="present the certificate in this PEM file to the server",
)
_tls.add_argument(
    "--tls-key",
    metavar="FILE",
    default=argparse.SUPPRESS,
    help="the key of --tls-cert, if it is not in the same file",
)
_tls.add_argument(
    "--tls-max",
    choices=("1.2", "1.3"),
    default=argparse.SUPPRESS,
    help="the newest TLS version to use (default: 1.2, and 1.3 if the server insists on it)",
)
_reaching.add_argument(
    "--proxy",
    metavar="URL",
    default=argparse.SUPPRESS,
    help="connect through socks5://, socks5h:// (the proxy resolves names) or http://user:password@host:port; 'none' "
    "for no proxy (default: the variable ALL_PROXY, but not for hosts in NO_PROXY, nor for those that have a "
    "ProxyCommand in ~/.ssh/config)",
)
_ftp.add_argument(
    "--trust-pasv-host",
    action="store_true",
    default=argparse.SUPPRESS,
    help="open data connections to the host that the server names, for servers that consist of several computers",
)
_ftp.add_argument(
    "--no-mlsd",
    action="store_true",
    default=argparse.SUPPRESS,
    help="list folders with LIST, for servers whose MLSD does not work",
)
_reaching.add_argument(
    "--encoding",
    metavar="NAME",
    type=_encoding,
    default=argparse.SUPPRESS,
    help="the encoding of file names on the server (default: utf-8; other names keep their bytes)",
)
_reaching.add_argument(
    "--timeout",
    metavar="SECONDS",
    type=_seconds,
    default=argparse.SUPPRESS,
    help="give up on a server that is silent for this long (default: 60, and 30 for connecting)",
)
_reaching.add_argument(
    "--connect-timeout",
    metavar="SECONDS",
    type=_seconds,
    default=argparse.SUPPRESS,
    help="give up on a connection that is not made within this time (default: that of --timeout)",
)
_reaching.add_argument(
    "--session-time",
    metavar="SECONDS",
    type=_seconds,
    default=argparse.SUPPRESS,
    help="log in to an FTP server again after this time, for servers that limit the time of a session",
)
_reaching.add_argument(
    "--connections",
    metavar="N",
    type=_connections,
    default=argparse.SUPPRESS,
    help="use at most N connections to the server at a time (default: 4, and up to 8 where many small files "
    "go to or come from a distant server)",
)
_s3.add_argument(
    "--endpoint-url",
    metavar="URL",
    default=argparse.SUPPRESS,
    help="the S3 server, if it is not AWS (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile)",
)
_s3.add_argument(
    "--region",
    metavar="NAME",
    default=argparse.SUPPRESS,
    help="the region of the bucket (default: AWS_REGION, AWS_DEFAULT_REGION, the profile)",
)
_s3.add_argument(
    "--profile",
    metavar="NAME",
    default=argparse.SUPPRESS,
    help="the section of ~/.aws/config and ~/.aws/credentials to use for S3 (default: AWS_PROFILE)",
)
_s3.add_argument(
    "--no-sign-request",
    action="store_true",
    default=argparse.SUPPRESS,
    help="send unsigned requests, without keys, for public buckets",
)

matcher_parser = Parser(add_help=False, allow_abbrev=False)
_choosing = matcher_parser.add_argument_group("which files")
_choosing.add_argument(
    "-m",
    "--match",
    help="patterns that file names (not folder names) must match, separated by ',' (default: all)",
)
_choosing.add_argument(
    "-x",
    "--exclude",
    default=",".join(DEFAULT_OMIT),
    help="patterns of files and folders to leave out, applied after --match (default: '%(default)s'). "
    "Never part of a run are files of pyftpsync itself (.pyftpsync-meta.json, .pyftpsync-lock.json, .pyftpsync-trash, "
    ".pyftpsync-tmp-*, pyftpsync.yaml, .pyftpsync.yaml), and what "
    "servers keep among the files of their users (.ftpquota, @eaDir)",
)

creds_parser = Parser(add_help=False, allow_abbrev=False)
_prompting = creds_parser.add_mutually_exclusive_group()
_prompting.add_argument("--prompt", action="store_true", help="always ask for the password")
_prompting.add_argument("--no-prompt", action="store_true", help="never ask for user names or passwords")
creds_parser.add_argument("--no-keyring", action="store_true", help="do not look into the system keyring")
creds_parser.add_argument("--no-netrc", action="store_true", help="do not look into ~/.netrc")
creds_parser.add_argument(
    "--store-password", action="store_true", help="keep the password in the keyring once the login succeeded"
)

safety_parser = Parser(add_help=False, allow_abbrev=False)
_keeping = safety_parser.add_argument_group("what is kept, checked and limited")
_keeping.add_argument(
    "--max-delete",
    metavar="N|N%",
    type=_limit,
    default=argparse.SUPPRESS,
    help="delete nothing if that would be more than N files, or N%% of those known",
)
_keeping.add_argument(
    "--allow-mass-delete",
    action="store_true",
    default=argparse.SUPPRESS,
    help="carry out deletions even if most files of one side are gone",
)
_keeping.add_argument(
    "--no-deep-conflicts",
    action="store_true",
    default=argparse.SUPPRESS,
    help="if one side removed a folder, also delete files in it that the other side has edited, as pyftpsync 4.1 does",
)
_keeping.add_argument(
    "--backup-dir",
    metavar="DIR",
    default=argparse.SUPPRESS,
    help="move what would be overwritten or deleted to this folder, below the root of the same side; name it in "
    "later runs as well, or --delete removes it (not below .pyftpsync-trash, which every run leaves alone)",
)
_keeping.add_argument(
    "--no-trash",
    action="store_true",
    default=argparse.SUPPRESS,
    help="sync: do not keep the older of two different files that meet for the first time in .pyftpsync-trash",
)
_keeping.add_argument(
    "--inplace",
    action="store_true",
    default=argparse.SUPPRESS,
    help="write files directly under their name, without temporary name, check and rename (an interruption leaves half "
    "a file)",
)
_keeping.add_argument(
    "--max-time",
    metavar="SECONDS",
    type=_seconds,
    default=argparse.SUPPRESS,
    help="end the run after this time; what was finished is kept",
)
_keeping.add_argument(
    "--max-depth",
    metavar="N",
    type=_depth,
    default=argparse.SUPPRESS,
    help=f"leave alone what lies more than N folders deep, and report it (default and maximum: {MAX_DEPTH})",
)
_keeping.add_argument(
    "--verify",
    action="store_true",
    default=argparse.SUPPRESS,
    help="compare the content after each transfer, by a checksum from the server or by reading the file once more",
)
_keeping.add_argument(
    "--checksum",
    action="store_true",
    default=argparse.SUPPRESS,
    help="compare files of the same size by their content, which is read on both sides; only set the time where "
    "nothing else differs",
)
_keeping.add_argument(
    "--stateless",
    action="store_true",
    default=argparse.SUPPRESS,
    help="compare what both sides are now, as rsync does, and leave no metadata (only for upload and download)",
)
_keeping.add_argument(
    "--lock-age",
    metavar="SECONDS",
    type=_seconds,
    default=argparse.SUPPRESS,
    help="take over the lock of another run that was not renewed for this long (default: 900)",
)
_keeping.add_argument(
    "--break-lock",
    action="store_true",
    default=argparse.SUPPRESS,
    help="take over the lock of another run, however fresh: only if that run has surely ended",
)
_keeping.add_argument(
    "--links",
    choices=("follow", "skip"),
    default=argparse.SUPPRESS,
    help="what to do about local symbolic links (default: follow those that stay inside the tree)",
)
_keeping.add_argument(
    "--exit-zero-on-copy-errors",
    action="store_true",
    default=argparse.SUPPRESS,
    help="do not return exit code 1 when files could not be copied",
)
