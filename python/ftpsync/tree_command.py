"""The command `pyftpsync tree`: draws the folders of a target."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ftpsync._errors import printable
from ftpsync.cli_common import (
    common_parser,
    creds_parser,
    matcher_parser,
    sentence,
    server_parser,
    verbose_parser,
)
from ftpsync.synchronizers import match_path, process_options
from ftpsync.targets import make_target
from ftpsync.util import namespace_to_dict

__all__ = ["add_tree_parser", "tree_handler"]


def add_tree_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Adds the sub-command to the result of `ArgumentParser.add_subparsers()`, and returns its parser.

    What is parsed has the function for it as `command`, to be called with a parser and the arguments.
    """
    text = "draw the folders of a target"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "tree",
        usage="%(prog)s [OPTION ...] TARGET",
        parents=[verbose_parser, common_parser, server_parser, matcher_parser, creds_parser],
        help=text,
        description=sentence(text),
    )
    parser.add_argument("target", metavar="TARGET", help="URL or path of the folder")
    parser.add_argument("--files", action="store_true", help="show files as well")
    parser.add_argument("--sort", action="store_true", help="files first, then by name")
    parser.set_defaults(command=tree_handler, handler=tree_handler)
    return parser


def tree_handler(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
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
        print(f"[{printable(target.root_dir)}]")
        for prefix, entry in target.walk_tree(
            sort=args.sort, files=args.files, pred=lambda entry: match_path(entry, options)
        ):
            if entry.is_dir():
                folders += 1
                print(f"{prefix}[{printable(entry.name)}]")
            else:
                files += 1
                print(f"{prefix}{printable(entry.name):<20} {entry.as_string()}")
    finally:
        target.close()
    elapsed = time.perf_counter() - started
    print(f"Scanning {files:,} files in {folders:,} directories took {elapsed:02.2f} seconds.")
