"""Scenarios in which the user is asked or told: conflicts, passwords, verbosity, usage errors."""

from __future__ import annotations

from scenario import ANCHORS, HERE, THERE, Scenario, do, download, edited, file, sync, upload

CLASH = [
    ("local", "clash.txt", edited("clash from here", 2)),
    ("remote", "clash.txt", edited("a clash from there", 3)),
]
TWIN = [
    ("local", "twin.txt", edited("twin from here", 5)),
    ("remote", "twin.txt", edited("a twin from there", 4)),
]
GONE_HERE = [("local", "gone.txt"), ("remote", "gone.txt", edited("edited there, gone here", 2))]
GONE_THERE = [("remote", "gone.txt"), ("local", "gone.txt", edited("edited here, gone there", 2))]
START = {**ANCHORS, "clash.txt": file("clash"), "twin.txt": file("twin"), "gone.txt": file("gone")}
BOTH = ("4.1.0", "3.1.0")
NO_PASSWORD = "ftp://joe@{address}"
NO_USER = "ftp://{address}"
SKIP = ("--resolve", "skip")


def asked(name: str, about: str, clicks: list, first=sync, again=sync, start=START, **more) -> Scenario:
    """A first run, edits on both sides, and a run at a terminal with answers."""
    steps = [first(), *(again(*options, edits=edits, answers=answers) for options, edits, answers in clicks)]
    return Scenario(name, about, steps, start, **more)


