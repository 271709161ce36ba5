"""Scenarios of the other commands (run, scan, tree), of metadata, and of what goes wrong."""

from __future__ import annotations

from scenario import ANCHORS, HERE, SETS_TIMES, THERE, Scenario, do, download, edited, file, sync, upload

BOTH = ("4.1.0", "3.1.0")
TASKS = """
default_task: up
common_config:
  remote: {url}
  local: .
  exclude: ["*.tmp", .git]
tasks:
  up:
    command: upload
  down:
    command: download
    delete: true
    match: "*.txt"
  both:
    command: sync
    resolve: local
    verbose: 4
  rehearsal:
    command: upload
    dry_run: true
  forced:
    command: upload
    force: true
    report_problems: true
  tree:
    command: tree
  files:
    command: tree
    files: true
    sort: true
  cleaning:
    command: upload
    delete_unmatched: true
    exclude: "*.tmp,*.bak"
"""


def project(text: str, name: str = "pyftpsync.yaml") -> dict:
    return {**HERE, ".git/config": file("c"), "x.tmp": file("x"), name: file(text)}


def task(*args: str, **more):
    return do("run", *args, **{"at": "local", **more})


def wrong_tasks(text: str, *args: str):
    """A task file that is replaced by this one, and a run."""
    return task(*args, edits=[("local", "pyftpsync.yaml", file(text))])


OLD_META = '{"_file_version": 2, "mtimes": {"same.txt": {"m": 1, "s": 8, "u": 2}}, "peer_sync": {}}'
FOREIGN_LOCK = '{"lock_time": 1600000000.0, "lock_holder": null}'

