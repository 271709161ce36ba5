"""The command `pyftpsync doctor`: what a server can do, what a run makes of it, and what may be wrong."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import textwrap
from typing import Any, Final

from ftpsync._base_target import _Target
from ftpsync._errors import harmless, in_one_line
from ftpsync.cli_common import (
    common_parser,
    creds_parser,
    matcher_parser,
    sentence,
    server_parser,
    terminal_width,
    verbose_parser,
)
from ftpsync.synchronizers import process_options
from ftpsync.targets import make_target
from ftpsync.util import namespace_to_dict

__all__ = ["add_doctor_parser", "doctor_handler", "examine", "in_words"]

#: Grows when a key of the report gets another meaning.
_FORMAT: Final = 1
_WIDTH: Final = 13
#: A login this slow (seconds) may need more patience elsewhere.
_SLOW: Final = 10.0


def add_doctor_parser(subparsers: Any) -> None:
    """Adds the sub-command to the result of `ArgumentParser.add_subparsers()`."""
    text = "find out what a server can do, and what to add if something is wrong"
    parser = subparsers.add_parser(
        "doctor",
        usage="%(prog)s [OPTION ...] TARGET",
        parents=[verbose_parser, common_parser, server_parser, matcher_parser, creds_parser],
        help=text,
        description=sentence(text),
    )
    parser.add_argument("target", metavar="TARGET", help="URL or path of the folder")
    parser.add_argument("--json", action="store_true", help="print the report for programs")
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="change nothing (default: a small temporary file is written and removed)",
    )
    parser.set_defaults(handler=doctor_handler)


def doctor_handler(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Carries out the sub-command; returns 0 if the target can be used, else 1."""
    options = namespace_to_dict(args)
    process_options(options)
    options.setdefault("ftp_debug", 1 if args.verbose >= 6 else 0)
    is_quiet = args.read_only or args.dry_run
    if not args.json:
        target = make_target(args.target.removeprefix("file://"), options)
        report = examine(target, read_only=is_quiet)
        print(harmless(in_words(report)))
        return 0 if report["usable"] else 1
    try:
        # What is told or asked on the way is not for the program that reads the report.
        with contextlib.redirect_stdout(sys.stderr):
            target = make_target(args.target.removeprefix("file://"), options)
            report = examine(target, read_only=is_quiet)
    except Exception as exc:
        report = {"format": _FORMAT, "usable": False, "error": in_one_line(exc)}
    print(json.dumps(report, indent=2))
    return 0 if report["usable"] else 1


def examine(target: _Target, *, read_only: bool) -> dict[str, Any]:
    """Examines a target that is not open.

    Args:
        target: A local folder, or one on a server.
        read_only: Change nothing.

    Returns:
        The report: `format`, `url`, `usable`, `error`, `read_only`, what was found out, `uses` and `advice`.

    Raises:
        Exception: The target cannot be used, and nothing is left to be found out: whatever `open()` raises, or a root
            that can never be listed.
    """
    from ftpsync import _core

    target.open()
    try:
        native = getattr(target, "_native", None) or _core.Target.local(target.root_dir)
    finally:
        target.close()
    found = _core.check_up(native, not read_only)
    report = {
        "format": _FORMAT,
        "url": target.get_base_name(),
        "usable": "error" not in found,
        "error": None,
        "read_only": read_only,
        **found,
    }
    report["uses"] = _uses(report)
    report["advice"] = [{"problem": problem, "remedy": remedy} for problem, remedy in _advice(report)]
    return report


def in_words(report: dict[str, Any]) -> str:
    """Returns a report as text for people."""
    lines = [f"Check-up of {report['url']}", ""]
    lines += [_fact(name, text) for name, text in _facts(report)]
    lines += ["", "What a run does here:", *(f"  - {line}" for line in report["uses"]), ""]
    if report["advice"]:
        lines.append("What may be wrong:")
        for advice in report["advice"]:
            lines += [f"  ! {advice['problem']}", f"    {advice['remedy']}"]
    else:
        lines.append("Nothing seems wrong.")
    return "\n".join(lines)


