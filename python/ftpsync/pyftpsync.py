"""The command `pyftpsync`."""

from __future__ import annotations

import gc
import sys

# What is imported stays to the end. To search it for garbage meanwhile takes a tenth of the time of a short run.
_COLLECTS = gc.isenabled()
gc.disable()

try:
    import argparse
    import contextlib
    import os
    import re
    import signal
    import threading
    import traceback
    from collections.abc import Iterator
    from typing import Any, Final

    from ftpsync import __version__
    from ftpsync._errors import harmless, in_one_line, printable
    from ftpsync._settings import NOT_STATELESS
    from ftpsync._streams import flush, is_reader_gone, let_go, make_lenient, show
    from ftpsync.cli_common import (
        Parser,
        _add_verbosity,
        common_parser,
        creds_parser,
        matcher_parser,
        safety_parser,
        sentence,
        server_parser,
        verbose_parser,
    )
    from ftpsync.doctor_command import add_doctor_parser
    from ftpsync.run_command import add_run_parser, handle_run_command
    from ftpsync.scan_command import add_scan_parser
    from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
    from ftpsync.targets import is_text, is_url, make_target, path_to_make
    from ftpsync.tree_command import add_tree_parser
    from ftpsync.util import (
        DEBUG_FLAGS,
        DRY_RUN_PREFIX,
        PYTHON_VERSION,
        CliSilentRuntimeError,
        check_cli_verbose,
        emulates_31,
        namespace_to_dict,
        set_pyftpsync_logger,
        write,
    )
except KeyboardInterrupt:  # Most of the time of a start is spent here.
    print("\nAborted by user.", file=sys.stderr)
    sys.exit(3)
finally:
    if _COLLECTS:
        gc.enable()

__all__ = ["run"]

_EXIT_OK: Final = 0
_EXIT_ERROR: Final = 1
_EXIT_ABORTED: Final = 3
_EXIT_PROBLEMS: Final = 10

#: From this verbosity an error comes with its traceback.
_TRACEBACK_VERBOSITY: Final = 5

_SYNCHRONIZERS: Final = {
    "upload": UploadSynchronizer,
    "download": DownloadSynchronizer,
    "sync": BiDirSynchronizer,
}

_CREATE_FOLDER_HELP: Final = "create the remote folder if it is missing"
#: What installers leave beside a distribution that has modules of the same name.
_RIVAL: Final = r"(pyftpsync|ftpsync)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info"

_PROBLEMS_HELP: Final = (
    f"return exit code {_EXIT_PROBLEMS} if a conflict was skipped or a file could not be copied"
)


def run() -> None:
    """Runs the command line in `sys.argv`.

    Raises:
        SystemExit: With the exit code, unless that is 0: 1 error, 2 usage, 3 Ctrl+C, 10 problems were
        reported.
    """
    # In a program of somebody else, nothing that is there now would ever be searched for garbage again.
    is_all_there_is = getattr(sys.modules.get("__main__"), "run", None) is run
    if is_all_there_is and not gc.get_freeze_count():
        gc.freeze()
    try:
        code = _outcome()
    except KeyboardInterrupt:
        _tell("\nAborted by user.")
        code = _EXIT_ABORTED
    let_go()
    if code != _EXIT_OK:
        sys.exit(code)


def _outcome() -> int:
    """Does what the command line says; returns the exit code, once errors were told."""
    set_pyftpsync_logger(None)
    make_lenient()
    parser = _parser()
    args = parser.parse_args()
    _settle_verbosity(parser, args)
    _warn_about_rivals()
    try:
        with _orderly_termination():
            code = _perform(parser, args)
            flush(sys.stdout)  # Here, where a reader that has gone can still be dealt with.
        return code
    except CliSilentRuntimeError as exc:
        if args.verbose > exc.min_verbosity:
            _tell(traceback.format_exc().rstrip())
        else:
            _tell(f"\nERROR:\n{exc}\n")
        return exc.exit_code
    except Exception as exc:
        # Whoever reads the output, as `head` does, may have had enough of it; that needs no words.
        if not (isinstance(exc, BrokenPipeError) and is_reader_gone()):
            if args.verbose >= _TRACEBACK_VERBOSITY:
                _tell(traceback.format_exc().rstrip())
            _tell(f"ERROR: {in_one_line(exc)}")
        return _EXIT_ERROR