ASKING = [
    *(
        asked(
            f"answer {reply}",
            f"A conflict is answered with {reply}.",
            [((), CLASH, {"clash.txt": [reply]})],
            repairs=("D6",) if reply in "on" else (),
        )
        for reply in "lrons"
    ),
    *(
        asked(
            f"answer {reply} for all",
            f"Two conflicts, the first one is answered with {reply}.",
            [((), CLASH + TWIN, {"clash.txt": [reply], "twin.txt": [reply]})],
            repairs=("D6",) if reply in "ON" else (),
        )
        for reply in "LRONS"
    ),
    asked(
        "answers of many kinds",
        "Wrong answers, help and comparison before the one that counts.",
        [((), CLASH, {"clash.txt": ["x", "", "yes", "h", "?", "H", "b", "B", " l "]})],
    ),
    asked(
        "comparison of equal sizes",
        "The comparison tells where the files begin to differ, or that they are equal.",
        [
            (
                (),
                [
                    ("local", "clash.txt", edited("abcX", 2)),
                    ("remote", "clash.txt", edited("abcY", 3)),
                    ("local", "twin.txt", edited("abcX", 2)),
                    ("remote", "twin.txt", edited("abcX", 4)),
                ],
                {"clash.txt": ["b", "s"], "twin.txt": ["b", "s"]},
            )
        ],
    ),
    *(
        asked(
            f"{name}, answer {reply}",
            f"An edit and a removal are answered with {reply}.",
            [((), edits, {"gone.txt": [reply]})],
            repairs=("D5",) if (name, reply) == ("gone here", "l") else (),
        )
        for name, edits in (("gone here", GONE_HERE), ("gone there", GONE_THERE))
        for reply in "lrs"
    ),
    asked(
        "comparison without a file",
        "There is nothing to compare with.",
        [((), GONE_HERE, {"gone.txt": ["b", "s"]})],
    ),
    asked(
        "answers of one time",
        "Both files have the same time: neither is older.",
        [
            (
                (),
                [("local", "clash.txt", file("mine", 500)), ("remote", "clash.txt", file("theirs", 500))],
                {"clash.txt": ["o", "n", "N", "l"]},
            )
        ],
        releases=("4.1.0",),
    ),
    asked(
        "newest of one time",
        "--resolve new cannot decide, so the user is asked.",
        [
            (
                ("--resolve", "new"),
                [("local", "clash.txt", file("mine", 500)), ("remote", "clash.txt", file("theirs", 500))],
                {"clash.txt": ["r"]},
            )
        ],
    ),
    asked(
        "Ctrl+C at the question",
        "The user breaks off: nothing is done, and the exit code says so.",
        [((), CLASH, {"clash.txt": ["^C"]}), ((), [], {"clash.txt": ["s"]})],
    ),
    asked(
        "upload asks",
        "An upload offers what it can do: local or skip; others are asked again.",
        [((), CLASH + TWIN, {"clash.txt": ["r", "n", "l"], "twin.txt": ["s"]})],
        upload,
        upload,
    ),
    asked(
        "upload asks once",
        "A capital answer is for all.",
        [((), CLASH + TWIN, {"clash.txt": ["L"], "twin.txt": ["L"]})],
        upload,
        upload,
    ),
    asked(
        "download asks",
        "A download offers remote or skip.",
        [((), CLASH + TWIN, {"clash.txt": ["l", "o", "r"], "twin.txt": ["?", "s"]})],
        download,
        download,
        {},
        remote=START,
    ),
    asked(
        "download asks once",
        "A capital answer is for all.",
        [((), CLASH + TWIN, {"clash.txt": ["S"], "twin.txt": ["S"]})],
        download,
        download,
        {},
        remote=START,
    ),
    asked(
        "conflict in detail",
        "Verbosity 5 shows both sides of a conflict although nobody is asked.",
        [(("-vv", "--resolve", "local"), CLASH, {})],
    ),
    asked(
        "conflict without colours",
        "The question is plain text.",
        [(("--no-color",), CLASH, {"clash.txt": ["l"]})],
    ),
    Scenario(
        "password is asked for",
        "The address has a user, but no password.",
        [do("upload", "{local}", NO_PASSWORD, answers={"password": ["secret"]})],
        HERE,
        THERE,
    ),
    Scenario(
        "user and password are asked for",
        "--prompt asks for both, whatever the address says.",
        [do("upload", "{local}", NO_USER, "--prompt", answers={"user": ["joe"], "password": ["secret"]})],
        HERE,
        THERE,
    ),
    Scenario(
        "wrong password is asked for again",
        "The server refuses the first one.",
        [
            do(
                "upload",
                "{local}",
                "ftp://joe:wrong@{address}",
                answers={"user": ["joe"], "password": ["secret"]},
            )
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "wrong password",
        "Nobody may be asked: an error.",
        [
            do("upload", "{local}", "ftp://joe:wrong@{address}", "--no-prompt"),
            do("tree", "ftp://joe:wrong@{address}", "--no-prompt"),
            do("scan", NO_PASSWORD, "--no-prompt"),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "password from netrc",
        "The file of the user's home has it.",
        [
            do("upload", "{local}", NO_USER, "-v"),
            do("upload", "{local}", NO_USER, "--no-keyring", "-v", *SKIP),
            do("upload", "{local}", NO_USER, "--no-netrc", "--no-prompt"),
        ],
        HERE,
        THERE,
        {".netrc": file("machine 127.0.0.1\n  login joe\n  password secret\n")},
    ),
    Scenario(
        "how much is told",
        "Every verbosity from 0 to 6.",
        [
            sync(*options, "--resolve", "skip", edits=[*CLASH, ("local", f"{number}.txt", edited("x"))])
            for number, options in enumerate((["-qqq"], ["-qq"], ["-q"], [], ["-v"], ["-vv"], ["-vvv"]))
        ],
        START,
        THERE,
    ),
    Scenario(
        "how much a dry run tells",
        "Every verbosity from 0 to 6, and nothing is done.",
        [
            download("-n", *options)
            for options in (["-qqqq"], ["-q", "-q"], ["-q"], ["-v"], ["--verbose", "-v"], ["-vvvv"])
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "options before the command",
        "Verbosity and others count on either side of the command.",
        [
            do("-v", "upload", "{local}", "{url}"),
            do("-q", "sync", "{local}", "{url}", *SKIP),
            do("sync", "{local}", "{url}", "-q", *SKIP),
            do("--case", "strict", "sync", "{local}", "{url}", "-q", *SKIP),
            do("-v", "--debug", "classify", "sync", "{local}", "{url}", *SKIP),
        ],
        HERE,
        THERE,
    ),
    Scenario(
        "debugging",
        "Classification is told in detail.",
        [sync("-v", "--debug", "classify"), upload("--debug", "classify"), sync("-v", "--debug", "nonsense")],
        ANCHORS,
    ),
    Scenario("version", "Short and long.", [do("-V"), do("--version"), do("-v", "-V"), do("-V", "-v")]),
    Scenario(
        "wrong usage",
        "Usage errors end with code 2.",
        [
            do(),
            do("nonsense"),
            do("upload"),
            do("upload", "{local}"),
            do("upload", "{local}", "."),
            do("sync", "{url}", "{local}"),
            upload("--unknown"),
            upload("--resolve", "remote"),
            download("--resolve", "local"),
            upload("--dry"),
            upload("-v", "-q"),
            upload("--prompt", "--no-prompt"),
            sync("--delete"),
            sync("--force"),
            download("--create-folder"),
            do("scan"),
            do("tree"),
            do("tree", "{local}", "--case", "nonsense"),
            do("run", "--here", "--root"),
            do("--nonsense"),
        ],
        HERE,
    ),
    Scenario(
        "wrong local folder",
        "LOCAL is missing, or is a file.",
        [
            do("upload", "{local}/missing", "{url}"),
            do("download", "{local}/a.txt", "{url}"),
            do("upload", "{local}", "http://example.com/x"),
            do("sync", "{local}", "{home}/missing"),
        ],
        {"a.txt": file("a")},
    ),
]
