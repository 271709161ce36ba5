"""Where the command line is meant to differ from pyftpsync 4.1.0 (and 3.1.0), and how. Read as text;
`tests/oracle/test_scenarios.py` uses it.

Defects that can be taken out of the reference exactly are named by the scenarios themselves (`repairs`). A `Rule`
covers what differs from the reference without them: in the scenarios it speaks of, lines that match its patterns may
be on one side only, and the things it names may differ, if `holds`. A rule that no scenario needs must go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Outcome = dict[str, Any]
Holds = Callable[[Outcome, Outcome], bool]

ANYTHING = r".*"


def always(reference: Outcome, ours: Outcome) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    id: str
    contract: str
    reason: str
    #: Pattern of the names of the scenarios.
    scenarios: str = ANYTHING
    #: Patterns of whole lines, of standard output and standard error, that only one side has.
    theirs: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    #: What else may differ: exit, local, remote, meta, stats, progress, talk.
    fields: frozenset[str] = frozenset()
    holds: Holds = always

    def speaks_of(self, scenario: str) -> bool:
        return re.fullmatch(self.scenarios, scenario) is not None

    def allows(self, line: str, is_ours: bool) -> bool:
        return any(re.fullmatch(pattern, line) for pattern in (self.ours if is_ours else self.theirs))


# --- words used below --------------------------------------------------------------------------------------

TREES = frozenset({"local", "remote", "meta"})
SUMMARY = (
    r"(\(DRY-RUN\) )?Wrote \d+/\d+ files in \d+ directories, skipped: \d+, errors: \d+\.( Elap: # sec\.)?"
)
SUMMARY_31 = r"(\(DRY-RUN\) )?Wrote \d+/\d+ files in \d+ directories, skipped: \d+\.( Elap: # sec\.)?"
PAIR = r"    <EntryPair\(.*\)>: \(\w+, \w+\) => \w+"
ACTION = r"[A-Z]+ [A-Z .]{0,20} +[*<>X=?x-]+ +.*"
COUNTS = (SUMMARY, SUMMARY_31)


def failed(reference: Outcome, ours: Outcome) -> bool:
    return bool(reference["exit"] == ours["exit"] == 1)


def nothing_lost(reference: Outcome, ours: Outcome) -> bool:
    """What either side still has in the reference it has in ours, too."""
    return all(reference[side].keys() <= ours[side].keys() for side in ("local", "remote"))


def same_trees(reference: Outcome, ours: Outcome) -> bool:
    return all(reference[side] == ours[side] for side in ("local", "remote"))


def without_untrue(outcome: Outcome) -> dict[str, Any]:
    """The metadata, without times of remote files that are not there or not of that size, and without what is empty."""
    kept: dict[str, Any] = {}
    for place, told in outcome["meta"].items():
        side, folder = place.split(":", 1)
        if isinstance(told, dict) and side == "remote":
            times = {
                name: seen
                for name, seen in told["mtimes"].items()
                if outcome[side].get(name if folder == "." else f"{folder}/{name}", [None])[0] == seen[1]
            }
            told = {**told, "mtimes": times}
            if not times and not told["peer"]:
                continue
        kept[place] = told
    return kept


def same_where_true(reference: Outcome, ours: Outcome) -> bool:
    return same_trees(reference, ours) and without_untrue(reference) == without_untrue(ours)


def only_remote_meta_is_missing(reference: Outcome, ours: Outcome) -> bool:
    local = [
        {place: told for place, told in side["meta"].items() if place.startswith("local:")}
        for side in (reference, ours)
    ]
    return (
        local[0] == local[1]
        and same_trees(reference, ours)
        and not any(p.startswith("remote:") for p in ours["meta"])
    )


# --- rules -------------------------------------------------------------------------------------------------

RULES = [
    Rule(
        id="an error is one line",
        contract="section 13: exit codes 0 ok, 1 error; section 15: exceptions",
        reason="A traceback tells a user nothing. What went wrong is said in one line, with the advice there is; the "
        "exit code is the same, and -vv shows the traceback, too.",
        scenarios="wrong password|wrong local folder|scan|tree|metadata of another version|nobody at the address|"
        "password from netrc|upload with nobody to ask",
        theirs=(r"TRACEBACK .*", r"Consider passing --migrate to discard old data\."),
        ours=(r"ERROR: .*",),
        holds=failed,
    ),
    Rule(
        id="our own words",
        contract="section 5.2, 5.3, 12.2, 13.1: the beginnings of these messages",
        reason="They begin as documented, and go on in words of our own.",
        theirs=(
            r"Could not change (remote )?directory to '?/.*",
            r"Could not login to None@.*",
            r"pyftpsync: error: Missing mandatory entries: .*",
            r"pyftpsync: error: '--debug' requires .*",
            r"pyftpsync: error: Invalid (entry|entries): tasks\..*",
            r"pyftpsync: error: no_dry_run should not be used .*",
            r"pyftpsync: error: missing command \(choose from .*",
            r"pyftpsync: error: a file system target is expected to be local",
            r"pyftpsync: error: argument \{.*\}: invalid choice: .*",
            r"pyftpsync: error: `pyftpsync.yaml` configuration was found in a parent directory\. .*",
            r"  --(root|here): synchronize .*",
            r"Using sub-branch .*",
            r"Migrating meta data version from 2 to 3 .*",
            r"Classified .*, meta=.*",
            r"pyftpsync: error: Error parsing <local>/pyftpsync\.yaml: while parsing a flow node",
            r"expected the node content, but found '\}'",
            r'  in "<local>/pyftpsync\.yaml", line \d+, column \d+',
        ),
        ours=(
            r"Could not change (remote )?directory to '?/.*",
            r"Could not login to anonymous@.*",
            r"pyftpsync: error: Missing mandatory entries: .*",
            r"pyftpsync: error: '--debug' requires .*",
            r"pyftpsync: error: Invalid (entry|entries): tasks\..*",
            r"pyftpsync: error: no_dry_run should not be used .*",
            r"pyftpsync: error: missing command \(choose from .*",
            r"pyftpsync: error: a file system target is expected to be local: .*",
            r"pyftpsync: error: argument command: invalid choice: .*",
            r"pyftpsync: error: `pyftpsync.yaml` was found in a parent folder\. .*",
            r"  --(root|here): synchronize .*",
            r"Using sub-branch .*",
            r"Migrating meta data version from 2 to 3: .*",
            r"Classified .*",
            r"pyftpsync: error: Error parsing <local>/pyftpsync\.yaml: .*, in line \d+, column \d+",
        ),
    ),
    Rule(
        id="nobody is there to answer",
        contract="section 9: prompt; section 13: exit codes",
        reason="Where input has ended, conflicts are left alone and said to be, all else is done, and the exit code is "
        "that of the reference, which stops with a traceback.",
        scenarios="(upload|sync) with nobody to ask",
        theirs=(r"TRACEBACK EOFError: .*", r"Use .*, Help \? ERROR: EOF when reading a line", PAIR),
        ours=(
            r"There is nobody to ask about conflicts: they are left alone\. See --resolve\.",
            rf"(Use .*, Help \? )?{ACTION}",
            *COUNTS,
        ),
        fields=frozenset({"meta"}),
        holds=lambda reference, ours: failed(reference, ours) and same_where_true(reference, ours),
    ),
    Rule(
        id="more options go before the task",
        contract="section 13.1: CLI flags override",
        reason="Options that the reference takes from the command line only where the task is silent override it here.",
        scenarios="options without a part to play",
        ours=(r"Override yaml entry `tasks\.both\.(case|migrate|store_password): None` with CLI arg .*",),
    ),
    Rule(
        id="an older file was put there",
        contract="section 0: what somebody changed is not overwritten; section 12: remembered times",
        reason="Where the right time of a file on a server is only remembered, the reference takes a file of the same "
        "size that is older than the upload for the uploaded one, and overwrites it. It is another, as from a backup.",
        scenarios="touched but equal",
        theirs=(ACTION, SUMMARY),
        ours=(ACTION, SUMMARY),
        fields=frozenset({"remote", "meta"}),
        holds=nothing_lost,
    ),
    Rule(
        id="OPTS UTF8 once",
        contract="section 5.1: extra probes are free",
        reason="OPTS UTF-8 is no command that any server documents; only the one of the draft is sent.",
        theirs=(r"(INFO:pyftpsync:|INFO )?Sent 'OPTS UTF-8'\.",),
    ),
    Rule(
        id="no lock for single verbs",
        contract="section 0: D26, lock file",
        reason="A target that is opened without a run writes no lock file, so there is none to go back for.",
        scenarios="script: errors",
        theirs=(r"INFO:pyftpsync:Changing to ftp root folder to remove lock file: .*",),
    ),
    Rule(
        id="kind of error",
        contract="section 8: `Could not copy {name}: `",
        reason="The line says also what kind of error it was, since some have no words.",
        scenarios="script: unreadable",
        theirs=(r"ERROR:pyftpsync:Could not copy only here\.txt: \[Errno 13\] not this one",),
        ours=(r"ERROR:pyftpsync:Could not copy only here\.txt: PermissionError: \[Errno 13\] not this one",),
    ),
    Rule(
        id="no lock, no offset",
        contract="section 0: D26, lock file; section 12.3",
        reason="The offset of the server's clock comes from the lock file, which is not written where nothing is.",
        scenarios="download with the counters|how much a dry run tells|sync of matching names",
        theirs=(r"Server time offset: # seconds\.",),
    ),
    Rule(
        id="no lock, no complaint",
        contract="section 0: D26, lock file",
        reason="A download writes no lock file, so it cannot fail to.",
        scenarios="server is read-only",
        theirs=(r"Could not write lock file: 550 .*",),
    ),
    Rule(
        id="left-over lock",
        contract="section 0: D26, lock file",
        reason="A stale lock is taken over with a line.",
        scenarios="left-over lock",
        ours=(r"Took over the lock of a program that does not tell its name: it was written # days ago\.",),
    ),
    Rule(
        id="times set on the server",
        contract="section 0: 5.4 set_mtime, 12.1",
        reason="A server that sets times needs no metadata for them; all files show the times they should.",
        scenarios="(upload to|sync with|download from) a server that sets times|more files than connections",
        theirs=(r"Remove empty meta data file: <ftp://.*>",),
        fields=frozenset({"meta"}),
        holds=only_remote_meta_is_missing,
    ),
    Rule(
        id="times of removed files",
        contract="section 0: 5.4, existing remote entries are kept true; 12.3",
        reason="The time of a file that the run itself removes or finds edited is forgotten at once.",
        theirs=(r"Remove empty meta data file: <ftp://.*>",),
        ours=(r"Remove empty meta data file: <ftp://.*>",),
        fields=frozenset({"meta"}),
        holds=same_where_true,
    ),
    Rule(
        id="no remarks about forgotten times",
        contract="section 12.3, section 13: verbosity",
        reason="A debugging aid of the reference that no document mentions.",
        scenarios="conflict in detail|how much is told|large files|sync leaves conflicts",
        theirs=(r"Removing meta entry .* \(size changed from \d+ to \d+\)\.",),
    ),
    Rule(
        id="folders are removed quietly",
        contract="D25",
        reason="No line for each folder inside a removed one.",
        scenarios="removed folders",
        theirs=(r"    ftp\.delete\(.*\) failed: 550 .*",),
    ),
    Rule(
        id="mass deletion",
        contract="section 0: deletion guards",
        reason="A side that has lost most of what was known is not followed.",
        scenarios="mass deletion",
        theirs=COUNTS,
        ours=(
            r"The DELETE lines above were not carried out: .*",
            r"The remote side lost 7 of 8 known files .*",
            *COUNTS,
        ),
        fields=frozenset({"exit", "local", "meta"}),
        holds=lambda reference, ours: (
            ours["exit"] == 1 and nothing_lost(reference, ours) and len(ours["local"]) == 8
        ),
    ),
    Rule(
        id="edited inside a removed folder",
        contract="section 0: folder removed on one side, edited inside on the other; D40",
        reason="The edited file stays, and is reported as a conflict.",
        scenarios="edited inside a removed folder",
        theirs=COUNTS,
        ours=(r"SKIP CONFLICT    \*\?\* d/a\.txt", r"Remove empty meta data file: <ftp://.*>", *COUNTS),
        fields=frozenset({"remote", "meta"}),
        holds=lambda reference, ours: (
            nothing_lost(reference, ours)
            and ours["remote"].keys() - reference["remote"].keys() == {"d", "d/a.txt"}
        ),
    ),
    Rule(
        id="names differing in case",
        contract="section 14: names differing in case",
        reason="One line that names both and the option; the rest of the run goes on.",
        scenarios="renamed by case",
        theirs=(r"TRACEBACK RuntimeError: Found ambigiuos name \(.*",),
        ours=(
            r'Found ambigiuos name \(differs only in case\): local "README\.txt", remote "readme\.txt"; .*',
            *COUNTS,
        ),
        holds=lambda reference, ours: failed(reference, ours) and same_trees(reference, ours),
    ),
    Rule(
        id="spelling of one side",
        contract="D21",
        reason="With --case local a file keeps its real name on either side, so there is never a second one.",
        scenarios="case of one side",
        theirs=(
            r"TRACEBACK RuntimeError: Remote target contains file names that only differ in case: .*",
            *COUNTS,
        ),
        ours=(ACTION, r"EQUAL .*", r"Remove empty meta data file: <ftp://.*>", *COUNTS),
        fields=frozenset({"exit", "remote", "meta"}),
        holds=lambda reference, ours: (
            ours["exit"] == 0
            and ours["remote"].keys()
            == {
                *(f"anchor{number}.txt" for number in range(8)),
                "two.txt",
            }
        ),
    ),
    Rule(
        id="file against folder",
        contract="section 9: file against folder of one name",
        reason="The reference dies with a bare AssertionError. Ours names the pair, leaves it alone, and goes on.",
        scenarios="file (against|instead of) folder",
        theirs=(r"TRACEBACK AssertionError",),
        ours=(
            r'Could not synchronise "[dx]": a file on one side, a folder on the other; .*',
            ACTION,
            *COUNTS,
        ),
        fields=TREES,
        holds=lambda reference, ours: failed(reference, ours) and nothing_lost(reference, ours),
    ),
    Rule(
        id="help of the prompt",
        contract="section 9: prompt",
        reason="Our own words, and the difference is not shown again after them.",
        scenarios="answers of many kinds|(upload|download) asks|script: patched input",
        theirs=(
            r"  '\w': .*",
            r"The following keys are supported:",
            r"Hold Shift .*",
            r"Hit Ctrl\+C to abort\.",
            r"CONFLICT: .*",
            r"    (Local|Remote): .*",
            r"    Original modification time: .*",
            r"    \(No meta data available\.\)",
        ),
        ours=(r"Answers \(.*\):", r"  ([lronsk]|b|h, \?|Ctrl\+C): .*"),
        holds=same_trees,
    ),
    Rule(
        id="nothing to compare with",
        contract="section 15: difference block, `Files cannot be compared (`; section 9: prompt",
        reason="Comparing a file that one side has lost is answered, not a crash.",
        scenarios="comparison without a file",
        theirs=(r"TRACEBACK AssertionError", r"ERROR:", PAIR),
        ours=(
            r"    Files cannot be compared \(one side does not have it\)\.",
            r"Use .*, Help \?",
            r"SKIP CONFLICT    \*\?\* gone\.txt",
            *COUNTS,
        ),
        fields=frozenset({"exit", "meta"}),
        holds=lambda reference, ours: ours["exit"] == 0 and same_where_true(reference, ours),
    ),
    Rule(
        id="options before the command",
        contract="D18",
        reason="-v and -q count on either side of the command.",
        scenarios="options before the command",
        theirs=(ANYTHING,),
        ours=(ANYTHING,),
        holds=lambda reference, ours: reference["exit"] == ours["exit"] == 0 and same_trees(reference, ours),
    ),
    Rule(
        id="scan cleans",
        contract="section 0: D10, scan --remove-meta / --remove-locks",
        reason="What is said to be deleted is deleted; the names are full paths, as for metadata.",
        scenarios="scan that cleans",
        theirs=(r"DELETE .*",),
        ours=(r"DELETE .*",),
        fields=TREES,
        holds=lambda reference, ours: (
            not any(place.startswith("remote:") for place in ours["meta"])
            and reference["remote"].keys() - ours["remote"].keys() <= {"sub/.pyftpsync-lock.json"}
        ),
    ),
    Rule(
        id="unreadable metadata",
        contract="12.2",
        reason="One line in the words of another parser. Where the local side has lost its memory, files that "
        "differ are conflicts, and none is met for the first time. What ours remembers on the local side tells "
        "that the files on the server are as they were; without a change there is nothing to write there, so "
        "the damaged file stays.",
        scenarios="damaged metadata",
        theirs=(
            r"Could not read meta info .*",
            r"COPY (EXISTING|MODIFIED|UNMODIFIED) +[<>]  .*",
            r"Remove empty meta data file: .*",
            *COUNTS,
        ),
        ours=(
            r"Could not read meta info .*; (it is treated as empty|nothing is deleted there, .* are conflicts)\.",
            r"COPY NEW +[<>]  .*",
            r"SKIP CONFLICT    \*\?\* newer (here|there)\.txt",
            *COUNTS,
        ),
        fields=frozenset({"local", "remote", "meta"}),
        holds=lambda reference, ours: (
            reference["exit"] == ours["exit"] == 0 and nothing_lost(reference, ours)
        ),
    ),
    Rule(
        id="migration",
        contract="12.2, D3",
        reason="The old file is replaced in one step, so no empty one is removed in between.",
        scenarios="metadata of another version",
        theirs=(r"Remove empty meta data file: <FS:<local> \+ \.>",),
        holds=same_trees,
    ),
    Rule(
        id="a refused file",
        contract="section 0: D24; section 17.5; section 13: exit codes",
        reason="A file that the server refuses is told and counted, and the rest goes on; the reference stops there. "
        "What it leaves of a download is an empty file, which it takes for a new one later.",
        scenarios="server (refuses a file|keeps a file to itself|is read-only)",
        theirs=(r"TRACEBACK ftplib\.error_perm: 550 .*", r"ERROR: 550 .*", PAIR, ACTION, *COUNTS),
        ours=(r"Could not (copy|make the folder) .*: 550 .*", ACTION, *COUNTS),
        fields=TREES | {"exit"},
        holds=lambda reference, ours: (
            ours["exit"] in (1, 10)
            and "Could not" in " ".join(ours["stderr"])
            and [0, "", "began"] not in ours["local"].values()
        ),
    ),
    Rule(
        id="servers without MLSD",
        contract="section 0: 5.4, servers without MLSD",
        reason="LIST is used.",
        scenarios="server without MLSD",
        theirs=(r"TRACEBACK RuntimeError: The FTP server does not support the 'MLSD' command\.",),
        ours=(ANYTHING,),
        fields=TREES | {"exit"},
        holds=lambda reference, ours: ours["exit"] == 0 and nothing_lost(reference, ours),
    ),
    Rule(
        id="the end of a run",
        contract="section 16: problems and conflicts are never silent",
        reason="What has to be looked at is listed once more behind the statistics: problems, conflicts that were left "
        "alone, and where the older of two files lies that met for the first time.",
        ours=(
            r" *\d+ (problems? in this run|conflicts? left alone; .*|older files? gave way .*):?",
            r" *\(DRY-RUN\) \d+ older files? would give way .*",
            # Scripts may indent what they print.
            r"(    )?  (?! )\S.*",
        ),
    ),
]
