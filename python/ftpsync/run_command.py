"""The command `pyftpsync run`: carries out a task from `pyftpsync.yaml` in this folder or one above it."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ftpsync._proxy import without_password
from ftpsync._task_checks import MAX_VERBOSITY, as_meant, problem_with, unquoted
from ftpsync.cli_common import (
    common_parser,
    creds_parser,
    safety_parser,
    sentence,
    server_parser,
    verbose_parser,
)
from ftpsync.synchronizers import CONFIG_FILE_NAME
from ftpsync.targets import is_url
from ftpsync.tree_command import tree_handler
from ftpsync.util import write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CLI_OVERRIDABLE_BOOL_TASK_ARGS",
    "KNOWN_RUN_COMMANDS",
    "KNOWN_TASK_ARGS",
    "MANDATORY_TASK_ARGS",
    "OVERRIDABLE_BOOL_ARGS",
    "add_run_parser",
    "handle_run_command",
]

#: What `command` in a task may be.
KNOWN_RUN_COMMANDS: Final = ("upload", "download", "sync", "tree")

#: What every task must have.
MANDATORY_TASK_ARGS: Final = {"command", "remote"}

#: Switches of a task that the command line can turn on.
CLI_OVERRIDABLE_BOOL_TASK_ARGS: Final = {
    "accept_new_host_key",
    "allow_mass_delete",
    "break_lock",
    "checksum",
    "create_folder",
    "dry_run",
    "exit_zero_on_copy_errors",
    "files",
    "force",
    "ftp_active",
    "inplace",
    "migrate",
    "no_color",
    "no_deep_conflicts",
    "no_keyring",
    "no_mlsd",
    "no_netrc",
    "no_prompt",
    "no_trash",
    "no_verify_host_keys",
    "no_sign_request",
    "no_verify_tls",
    "progress",
    "prompt",
    "report_problems",
    "require_tls",
    "sort",
    "stateless",
    "store_password",
    "tls_implicit",
    "trust_pasv_host",
    "verify",
}

#: The name in release 3.1.
OVERRIDABLE_BOOL_ARGS: Final = CLI_OVERRIDABLE_BOOL_TASK_ARGS

#: Settings of a task with a value that the command line can replace.
_CLI_OVERRIDABLE_VALUE_TASK_ARGS: Final = {
    "backup_dir",
    "case",
    "connect_timeout",
    "connections",
    "encoding",
    "endpoint_url",
    "ftp_engine",
    "identity_file",
    "links",
    "lock_age",
    "max_delete",
    "max_depth",
    "max_time",
    "profile",
    "proxy",
    "session_time",
    "region",
    "ssh_config",
    "timeout",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_max",
    "tls_pin",
}

#: What a task may have.
KNOWN_TASK_ARGS: Final = (
    MANDATORY_TASK_ARGS
    | CLI_OVERRIDABLE_BOOL_TASK_ARGS
    | _CLI_OVERRIDABLE_VALUE_TASK_ARGS
    | {
        "debug",
        "delete",
        "delete_unmatched",
        "exclude",
        "here",
        "local",
        "match",
        "resolve",
        "root",
        "verbose",
    }
)

#: Where releases 4.1 and 3.1 keep the tasks; that of the emulated release comes first.
_CONFIG_FILE_NAMES: Final = ("pyftpsync.yaml", ".pyftpsync.yaml")

#: What `repr()` makes of a text, and what it makes of a single character.
_QUOTED: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_ONE_CHARACTER: Final = re.compile(r"[^\\]|\\(?:[^xuU]|x..|u.{4}|U.{8})", re.DOTALL)

_MAX_PARENTS: Final = 14
_DEFAULT_VERBOSITY: Final = 3


def add_run_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Adds the sub-command to the result of `ArgumentParser.add_subparsers()`, and returns its parser."""
    text = f"carry out a task from '{CONFIG_FILE_NAME}' in this folder or one above it"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "run",
        usage="%(prog)s [OPTION ...] [TASK]",
        parents=[verbose_parser, common_parser, server_parser, creds_parser, safety_parser],
        help=text,
        description=sentence(text),
    )
    parser.add_argument("task", nargs="?", help="name of the task (default: 'default_task' in the file)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--here", action="store_true", help="synchronize this folder with its counterpart only"
    )
    where.add_argument("--root", action="store_true", help="synchronize the folder that has the file")
    parser.add_argument(
        "--no-dry-run",
        "--execute",
        action="store_true",
        help="go ahead although the task has 'dry_run: true'",
    )
    for name in ("create-folder", "files", "force", "sort", "report-problems"):
        parser.add_argument(
            f"--{name}", action="store_true", help=f"the same as '{name.replace('-', '_')}: true' in the task"
        )
    parser.set_defaults(command="run")
    return parser