def _fact(name: str, text: str) -> str:
    """Returns a line, or several that are indented alike where the terminal is too narrow."""
    width = min(110, max(60, terminal_width()))
    lines = textwrap.wrap(text, width - _WIDTH - 3, break_long_words=False, break_on_hyphens=False)
    return f"  {name:<{_WIDTH}} " + f"\n{' ' * (_WIDTH + 3)}".join(lines)


def _facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns names and sentences, in the order in which they are shown."""
    get = report.get
    facts = [
        ("server", ", ".join(word.rstrip(".") for word in (get("software"), get("system")) if word)),
        ("endpoint", f"{get('endpoint')}, region {get('region')}" if "endpoint" in report else None),
        ("host key", get("host_key")),
        ("login", _login(report)),
        ("encryption", _encryption(report)),
        ("features", " ".join(get("features") or ())),
        ("listing", _listing(report)),
        ("names", _names(report)),
        ("changes", _changes(report)),
        ("times", _times(report)),
        ("clock", _clock(get("clock_offset_seconds"))),
        ("renaming", _choose(get("rename_replaces"), "replaces an existing file", "does not replace a file")),
        ("data", _data(report)),
        ("connections", _connections(report)),
        ("checksums", " ".join(get("checksums") or ()) or ("none" if "checksums" in report else None)),
        ("resuming", _resuming(report)),
    ]
    return [(name, text) for name, text in facts if text]


def _choose(is_so: bool | None, yes: str, no: str) -> str | None:
    return None if is_so is None else yes if is_so else no


def _login(report: dict[str, Any]) -> str | None:
    if "sessions_wanted" not in report:
        return None
    who = f"as {report['login']}, " if report.get("login") else ""
    return f"{who}{report['login_seconds']:.2f} seconds"


def _encryption(report: dict[str, Any]) -> str | None:
    if "tls" not in report:
        return None
    if not report["tls"]:
        return "none: everybody on the way can read along"
    data = str(report.get("data_tls") or "")
    resumed = "; data connections resume the session" if "resumed" in data else ""
    return f"{report['tls']}{resumed}"


def _listing(report: dict[str, Any]) -> str:
    if report.get("error"):
        return f"fails: {report['error']}"
    parts = [str(report["listing"])] if report.get("listing") else []
    parts.append("1 entry" if report["entries"] == 1 else f"{report['entries']} entries")
    if not report["listing_complete"]:
        parts.append("perhaps incomplete")
    dots = _choose(report.get("shows_dot_files"), "names with a dot are shown", "names with a dot are hidden")
    return "; ".join([*parts, *([dots] if dots else [])])


def _names(report: dict[str, Any]) -> str | None:
    coding = _choose(report.get("utf8"), "UTF-8", "UTF-8 is not announced")
    case = _choose(
        report.get("case_sensitive"),
        "upper and lower case are different names",
        "upper and lower case are the same name",
    )
    return "; ".join(part for part in (coding, case) if part) or None


def _changes(report: dict[str, Any]) -> str | None:
    if report.get("error"):
        return None
    if report["read_only"]:
        return "not tried (--read-only)"
    if report["writable"]:
        left = report.get("left_before")
        also = (
            "; what an earlier check-up had left was removed, too"
            if left and not report.get("left_behind")
            else ""
        )
        return f"a temporary file was written, replaced and removed{also}"
    return f"refused: {report['refusal']}"


def _times(report: dict[str, Any]) -> str | None:
    if "sets_times" not in report:
        return None
    if "takes_conditions" in report:
        return "objects are dated by the server; the time of a file is kept with its object"
    if not report["sets_times"]:
        return "cannot be set"
    how = f"set by {report['times_set_by']}" if report.get("times_set_by") else "can be set"
    proof = "read back as set" if report["times_proven"] else "not seen again"
    grain = report.get("time_grain_seconds") or 0
    exact = f"; exact to {grain} seconds" if grain > 1 else ""
    return f"{how}, {proof}{exact}"


def _clock(offset: int | None) -> str | None:
    if offset is None:
        return None
    if offset == 0:
        return "right"
    return f"{_span(abs(offset))} {'ahead of' if offset > 0 else 'behind'} this computer"


def _span(seconds: int) -> str:
    """Returns a number of seconds in words: `5 seconds`, `9 hours`, `5 hours 30 minutes`."""
    if seconds < 120:
        return _count(seconds, "second")
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [(hours, "hour"), (minutes, "minute")]
    return " ".join(_count(number, unit) for number, unit in parts if number)


def _data(report: dict[str, Any]) -> str | None:
    words = {"epsv": "EPSV", "pasv": "PASV", "active": "active mode"}
    known = [(word, report[key]) for key, word in words.items() if report.get(key) is not None]
    works = ", ".join(word for word, is_good in known if is_good) or "nothing that was tried"
    fails = ", ".join(word for word, is_good in known if not is_good)
    return f"connections by {works}" + (f"; not by {fails}" if fails else "") if known else None


def _resuming(report: dict[str, Any]) -> str | None:
    works = {way: report.get(f"resumes_{way}") for way in ("downloads", "uploads")}
    if not report.get("resumes") or None in works.values():
        return _choose(report.get("resumes"), "announced (REST)", "not announced")
    good = [way for way, is_good in works.items() if is_good]
    if len(good) == 1:
        other = "uploads" if good == ["downloads"] else "downloads"
        return f"{good[0]} can be continued (REST); {other} begin anew"
    return (
        "transfers can be continued (REST)" if good else "announced (REST), and refused: transfers begin anew"
    )


def _connections(report: dict[str, Any]) -> str | None:
    if "sessions_wanted" not in report:
        return None
    return f"{report['sessions_opened']} of {report['sessions_wanted']} at the same time"


def _uses(report: dict[str, Any]) -> list[str]:
    """Returns what a run makes of the findings."""
    get = report.get
    if get("error"):
        return ["It ends with this error."]
    uses = []
    if get("listing"):
        uses.append(f"Folders are listed by {report['listing']}.")
    if get("data_by"):
        way = "active mode" if report["data_by"] == "active" else report["data_by"]
        uses.append(f"Data connections are made by {way}.")
    if "sessions_wanted" in report:
        most = max(1, report["sessions_opened"])
        uses.append("One connection is used." if most == 1 else f"Up to {most} connections are used.")
    if get("several_commands_at_once") is False:
        uses.append("Commands are sent one at a time, since several in one packet confuse the server.")
    if get("engine") == "suppaftp":
        uses.append("Commands are sent one at a time, as the engine suppaftp does it.")
    if get("writable"):
        uses.append(_use_of_names(report))
        if "windows" in (get("system") or "").lower():
            uses.append(
                "Names that Windows cannot have (with : ? * and the like) are refused before anything is sent."
            )
        if get("sets_times"):
            uses.append("Files get the time of their source.")
        else:
            also = ", and with each object" if "takes_conditions" in report else ""
            uses.append(f"Times of uploads are remembered in .pyftpsync-meta.json{also}.")
    elif get("writable") is False:
        uses.append("Downloads only.")
    return uses or ["Files are read."]


def _use_of_names(report: dict[str, Any]) -> str:
    if "takes_conditions" in report:
        how = "" if report["takes_conditions"] else "; it is asked before, since it takes no conditions"
        return f"Files appear whole, and replace only what was listed{how}."
    if report.get("temporary_names") is False or report["renames"] is False:
        return "Files are written in place, since temporary names or renaming do not work."
    if report.get("rename_replaces") is False:
        return (
            "Files are written under a temporary name; the old one steps aside before the new one is renamed."
        )
    return "Files are written under a temporary name, checked, and renamed."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _remedy_for_listing(report: dict[str, Any]) -> str:
    doubt = (report.get("listing_doubt") or "").lower()
    if any(word in doubt for word in ("truncated", "limit", "without saying so")):
        return "Ask the operator to allow longer listings (Pure-FTPd: LimitRecursion), or use sub-folders."
    if report.get("listing") == "MLSD":
        return "Try --no-mlsd, or a sub-folder."
    return "Try a sub-folder, or ask the operator for MLSD (RFC 3659)."


def _wants_data_tls(report: dict[str, Any]) -> bool:
    """Whether the server refuses data connections since they are not encrypted."""
    return not report.get("tls") and " 522 " in (report.get("error") or "")


def _sentence(text: str) -> str:
    """Ends in one full stop: some servers end their replies with one, others do not."""
    return text.rstrip(".") + "."


def _advice(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns what may be wrong, each with what can be done about it."""
    get = report.get
    found = []
    if get("left_behind"):
        names = ", ".join(report["left_behind"])
        found.append((f"A temporary file could not be removed again: {names}.", "Remove it by hand."))
    if get("left_before") and get("read_only"):
        names = ", ".join(report["left_before"])
        found.append(
            (
                f"An earlier check-up was interrupted, and has left a temporary file: {names}.",
                "Leave out --read-only and --dry-run: the next check-up removes it.",
            )
        )
    if get("writable") is False:
        found.append(
            (
                _sentence(f"Changes are refused: {report['refusal']}"),
                "Uploads need the right to write and rename.",
            )
        )
    if get("listing_complete") is False:
        why = f" ({report['listing_doubt']})" if get("listing_doubt") else ""
        found.append((f"Nothing is deleted because of this listing{why}.", _remedy_for_listing(report)))
    if get("hidden_from_mlsd"):
        hidden = _count(report["hidden_from_mlsd"], "name")
        found.append((f"MLSD hides {hidden} that LIST shows.", "Add --no-mlsd."))
    if get("shows_dot_files") is False:
        found.append(
            (
                "Names that begin with a dot are not listed, metadata of 4.1 and locks included.",
                "Ask the operator to list them (vsftpd: force_dot_files=YES).",
            )
        )
    if get("names_guessed"):
        found.append(
            (
                f"Not UTF-8: {_count(report['names_guessed'], 'name')}. The bytes are kept, and read as Windows-1252.",
                "Add --encoding NAME if that is not right, for example --encoding cp1251.",
            )
        )
    if get("pasv_as_named") and not get("epsv"):
        found.append(
            (
                "Data connections work only to the host that the server names, which is another one.",
                "Add --trust-pasv-host.",
            )
        )
    elif get("epsv") is False and get("pasv") is False and not _wants_data_tls(report):
        remedy = "Add --ftp-active." if get("active") else "Ask the operator which ports are open for data."
        found.append(("Passive data connections do not work.", remedy))
    if get("epsv_stalls"):
        found.append(
            (
                "EPSV leads nowhere, and each run waits for that before it goes on by PASV.",
                "Add --timeout 10 to wait less.",
            )
        )
    if get("mlsd_stalls"):
        found.append(("MLSD hangs, and each run waits for that before it goes on by LIST.", "Add --no-mlsd."))
    if get("sessions_opened", 1) < get("sessions_wanted", 1):
        count = max(1, report["sessions_opened"])
        found.append(
            (
                _sentence(
                    f"Not more than {_count(count, 'connection')} could be opened: {report['sessions_refusal']}"
                ),
                f"Runs notice that themselves; --connections {count} saves them the try.",
            )
        )
    if get("clock_offset_seconds"):
        found.append(
            (
                f"The clock of the server is {_clock(report['clock_offset_seconds'])}.",
                "Where times cannot be set, that is allowed for. Elsewhere --resolve new and --resolve old leave "
                "alone what this may decide: compare the clocks nevertheless, and what time zone the server tells "
                "times in (vsftpd tells UTC with use_localtime=NO).",
            )
        )
    if report["login_seconds"] > _SLOW:
        found.append(
            (
                f"The login took {report['login_seconds']:.0f} seconds.",
                "Add --timeout SECONDS if runs give up.",
            )
        )
    if report["url"].startswith("ftp://") and "AUTH" in (get("features") or ()):
        found.append(
            ("The server can encrypt, but the URL does not ask for it.", "Use ftps:// instead of ftp://.")
        )
    if get("error") and not found:
        found.append(("The folder cannot be listed.", "Add -vvv to see what is said."))
    return found
