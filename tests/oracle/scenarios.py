"""What users do with the command line, each in one line and a few commands."""

from __future__ import annotations

from scenario import (
    ANCHORS,
    HERE,
    SETS_TIMES,
    THERE,
    Scenario,
    Step,
    do,
    download,
    edited,
    file,
    sync,
    upload,
)
from scenarios_asking import ASKING
from scenarios_more import MORE
from scenarios_names import NAMES
from scenarios_scripts import SCRIPTS

BOTH = ("4.1.0", "3.1.0")
#: Both sides have changed `clash`, and one has changed the file that the other removed.
CLASHES = [
    ("local", "clash.txt", edited("clash from here", 2)),
    ("remote", "clash.txt", edited("a clash from there", 3)),
    ("local", "gone.txt"),
    ("remote", "gone.txt", edited("edited there, gone here", 2)),
]
START = {**ANCHORS, "clash.txt": file("clash"), "gone.txt": file("gone")}


def everything() -> list[Scenario]:
    scenarios = [*UPLOADS, *DOWNLOADS, *SYNCS, *NAMES, *ASKING, *MORE, *SCRIPTS]
    assert len({scenario.folder for scenario in scenarios}) == len(scenarios), "two scenarios of one name"
    return scenarios


UPLOADS = [
    Scenario(
        "first upload",
        "A first upload, and a second one that has nothing to do.",
        [upload(), upload()],
        HERE,
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "upload to an empty folder",
        "Everything is new; then a file changes, one is added, one goes.",
        [
            upload(),
            upload(
                edits=[
                    ("local", "same.txt", edited("changed")),
                    ("local", "sub/added.txt", edited("added")),
                    ("local", "only here.txt"),
                ]
            ),
        ],
        HERE,
        releases=BOTH,
    ),
    Scenario(
        "rehearsed upload",
        "A dry run, the real one, and a dry run that has nothing to do.",
        [upload("-n"), upload(), upload("--dry-run")],
        HERE,
        THERE,
    ),
    Scenario(
        "forced upload",
        "What is newer on the server is overwritten.",
        [upload("--force"), upload("--force")],
        HERE,
        THERE,
    ),
    Scenario(
        "upload with deletions",
        "What was removed here goes there, too; so do files that were never here.",
        [
            upload(),
            upload("--delete", edits=[("local", "sub/here.txt"), ("local", "new here/n.txt")]),
            upload("--delete"),
        ],
        {**HERE, **ANCHORS},
        THERE,
        repairs=("D5",),
    ),
    Scenario(
        "upload without deletions",
        "What was removed here stays there, and is told each time.",
        [upload(), upload(edits=[("local", "sub/here.txt"), ("local", "anchor1.txt")]), upload()],
        {**HERE, **ANCHORS},
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "upload of matching files",
        "Only text files take part; the rest is left alone.",
        [upload("--match", "*.txt"), upload("-m", "*.txt,em*", "-v")],
        HERE,
        THERE,
    ),
    Scenario(
        "upload that removes what does not match",
        "Files on the server that the filter leaves out are removed.",
        [upload("--delete-unmatched", "-x", "*.bak,old"), upload("--delete-unmatched", "-x", "*.bak,old")],
        {**ANCHORS, "mine.bak": file("x")},
        {**ANCHORS, "theirs.bak": file("y"), "old/x.txt": file("z")},
    ),
    Scenario(
        "upload with excludes",
        "Excluded names are left out on both sides.",
        [upload("--exclude", "*.tmp,build", "-v"), upload("-x", "*.tmp,build")],
        {"a.txt": file("a"), "b.tmp": file("b"), "build/c.txt": file("c")},
        {"d.tmp": file("d")},
    ),
    Scenario(
        "excludes by default",
        "Folders of version control are left out.",
        [upload("-v")],
        {"a.txt": file("a"), ".git/config": file("c"), ".DS_Store": file("d"), ".hg": None},
        {".svn/entries": file("e")},
    ),
    Scenario(
        "excludes switched off",
        "An empty list of excludes leaves nothing out.",
        [upload("-x", "")],
        {"a.txt": file("a"), ".git/config": file("c")},
    ),
    Scenario(
        "excluded names in new folders",
        "What is excluded is left out also in folders that are copied as a whole.",
        [upload(), upload()],
        {
            "new/a.txt": file("a"),
            "new/.git/config": file("c"),
            "new/deep/.DS_Store": file("d"),
            "new/deep/b.txt": file("b"),
        },
        repairs=("D2",),
    ),
    Scenario(
        "upload creates the folder",
        "The folder on the server is missing and wanted.",
        [
            do("upload", "{local}", "{url}/new", "--create-folder"),
            do("upload", "{local}", "{url}/new", "--create-folder"),
        ],
        HERE,
    ),
    Scenario(
        "upload to a missing folder",
        "The folder on the server is missing: an error that says how to make it.",
        [do("upload", "{local}", "{url}/new"), do("upload", "{local}", "{url}/new", "-qqq")],
        HERE,
    ),
    Scenario(
        "upload settles for here",
        "Files that changed on both sides, or were removed here, are as here.",
        [upload(), upload("--resolve", "local", edits=CLASHES), upload("--resolve", "local")],
        START,
        releases=BOTH,
        repairs=("D5",),
    ),
    Scenario(
        "upload leaves conflicts",
        "Conflicts are skipped and reported by the exit code, again and again.",
        [upload(), upload("--resolve", "skip", "--report-problems", edits=CLASHES), upload("--resolve=skip")],
        START,
    ),
    Scenario(
        "upload with nobody to ask",
        "A conflict, nobody at the keyboard.",
        [upload(), upload(edits=CLASHES[:2], asks=True)],
        START,
    ),
    Scenario(
        "no problems to report",
        "Without problems the exit code is 0.",
        [upload("--report-problems"), sync("--report-problems"), download("--report-problems")],
        HERE,
        THERE,
    ),
    Scenario(
        "upload to a server that sets times",
        "The same, with a server that can set the times of files.",
        [upload(), upload(edits=[("local", "same.txt", edited("changed"))]), upload("-v")],
        HERE,
        THERE,
        server=SETS_TIMES,
    ),
    Scenario(
        "upload in active mode",
        "The server connects to the client.",
        [upload("--ftp-active")],
        HERE,
        THERE,
        server=("--no-mfmt", "--threads"),
    ),
    Scenario(
        "upload with progress",
        "Progress is shown although nobody looks.",
        [
            upload("--progress"),
            upload("--progress", "-q"),
            upload("-n", "--progress", edits=[("local", "x", edited("x"))]),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "upload at a terminal",
        "Colours and progress, as a user sees them.",
        [
            upload("--resolve", "skip", answers={}),
            upload("--no-color", "--resolve", "skip", answers={}, edits=[("local", "x", edited("x"))]),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "upload as a module",
        "The same program as python -m.",
        [Step(("upload", "{local}", "{url}"), as_module=True), Step(("-V",), as_module=True)],
        HERE,
        THERE,
    ),
    Scenario(
        "uploads from the folder itself",
        "LOCAL is a dot; a slash ends the address.",
        [do("upload", ".", "{url}/", at="local"), do("upload", "sub", "{url}/sub", at="local")],
        HERE,
        THERE,
    ),
    Scenario(
        "upload of one sub folder",
        "Later the parent is uploaded: what is there is found there.",
        [do("upload", "{local}/sub", "{url}/sub"), upload()],
        HERE,
        {"sub": None},
    ),
    Scenario(
        "upload to two folders",
        "Each has a history of its own.",
        [
            do("upload", "{local}", "{url}/one"),
            do("upload", "{local}", "{url}/two"),
            do("upload", "{local}", "{url}/one", "--delete", edits=[("local", "anchor3.txt")]),
            do("upload", "{local}", "{url}/two", "--delete"),
        ],
        ANCHORS,
        {"one": None, "two": None},
    ),
]

DOWNLOADS = [
    Scenario(
        "first download",
        "A first download, and a second one that has nothing to do.",
        [download(), download()],
        HERE,
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "download to an empty folder",
        "Everything is new; then a file changes, one is added, one goes.",
        [
            download(),
            download(
                edits=[
                    ("remote", "same.txt", edited("changed", 2)),
                    ("remote", "sub/added.txt", edited("added", 2)),
                    ("remote", "only there.txt"),
                ]
            ),
        ],
        {},
        {**THERE, **ANCHORS},
        releases=BOTH,
    ),
    Scenario(
        "rehearsed download", "A dry run, then the real one.", [download("-n"), download()], HERE, THERE
    ),
    Scenario(
        "forced download",
        "What is newer here is overwritten.",
        [download("--force"), download()],
        HERE,
        THERE,
    ),
    Scenario(
        "download with deletions",
        "What was removed there goes here, too.",
        [
            download(),
            download("--delete", edits=[("remote", "sub/there.txt"), ("remote", "anchor1.txt")]),
            download("--delete"),
        ],
        HERE,
        {**THERE, **ANCHORS},
    ),
    Scenario(
        "download that removes what does not match",
        "Files here that the filter leaves out are removed.",
        [download("--delete-unmatched", "-m", "*.txt"), download("--delete-unmatched", "-m", "*.txt")],
        {**ANCHORS, "mine.bak": file("x")},
        {**ANCHORS, "theirs.bak": file("y")},
    ),
    Scenario(
        "download settles for there",
        "Files that changed on both sides, or were removed there, are as there.",
        [
            download(),
            download(
                "--resolve",
                "remote",
                edits=[*CLASHES[:2], ("remote", "gone.txt"), ("local", "gone.txt", edited("edited here"))],
            ),
            download(),
        ],
        {},
        START,
        releases=BOTH,
    ),
    Scenario(
        "download leaves conflicts",
        "Conflicts are skipped and reported by the exit code.",
        [download(), download("--resolve", "skip", "--report-problems", edits=CLASHES[:2])],
        {},
        START,
    ),
    Scenario(
        "download with the counters",
        "Verbosity 5 shows the statistics.",
        [download("-vv"), download("-vv")],
        HERE,
        THERE,
    ),
    Scenario(
        "download from a server that sets times",
        "Files keep the time of the server.",
        [download(), download(edits=[("remote", "same.txt", edited("changed", 2))])],
        HERE,
        THERE,
        server=SETS_TIMES,
    ),
    Scenario("download of nothing", "Both sides are empty.", [download(), upload(), sync()]),
]

SYNCS = [
    Scenario(
        "first sync",
        "Both sides get what the other has; then there is nothing to do.",
        [sync(), sync()],
        HERE,
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "changes on both sides",
        "New, changed and removed files of both sides, in several runs.",
        [
            sync(),
            sync(
                edits=[
                    ("local", "same.txt", edited("changed here")),
                    ("local", "brand new.txt", edited("new here")),
                    ("remote", "newer there.txt", edited("changed there", 2)),
                    ("remote", "sub/new.txt", edited("new there", 2)),
                    ("local", "sub/here.txt"),
                ]
            ),
            sync(edits=[("remote", "sub/deep/inner.txt"), ("local", "sub/deep/other.txt", edited("other"))]),
            sync(),
        ],
        {**HERE, **ANCHORS},
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "removed folders",
        "A folder that is removed on one side goes on the other.",
        [sync(), sync(edits=[("local", "new here")]), sync(edits=[("remote", "new there")]), sync()],
        {**HERE, **ANCHORS},
        THERE,
    ),
    *(
        Scenario(
            f"sync settles for {way}",
            f"Conflicts are settled by --resolve {way}.",
            [sync(), sync("--resolve", way, edits=CLASHES), sync("--resolve", way)],
            START,
            releases=BOTH if way in ("local", "remote") else ("4.1.0",),
            repairs=("D5",) if way == "local" else (),
        )
        for way in ("local", "remote")
    ),
    *(
        Scenario(
            f"sync settles for the {way} file",
            f"Changes on both sides are settled by --resolve {way}.",
            [sync(), sync("--resolve", way, edits=CLASHES[:2]), sync("--resolve", way)],
            START,
        )
        for way in ("old", "new")
    ),
    Scenario(
        "old and new for a removed file",
        "Between an edit and a removal neither side is older.",
        [sync(), sync("--resolve", "new", "-v", edits=CLASHES[2:]), sync("--resolve", "old")],
        START,
        repairs=("D6",),
    ),
    Scenario(
        "sync leaves conflicts",
        "Conflicts are skipped and reported by the exit code.",
        [
            sync(),
            sync("--resolve", "skip", "--report-problems", edits=CLASHES),
            sync("--resolve", "skip", "-vv"),
        ],
        START,
    ),
    Scenario(
        "sync with nobody to ask",
        "Conflicts, nobody at the keyboard.",
        [sync(), sync(edits=CLASHES, asks=True)],
        START,
    ),
    Scenario(
        "rehearsed sync",
        "A dry run of everything, conflicts included.",
        [sync(), sync("-n", "--resolve", "new", edits=CLASHES[:2]), sync("-n", "--resolve", "local")],
        START,
    ),
    Scenario(
        "sync with a server that sets times",
        "Changes on both sides, with a server that can set times.",
        [
            sync(),
            sync(
                edits=[
                    ("local", "same.txt", edited("changed here")),
                    ("remote", "newer there.txt", edited("changed there", 2)),
                    ("local", "sub/here.txt"),
                ]
            ),
            sync(),
        ],
        {**HERE, **ANCHORS},
        THERE,
        server=SETS_TIMES,
        repairs=("D5",),
    ),
    Scenario(
        "sync of two local folders",
        "No server at all.",
        [
            do("sync", "{local}", "{home}/other"),
            do("sync", "{local}", "{home}/other", edits=[("local", "same.txt")]),
            do("upload", "{local}", "{home}/other", "--delete"),
            do("sync", "{home}/other", "{local}"),
        ],
        {**HERE, **ANCHORS},
        home={f"other/{name}": node for name, node in THERE.items()},
    ),
    Scenario(
        "up, down and both ways",
        "The three commands in turn, on one pair of folders.",
        [
            upload(),
            download(),
            sync(edits=[("local", "same.txt", edited("changed"))]),
            upload(edits=[("remote", "anchor1.txt", edited("changed", 3))]),
            download("--delete"),
            sync(),
        ],
        {**HERE, **ANCHORS},
        THERE,
    ),
    Scenario(
        "mass deletion",
        "Nearly everything is gone on one side.",
        [sync(), sync(edits=[("remote", f"anchor{n}.txt") for n in range(7)])],
        ANCHORS,
    ),
    Scenario(
        "edited inside a removed folder",
        "One side removes a folder in which the other has changed a file.",
        [
            sync(),
            sync(
                "--resolve", "skip", edits=[("local", "d"), ("remote", "d/a.txt", edited("changed there", 2))]
            ),
        ],
        {**ANCHORS, "d/a.txt": file("a"), "d/b.txt": file("b")},
    ),
]