def handle_run_command(parser: argparse.ArgumentParser, cli_args: argparse.Namespace) -> None:
    """Turns the arguments of `run` into those of the command that the task names.

    Args:
        parser: Reports usage errors.
        cli_args: Is changed: `command`, `local`, `remote` and all options of the task are set.
    """
    path = _find_config(parser)
    config = _read_config(parser, path)
    name = _task_name(parser, cli_args, config, path)
    _require_mapping(parser, path, f"tasks.{name}", config["tasks"][name])
    task = {**(config.get("common_config") or {}), **config["tasks"][name]}
    print_level = _verbosity(cli_args, task)
    if print_level >= 1:
        write(f"Running task '{name}' from {path}")
    _check(parser, name, config, task, path)
    _override(cli_args, name, task)
    _check_scheme(parser, name, task, path)
    local, remote = _places(parser, cli_args, task, path)
    if task["command"] != "tree" and not is_url(local) and not os.path.isdir(local):
        parser.error(f"Invalid entry: tasks.{name}.local: '{local}' is not a directory, see {path}")

    for key in KNOWN_TASK_ARGS - {"debug", "here", "root"}:
        # Values that nobody gave stay absent, so that everybody's defaults apply.
        if task.get(key) is not None:
            setattr(cli_args, key, task[key])
        elif key in CLI_OVERRIDABLE_BOOL_TASK_ARGS:
            setattr(cli_args, key, False)
    cli_args.local = local
    cli_args.remote = remote
    cli_args.verbose = print_level
    for key in ("match", "exclude"):
        setattr(cli_args, key, task.get(key))
    cli_args.resolve = task.get("resolve") or "skip"
    cli_args.delete = bool(task.get("delete") or task.get("delete_unmatched"))
    cli_args.delete_unmatched = bool(task.get("delete_unmatched"))
    if cli_args.command == "tree":
        cli_args.target = remote
        cli_args.handler = tree_handler


def _find_config(parser: argparse.ArgumentParser) -> Path:
    from pathlib import Path

    start = Path.cwd()
    folders = [start, *start.parents][: _MAX_PARENTS + 1]
    for folder in folders:
        for name in dict.fromkeys((CONFIG_FILE_NAME, *_CONFIG_FILE_NAMES)):
            if (folder / name).is_file():
                return folder / name
    parser.error(f"Could not locate `{CONFIG_FILE_NAME}` in {start} or {len(folders) - 1} parent folders.")


def _yaml_problem(exc: Any) -> str:
    """Words an error of the YAML parser without anything out of the file, where passwords may stand."""
    context = _masked(getattr(exc, "context", None) or "")
    problem = _masked(getattr(exc, "problem", None) or getattr(exc, "reason", None) or "this is no YAML")
    text = f"{context}: {problem}" if context else problem
    mark = getattr(exc, "problem_mark", None)
    if mark:
        text += f", in line {mark.line + 1}, column {mark.column + 1}"
    if re.search("alias|anchor", f"{context} {problem}"):
        text += "; quote patterns that begin with *"
    elif r"'\t'" in problem:
        text += "; indent with blanks, not tabs"
    return text