def _tell(text: str) -> None:
    """Says the last words of a run, if there is somebody to hear them."""
    show(sys.stdout)
    with contextlib.suppress(OSError):
        print(harmless(text), file=sys.stderr)


@contextlib.contextmanager
def _orderly_termination() -> Iterator[None]:
    """Makes SIGTERM end a run as Ctrl+C does: what is finished is remembered, and the lock removed.

    A program that calls `run()` and has its own plans for the signal keeps them.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


# --- Arguments ---


class _Version(argparse.Action):
    """Prints the version, in detail with `-v`, and ends."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(
            option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version and end"
        )

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        text = __version__
        if check_cli_verbose() > 3:
            import platform

            python = f"Python/{PYTHON_VERSION} {platform.platform()}"
            text = f"pyftpsync/{__version__} {python}, Python: {sys.executable}"
        print(text)
        parser.exit()


class _Commands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Sub-commands whose parsers accept abbreviated options only where release 3.1 is emulated."""

    def add_parser(self, name: str, **kwargs: Any) -> Any:
        kwargs.setdefault("allow_abbrev", emulates_31())
        return super().add_parser(name, **kwargs)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pyftpsync",
        description="Synchronize folders of this computer, of FTP and SFTP servers and of S3 buckets.",
        epilog="Each side is a folder, ftp://host/path, ftps://host/path, sftp://host/path or s3://bucket/path.",
        allow_abbrev=emulates_31(),
    )
    _add_verbosity(parser, "global_", 0)
    parser.add_argument("-V", "--version", action=_Version)
    commands = parser.add_subparsers(dest="command", action=_Commands, help="what to do; see COMMAND --help")
    _add_upload(commands)
    _add_download(commands)
    _add_sync(commands)
    add_run_parser(commands)
    add_scan_parser(commands)
    add_tree_parser(commands)
    add_doctor_parser(commands)
    _add_demo(commands)
    return parser


def _add_command(commands: Any, name: str, text: str, deeds: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        name,
        usage="%(prog)s [OPTION ...] LOCAL REMOTE",
        parents=[
            deeds,
            verbose_parser,
            matcher_parser,
            safety_parser,
            creds_parser,
            common_parser,
            server_parser,
        ],
        help=text,
        description=sentence(text),
    )
    parser.add_argument("local", metavar="LOCAL", help="local folder, or a URL")
    parser.add_argument("remote", metavar="REMOTE", help="URL or path of the remote folder")


def _deeds() -> tuple[argparse.ArgumentParser, Any]:
    """Returns a parser for what one command does, which is a parent of its own, and its group of options."""
    parser = Parser(add_help=False, allow_abbrev=False)
    return parser, parser.add_argument_group("what is done")


def _add_upload(commands: Any) -> None:
    parser, deeds = _deeds()
    _add_one_way(deeds, there="remote", here="local")
    deeds.add_argument("--create-folder", action="store_true", help=_CREATE_FOLDER_HELP)
    deeds.add_argument("--report-problems", action="store_true", help=_PROBLEMS_HELP)
    _add_command(commands, "upload", "copy new and modified files to the remote folder", parser)


def _add_download(commands: Any) -> None:
    parser, deeds = _deeds()
    _add_one_way(deeds, there="local", here="remote")
    deeds.add_argument("--report-problems", action="store_true", help=_PROBLEMS_HELP)
    _add_command(commands, "download", "copy new and modified files from the remote folder", parser)


def _add_sync(commands: Any) -> None:
    parser, deeds = _deeds()
    _add_resolve(deeds, "old", "new", "local", "remote", "keep-both", "skip", "ask")
    deeds.add_argument("--create-folder", action="store_true", help=_CREATE_FOLDER_HELP)
    deeds.add_argument("--report-problems", action="store_true", help=_PROBLEMS_HELP)
    _add_command(
        commands, "sync", "copy changes in both directions, so that both folders become the same", parser
    )


def _add_one_way(deeds: Any, *, there: str, here: str) -> None:
    deeds.add_argument(
        "--force",
        action="store_true",
        help=f"overwrite {there} files even if they are newer, and restore those that were deleted there",
    )
    _add_resolve(deeds, here, "skip", "ask")
    adverb = "locally" if here == "local" else "remotely"
    deeds.add_argument(
        "--delete", action="store_true", help=f"remove {there} files that do not exist {adverb}"
    )
    deeds.add_argument(
        "--delete-unmatched",
        action="store_true",
        help=f"also remove {there} files that --match and --exclude leave out (implies --delete)",
    )


def _add_resolve(deeds: Any, *choices: str) -> None:
    deeds.add_argument(
        "--resolve",
        choices=choices,
        default="ask",
        help="what to do about files that changed on both sides (default: 'ask')",
    )


def _add_demo(commands: Any) -> None:
    text = "show a synchronisation with a server inside this process; needs no network"
    parser = commands.add_parser("demo", parents=[verbose_parser], help=text, description=sentence(text))
    parser.add_argument(
        "--no-color", action="store_true", help="no terminal colours (as with the variable NO_COLOR)"
    )


def _settle_verbosity(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Merges the options given before the sub-command with those after it."""
    if args.command is None:
        parser.error(
            "missing command (choose from 'upload', 'download', 'sync', 'run', 'scan', 'tree', 'doctor', 'demo')"
        )
    args.verbose = max(0, args.verbose + args.global_verbose - args.quiet - args.global_quiet)
    args.debug = [*(args.global_debug or ()), *(args.debug or ())] or None
    args.case = args.case if args.case is not None else args.global_case
    if args.case is None and emulates_31():
        args.case = "strict"
    for name in ("global_verbose", "global_quiet", "global_debug", "global_case", "quiet"):
        delattr(args, name)
    if args.debug and args.verbose < 4:
        parser.error("'--debug' requires at least verbosity 4, so pass -v as well")
    DEBUG_FLAGS.clear()
    DEBUG_FLAGS.update(args.debug or ())