MORE = [
    Scenario(
        "run a task",
        "The default task, and others by name.",
        [task(), task("down"), task("both"), task("forced"), task("cleaning")],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "rehearsed task",
        "A task says dry_run; the command line may say otherwise.",
        [
            task("rehearsal"),
            task("rehearsal", "--no-dry-run"),
            task("rehearsal", "--execute"),
            task("up", "-n"),
            task("up", "--no-dry-run"),
        ],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "task overridden",
        "Options of the command line go before those of the task.",
        [
            task("up", "--force", "-v"),
            task("both", "-q"),
            task("both", "-v", "--no-color", "--progress"),
            task("up", "--report-problems", "-v"),
            task("tree", "--files", "--sort"),
        ],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "tree by a task",
        "A task draws the tree of its remote folder.",
        [task("tree"), task("files")],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "run in a sub folder",
        "The task file lies in a folder above: the user has to say what is meant.",
        [
            task(folder="sub"),
            task("--here", folder="sub"),
            task("--root", folder="sub"),
            task("up", "--here", folder="sub/deep"),
            task("tree", "--here", folder="sub"),
        ],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "run below the local folder",
        "The task names a local folder beside the task file.",
        [
            do("run"),
            do("run", at="local", folder="sub"),
            do("run", "--here", at="local", folder="sub"),
            do("run", "--root", at="local", folder="sub"),
        ],
        HERE,
        THERE,
        {"pyftpsync.yaml": file(TASKS.replace("local: .", "local: work"))},
    ),
    Scenario(
        "task says here or root",
        "The task itself says what a sub folder means.",
        [task("a", folder="sub"), task("b", folder="sub"), task("a", "--root", folder="sub")],
        project(
            "common_config: {remote: '{url}', command: upload}\ntasks:\n  a: {here: true}\n  b: {root: true}\n"
        ),
        THERE,
    ),
    Scenario("no task file", "There is none, here or above.", [do("run"), do("run", "up")], HERE),
    Scenario(
        "wrong tasks",
        "Whatever can be wrong with a task file is a usage error.",
        [
            task("nonsense"),
            wrong_tasks("tasks: {a: {command: upload, remote: '{url}'}}"),
            wrong_tasks("default_task: b\ntasks: {a: {command: upload, remote: '{url}'}}"),
            wrong_tasks("tasks: {a: {command: upload}}", "a"),
            wrong_tasks("tasks: {a: {remote: '{url}'}}", "a"),
            wrong_tasks("tasks: {a: {command: scan, remote: '{url}'}}", "a"),
            wrong_tasks("tasks: {a: {command: upload, remote: '{url}', nonsense: 1}}", "a"),
            wrong_tasks("tasks: {a: {command: upload, remote: '{url}', no_dry_run: true}}", "a"),
            wrong_tasks("nothing: 1"),
            wrong_tasks("tasks: {a: {command: [}}", "a"),
            wrong_tasks("\ufefftasks: {ä: {command: upload, remote: '{url}'}}", "ä"),
        ],
        project(TASKS),
        THERE,
    ),
    Scenario(
        "task file of 3.1",
        "The file had a dot before its name, and another default.",
        [task(), task("down")],
        project(
            "tasks:\n  default: {command: upload, remote: '{url}'}\n  down: {command: download, remote: '{url}'}\n",
            ".pyftpsync.yaml",
        ),
        THERE,
        releases=("3.1.0",),
    ),
    Scenario(
        "scan",
        "Counts, lists, in depth or not.",
        [
            do("scan", "{url}"),
            do("scan", "{url}", "--list"),
            do("scan", "{url}", "--list", "-r"),
            do("scan", "{url}", "--recursive"),
            do("scan", "{url}", "--list", "-r", "-x", "sub"),
            do("scan", "{url}", "--list", "-r", "-m", "*.txt", "-q"),
            do("scan", "{local}", "--list", "-r", "-v"),
            do("scan", "{url}/missing"),
        ],
        HERE,
        THERE,
        releases=BOTH,
    ),
    Scenario(
        "scan after an upload",
        "Times come from the metadata, and how far the server is off is told.",
        [upload(), do("scan", "{url}", "--list", "-r")],
        HERE,
    ),
    Scenario(
        "scan that rehearses cleaning",
        "With -n nothing is removed.",
        [
            sync(),
            do("scan", "{url}", "-r", "--remove-meta", "-n"),
            do("scan", "{local}", "-r", "--remove-meta", "-n"),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "scan that cleans",
        "Metadata and locks are removed.",
        [
            sync(),
            do("scan", "{url}", "-r", "--remove-meta"),
            do("scan", "{local}", "--remove-meta"),
            do(
                "scan",
                "{url}",
                "--remove-locks",
                "-r",
                edits=[("remote", "sub/.pyftpsync-lock.json", file(FOREIGN_LOCK))],
            ),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "tree",
        "Folders, files, sorted, and of a local folder.",
        [
            do("tree", "{url}", "--sort"),
            do("tree", "{url}", "--files", "--sort"),
            do("tree", "{url}", "--sort", "-x", "sub"),
            do("tree", "{url}", "--files", "--sort", "-m", "*.md"),
            do("tree", "{local}", "--files", "--sort"),
            do("tree", "{url}/sub"),
            do("tree", "{url}/missing"),
        ],
        HERE,
        {**THERE, "sub/in/deep/x.md": file("x" * 1234), "Big": None},
    ),
    Scenario(
        "metadata of another version",
        "An error that names the option; with it all starts anew.",
        [upload(), upload("--migrate"), upload()],
        {**HERE, ".pyftpsync-meta.json": file(OLD_META)},
        THERE,
        repairs=("D3",),
    ),
    Scenario(
        "damaged metadata",
        "What cannot be read is told, and treated as empty.",
        [
            sync(edits=[("local", ".pyftpsync-meta.json", file("{"))]),
            sync(edits=[("remote", ".pyftpsync-meta.json", file("no"))]),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "left-over lock",
        "A lock file of a run that was killed long ago.",
        [sync("-v"), sync()],
        HERE,
        {**THERE, ".pyftpsync-lock.json": file(FOREIGN_LOCK)},
    ),
    Scenario(
        "lock in a sub folder",
        "It is somebody else's root; it is no file to be copied.",
        [sync(), download()],
        HERE,
        {**THERE, "sub/.pyftpsync-lock.json": file(FOREIGN_LOCK)},
    ),
    Scenario(
        "nobody at the address",
        "The port is closed, the host unknown.",
        [
            do("upload", "{local}", "ftp://joe:secret@127.0.0.1:9/x"),
            do("tree", "ftp://joe:secret@127.0.0.1:9/x"),
            do("sync", "{local}", "ftp://joe:secret@127.0.0.1:9/x", "-qqq"),
            do("upload", "{local}", "ftp://joe:secret@nowhere.invalid/x"),
        ],
        HERE,
    ),
    Scenario(
        "server refuses a file",
        "One upload is refused; what becomes of the others, and of the exit code.",
        [upload("-x", "sub"), upload("--report-problems", "-x", "sub")],
        {"a.txt": file("a"), "locked.txt": file("no"), "z.txt": file("z")},
        server=("--no-mfmt", "--refuse", "locked"),
    ),
    Scenario(
        "server keeps a file to itself",
        "One download is refused.",
        [download(), download("--report-problems")],
        {"a.txt": file("a")},
        {"locked.txt": file("no"), "z.txt": file("z")},
        server=("--no-mfmt", "--refuse", "locked"),
    ),
    Scenario(
        "server is read-only",
        "Nothing can be written there; a download does not need to.",
        [download(), upload(edits=[("local", "same.txt", edited("changed"))])],
        HERE,
        THERE,
        server=("--no-mfmt", "--read-only"),
    ),
    Scenario(
        "server without MLSD",
        "An old server: it is listed as LIST says.",
        [download(), upload()],
        HERE,
        THERE,
        server=("--no-mfmt", "--no-mlsd"),
    ),
    Scenario(
        "options without a part to play",
        "What concerns another kind of server, or a keyring that keeps nothing, is accepted.",
        [
            upload("--no-verify-host-keys", "--store-password", "--no-keyring", "--no-netrc", "--quiet"),
            task(
                "up",
                "--create-folder",
                "--no-keyring",
                "--no-netrc",
                "--no-prompt",
                "--ftp-active",
                "--quiet",
            ),
            task("both", "--migrate", "--store-password", "--case", "strict"),
            do("scan", "{url}", "--list", "--no-color", "--progress", "--no-prompt", "--case", "local"),
            do(
                "tree",
                "{url}",
                "--sort",
                "--match",
                "*.txt",
                "--exclude",
                "new*",
                "--quiet",
                "--quiet",
                "--quiet",
            ),
            do("sync", "{local}", "{url}/new", "--create-folder", "--verbose"),
        ],
        project(TASKS),
        THERE,
        server=("--no-mfmt", "--threads"),
    ),
    Scenario(
        "password with signs",
        "Percent signs stand for what an address cannot hold.",
        [do("tree", "ftp://joe:%73ecret@{address}", "--sort")],
        {},
        THERE,
    ),
    Scenario(
        "more files than connections",
        "Forty files in four folders, with times that servers set.",
        [sync(), sync(edits=[("local", f"f{n}/{n}.txt", edited("changed")) for n in range(4)])],
        {f"f{n % 4}/{n}.txt": file("x" * n * 100) for n in range(40)},
        server=SETS_TIMES,
    ),
    Scenario(
        "large files",
        "Files of many blocks, both ways.",
        [sync("-vv"), sync()],
        {"big.bin": file("0123456789abcdef" * 40_000)},
        {"other.bin": file("fedcba9876543210" * 30_000)},
    ),
    Scenario(
        "upload in a loop",
        "The same upload every time something changed, as a cron job does it.",
        [
            upload(
                "-q",
                "--delete",
                "--no-prompt",
                "--resolve",
                "skip",
                edits=[
                    ("local", f"log{n}.txt", edited(f"{n}", n + 1)),
                    *([("local", f"log{n - 1}.txt")] if n else []),
                ],
            )
            for n in range(4)
        ],
        ANCHORS,
        ANCHORS,
        repairs=("D5",),
    ),
]