def _masked(text: str) -> str:
    """Hides what an error of the YAML parser quotes, but for single characters and the parser's own words."""
    import yaml

    own = {kind.id for kind in vars(yaml.tokens).values() if isinstance(getattr(kind, "id", None), str)}

    def mask(quoted: re.Match[str]) -> str:
        content = quoted[0][1:-1]
        is_shown = content in own or _ONE_CHARACTER.fullmatch(content) is not None
        return quoted[0] if is_shown else "'...'"

    return _QUOTED.sub(mask, text)


def _read_config(parser: argparse.ArgumentParser, path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RecursionError) as exc:
        parser.error(f"Error parsing {path}: {exc}")
    except yaml.YAMLError as exc:
        parser.error(f"Error parsing {path}: {_yaml_problem(exc)}")
    if not isinstance(config, dict) or "tasks" not in config:
        parser.error(f"Missing entry `tasks` in {path}")
    if not isinstance(config["tasks"], dict):
        parser.error(f"Error parsing {path}: `tasks` must map names to tasks")
    # A name may look like a number in the file, but never on the command line.
    config["tasks"] = {str(name): task for name, task in config["tasks"].items()}
    _require_mapping(parser, path, "common_config", config.get("common_config") or {})
    return config


def _require_mapping(parser: argparse.ArgumentParser, path: Path, place: str, table: object) -> None:
    if not isinstance(table, dict):
        parser.error(f"Error parsing {path}: `{place}` must map names to values")


def _task_name(
    parser: argparse.ArgumentParser, cli_args: argparse.Namespace, config: dict[str, Any], path: Path
) -> str:
    tasks: dict[str, Any] = config["tasks"]
    choices = ", ".join(str(name) for name in tasks)
    if cli_args.task:
        if cli_args.task not in tasks:
            parser.error(
                f"Invalid TASK argument '{cli_args.task}': "
                f"choose from [{choices}] or define `tasks.{cli_args.task}` in {path}"
            )
        return str(cli_args.task)
    default = config.get("default_task")
    if default is not None:
        if str(default) not in tasks:
            parser.error(
                f"Invalid entry `default_task: {default}`: `tasks.{default}` is not defined in {path}"
            )
        return str(default)
    if "default" in tasks:  # Release 3.1 took this name without being told.
        return "default"
    # Each of them may have been meant. One that is empty, or commented out, certainly was not.
    for name, task in tasks.items():
        if task is not None:
            _require_mapping(parser, path, f"tasks.{name}", task)
    parser.error(
        f"No `TASK` argument was passed and no default configured: choose from [{choices}] "
        f"or define `default_task: TASK` in {path}"
    )


def _check(
    parser: argparse.ArgumentParser, name: str, config: dict[str, Any], task: dict[str, Any], path: Path
) -> None:
    """Ends with a usage error if the task has too little, too much, or something that it cannot have."""
    if "no_dry_run" in task:
        parser.error(f"no_dry_run should not be used in tasks.{name} in {path}: use `dry_run: false`")
    missing = sorted(key for key in MANDATORY_TASK_ARGS if not task.get(key))
    if missing:
        parser.error(f"Missing mandatory entries: tasks.{name}.{', '.join(missing)} in {path}")
    unknown = sorted(str(key) for key in task if key not in KNOWN_TASK_ARGS)
    if unknown:
        parser.error(f"Invalid entries: tasks.{name}.{', '.join(unknown)} in {path}")
    if task["command"] not in KNOWN_RUN_COMMANDS:
        parser.error(
            f"Invalid entry: tasks.{name}.command: '{without_password(str(task['command']))}' in {path} "
            f"(choose from {', '.join(KNOWN_RUN_COMMANDS)})"
        )
    for key, value in list(task.items()):
        is_shared = key not in config["tasks"][name]
        if key == "resolve" and is_shared and problem_with(key, value, "sync") is None:
            # What all tasks share need not be of use to each of them.
            if problem_with(key, value, task["command"]) is not None:
                del task[key]
            continue
        value = unquoted(key, value)
        problem = problem_with(key, value, task["command"])
        if problem is not None:
            place = "common_config" if is_shared else f"tasks.{name}"
            shown = without_password(str(value))
            parser.error(f"Invalid entry: {place}.{key}: '{shown}' in {path} ({problem})")
        task[key] = as_meant(key, value)