def _warn_about_rivals() -> None:
    """Tells when another distribution has put its files into the same folder: one of the two is broken.

    The names of the folders say it; `importlib.metadata` would take as long as all the rest of the start.
    """
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or os.curdir):
                if rival := re.fullmatch(_RIVAL, entry):
                    name, version = rival.groups()
                    print(
                        f"WARNING: {name} {version} is installed as well, in the same folder as pyftpsync-rs."
                        f" Run\n  pip uninstall {name} && pip install --force-reinstall pyftpsync-rs",
                        file=sys.stderr,
                    )


# --- Work ---


def _perform(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Carries out what was asked for and returns the exit code."""
    if args.command == "demo":
        from ftpsync.demo import run_demo

        return run_demo(color=not args.no_color)
    if getattr(args, "delete_unmatched", False):
        args.delete = True
    # What a task file says is not in the list of processes.
    is_typed = args.command != "run"
    if args.command == "run":
        handle_run_command(parser, args)
    _check_words(parser, args)
    if hasattr(args, "handler"):
        args.url_on_command_line = is_typed
        code: int | None = args.handler(parser, args)
        return _EXIT_OK if code is None else code

    _check_sides(parser, args)
    target_options = {"ftp_debug": 1 if args.verbose >= 6 else 0, "url_on_command_line": is_typed}
    args.local_target = make_target(args.local, target_options)
    with contextlib.ExitStack() as stand_ins:
        args.remote_target = _remote_target(args, target_options, stand_ins)
        return _synchronize(args)


def _remote_target(args: argparse.Namespace, options: dict[str, Any], stand_ins: contextlib.ExitStack) -> Any:
    """Makes the target of the remote side. For a dry run an empty folder stands in for one that would be created."""
    # What a download reads from is there, or the place is mistyped.
    if is_url(args.remote) or args.command == "download":
        return make_target(args.remote, options)
    path = path_to_make(args.remote)
    if not args.create_folder:
        if not os.path.lexists(path):
            raise ValueError(
                f"{path} is not a directory. Pass `--create-folder` to create it; "
                "the URL of a server begins with ftp://, ftps://, sftp:// or s3://."
            )
        return make_target(args.remote, options)
    if not args.dry_run:
        os.makedirs(path, exist_ok=True)
    if os.path.lexists(path):
        return make_target(args.remote, options)
    from tempfile import TemporaryDirectory

    if args.verbose >= 3:
        write(printable(f"{path}: this folder is not there; it would be created"))
    target = make_target(stand_ins.enter_context(TemporaryDirectory(prefix="pyftpsync-")), options)
    target.get_base_name = lambda: path
    return target


def _synchronize(args: argparse.Namespace) -> int:
    options = namespace_to_dict(args)
    synchronizer = _SYNCHRONIZERS[args.command](args.local_target, args.remote_target, options)
    synchronizer.is_script = True
    try:
        synchronizer.run()
    except Exception as exc:
        # A problem with single entries did not end the run, and was told when it came up.
        if args.verbose > 4 or not getattr(exc, "was_told", False):
            _list_what_is_left(synchronizer, args)
            raise
        _report(synchronizer, args)
        return _EXIT_ERROR
    _report(synchronizer, args)
    return _exit_code(synchronizer, args)


def _check_words(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends with a usage error where a word is not what it was meant to be."""
    for name in ("ssh_config", "tls_ca", "tls_cert", "tls_key"):
        # No shell has seen what stands in a task file, or behind `--tls-ca=`.
        if file := getattr(args, name, None):
            setattr(args, name, os.path.expanduser(file))
    for name in ("local", "remote", "target"):
        # A variable that is not set would stand for the current folder, and `--delete` would go by that.
        if getattr(args, name, None) == "":
            parser.error(f"{name.upper()} must not be empty: '.' stands for the current folder")
    for name in ("match", "exclude", "backup_dir"):
        word = getattr(args, name, None)
        if isinstance(word, str) and not is_text(word):
            parser.error(
                f"--{name.replace('_', '-')}: {word!r} has bytes that are no characters: "
                "they do not suit the locale (LANG, LC_ALL)"
            )
    backup = getattr(args, "backup_dir", None)
    if isinstance(backup, str) and (backup.startswith("/") or ".." in backup.split("/") or not backup):
        parser.error(f"--backup-dir: {backup!r} is no folder below the roots of both sides")
    if args.command == "sync" and getattr(args, "stateless", False):
        parser.error(NOT_STATELESS)


def _check_sides(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends with a usage error where the two sides seem to have been mixed up."""
    if args.remote == ".":
        parser.error("'.' is expected to be the local target (not remote)")
    if is_url(args.local) and not is_url(args.remote):
        parser.error(
            "a file system target is expected to be local: name the folder first, then the server "
            "(`download FOLDER SERVER` copies from the server)"
        )


def _report(synchronizer: Any, args: argparse.Namespace) -> None:
    stats = synchronizer.get_stats()
    if args.verbose >= 5:
        from pprint import pprint

        pprint(stats)
    elif args.verbose >= 1:
        print(_summary(synchronizer, args))
    _list_what_is_left(synchronizer, args)


def _list_what_is_left(synchronizer: Any, args: argparse.Namespace) -> None:
    """Lists what the user has to look at. Release 3.1 ended with the line before."""
    # Whoever puts a class of their own in the place of a synchronizer need not keep such lists.
    closing = getattr(synchronizer, "_closing", None)
    if closing is not None and not emulates_31():
        closing.tell(args.verbose, args.dry_run)


def _summary(synchronizer: Any, args: argparse.Namespace) -> str:
    stats = synchronizer.get_stats()
    parts = [
        DRY_RUN_PREFIX if args.dry_run else "",
        f"Wrote {stats['files_written']}/{stats['local_files']} files in {stats['local_dirs']} directories, ",
        f"skipped: {stats['conflict_files_skipped']}",
        "." if emulates_31() else f", errors: {stats['errors']}.",
    ]
    # Waiting for answers is not work.
    if not stats["interactive_ask"] and stats["elap_str"] is not None:
        parts.append(f" Elap: {stats['elap_str']}.")
    return "".join(parts)


def _exit_code(synchronizer: Any, args: argparse.Namespace) -> int:
    if getattr(args, "report_problems", False) and synchronizer.problem_count():
        return _EXIT_PROBLEMS
    if synchronizer.error_count() and not getattr(args, "exit_zero_on_copy_errors", False):
        return _EXIT_ERROR
    return _EXIT_OK


if __name__ == "__main__":
    run()
