"""The command `pyftpsync scan`: lists a target and removes what synchronisations left there."""

from __future__ import annotations

import argparse
import posixpath
import time
from datetime import timedelta
from typing import Any

from ftpsync._base_target import _Target
from ftpsync._errors import printable
from ftpsync.cli_common import (
    common_parser,
    creds_parser,
    matcher_parser,
    sentence,
    server_parser,
    verbose_parser,
)
from ftpsync.metadata import DirMetadata
from ftpsync.resources import _Resource
from ftpsync.synchronizers import match_path, process_options
from ftpsync.targets import make_target
from ftpsync.util import namespace_to_dict, pretty_stamp

__all__ = ["add_scan_parser", "scan_handler"]


def add_scan_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Adds the sub-command to the result of `ArgumentParser.add_subparsers()`, and returns its parser.

    What is parsed has the function for it as `command`, to be called with a parser and the arguments.
    """
    text = "list a folder, or remove metadata and lock files from it"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "scan",
        usage="%(prog)s [OPTION ...] TARGET",
        parents=[verbose_parser, common_parser, server_parser, matcher_parser, creds_parser],
        help=text,
        description=sentence(text),
    )
    parser.add_argument("target", metavar="TARGET", help="URL or path of the folder")
    parser.add_argument("--list", action="store_true", help="print files and folders")
    parser.add_argument("-r", "--recursive", action="store_true", help="include subfolders")
    parser.add_argument(
        "--remove-meta", action="store_true", help=f"delete {DirMetadata.META_FILE_NAME} files (not with -n)"
    )
    parser.add_argument(
        "--remove-locks", action="store_true", help=f"delete {DirMetadata.LOCK_FILE_NAME} files (not with -n)"
    )
    parser.set_defaults(command=scan_handler, handler=scan_handler)
    return parser


def scan_handler(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Carries out the sub-command."""
    options = namespace_to_dict(args)
    process_options(options)
    options.setdefault("ftp_debug", 1 if args.verbose >= 6 else 0)
    target = make_target(args.target, options)
    started = time.perf_counter()
    files = 0
    folders = 1
    target.open()
    try:
        _clean(target, args)
        for entry in target.walk(lambda entry: match_path(entry, options), recursive=args.recursive):
            if entry.is_dir():
                folders += 1
            else:
                files += 1
            if args.list:
                print(printable(_line(entry)))
            if entry.is_dir() and args.recursive and (args.remove_meta or args.remove_locks):
                with target.enter_subdir(entry.name):
                    _clean(target, args)
    finally:
        target.close()
    elapsed = time.perf_counter() - started
    print(f"Scanning {files:,} files in {folders:,} directories took {elapsed:02.2f} seconds.")


def _line(entry: _Resource) -> str:
    indent = "    " * entry.get_rel_path().count("/") + " "
    if entry.is_dir():
        return f"{indent}[{entry.name}]"
    line = f"{indent}{entry.name:<40} {pretty_stamp(entry.mtime)}"
    if entry.mtime is not None and entry.mtime_org is not None and entry.mtime != entry.mtime_org:
        difference = entry.mtime_org - entry.mtime
        sign = "+" if difference > 0 else "-"
        line += f" (system: {sign}{timedelta(seconds=abs(difference))})"
    return line


def _clean(target: _Target, args: argparse.Namespace) -> None:
    """Removes what was asked for from the current folder, printing each path."""
    is_rehearsal = bool(getattr(args, "dry_run", False))
    if args.remove_meta:
        _remove(target, DirMetadata.META_FILE_NAME, is_rehearsal)
    if args.remove_locks:
        _remove(target, DirMetadata.LOCK_FILE_NAME, is_rehearsal)


def _remove(target: _Target, name: str, is_rehearsal: bool) -> None:
    if name not in target._names():
        return
    print(f"DELETE {printable(posixpath.join(target.cur_dir or '', name))}")
    if not is_rehearsal:
        target.remove_file(name)