def _check_scheme(parser: argparse.ArgumentParser, name: str, task: dict[str, Any], path: Path) -> None:
    """Ends with a usage error if the local side is a URL that nobody knows; a password in it is not shown."""
    from ftpsync.targets import make_target

    given = str(task.get("local") or ".")
    if "://" not in given or is_url(given) or (path.parent / given).is_dir():
        return
    try:
        make_target(given)
    except ValueError as exc:
        parser.error(f"Invalid entry: tasks.{name}.local: {exc} See {path}")


def _verbosity(cli_args: argparse.Namespace, task: dict[str, Any]) -> int:
    """Returns the verbosity of the command line if any was given, else that of the task."""
    if cli_args.verbose != _DEFAULT_VERBOSITY or not isinstance(task.get("verbose"), int):
        return int(cli_args.verbose)
    return min(int(task["verbose"]), MAX_VERBOSITY)


def _override(cli_args: argparse.Namespace, name: str, task: dict[str, Any]) -> None:
    """Puts the options of the command line into the task, telling about it."""
    verbose = _verbosity(cli_args, task)

    def override(key: str, value: Any) -> None:
        if verbose >= 4 and task.get(key) != value:
            old, new = (without_password(str(each)) for each in (task.get(key), value))
            write(f"Override yaml entry `tasks.{name}.{key}: {old}` with CLI arg `--{key}={new}`")
        task[key] = value

    if cli_args.no_dry_run and not cli_args.dry_run:
        if task.get("dry_run") and verbose >= 3:
            write("`--no-dry-run` (or `--execute`) was passed: resetting dry_run mode")
        task["dry_run"] = False
    elif task.get("dry_run") and verbose >= 3:
        write("Dry-run mode is configured: pass --no-dry-run (or --execute) to enable write operations")
    for key in sorted(CLI_OVERRIDABLE_BOOL_TASK_ARGS):
        if getattr(cli_args, key, False):
            override(key, True)
    for key in sorted(_CLI_OVERRIDABLE_VALUE_TASK_ARGS):
        if getattr(cli_args, key, None) is not None:
            override(key, getattr(cli_args, key))
    if cli_args.here or cli_args.root:
        override("here", cli_args.here)
        override("root", cli_args.root)
    if cli_args.verbose != _DEFAULT_VERBOSITY:
        override("verbose", cli_args.verbose)


def _places(
    parser: argparse.ArgumentParser, cli_args: argparse.Namespace, task: dict[str, Any], path: Path
) -> tuple[str, str]:
    """Returns the local folder and the URL of the remote one."""
    given = str(task.get("local") or ".")
    root = given if is_url(given) else os.path.normpath(path.parent / given)
    remote = str(task["remote"])
    here = os.getcwd()
    if task.get("root") or here == str(path.parent):
        return root, remote
    if not task.get("here"):
        _ask_which(parser, path, root, here)
    if is_url(root):
        parser.error(f"--here: the local side of the task is no folder of this computer, but {_shown(root)}")
    if os.path.commonpath([root, here]) != root:
        parser.error(f"--here: {here} is not part of the local folder of the task, {root}")
    branch = os.path.relpath(here, root)
    if branch == ".":
        return root, remote
    if _verbosity(cli_args, task) >= 1:
        write(f"Using sub-branch {branch} of {root}")
    return here, f"{remote.rstrip('/')}/{branch.replace(os.sep, '/')}"


def _shown(url: str) -> str:
    from ftpsync.targets import make_target

    return str(make_target(url).get_base_name())


def _ask_which(parser: argparse.ArgumentParser, path: Path, root: str, here: str) -> NoReturn:
    parser.error(
        f"`{path.name}` was found in a parent folder. Please pass one of\n"
        f"  --root: synchronize the whole project ({_shown(root) if is_url(root) else root})\n"
        f"  --here: synchronize this branch only ({here})"
    )
