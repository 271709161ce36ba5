"""Scenarios about names: of many scripts, of one spelling or two, of files and of folders."""

from __future__ import annotations

from scenario import ANCHORS, HERE, THERE, Scenario, download, edited, file, sync, upload

BOTH = ("4.1.0", "3.1.0")

NAMES = [
    Scenario(
        "sync of matching names",
        "What takes part goes both ways; what does not is told with -v and left alone, also by a download.",
        [
            sync("--match", "*.txt", "--exclude", "sub", "-v"),
            sync("-m", "*.txt,empty", "-x", "new*"),
            download("-x", "*here*", "-v"),
            download("--exclude=*.txt,.*", "--delete-unmatched", "--dry-run"),
        ],
        HERE,
        THERE,
        repairs=("D4",),
    ),
    Scenario(
        "unicode names",
        "Names in many scripts, with blanks and signs.",
        [sync(), sync(edits=[("local", "ünï çödé €/日本語.txt", edited("changed")), ("local", "Ω.txt")])],
        {
            **ANCHORS,
            "ünï çödé €/日本語.txt": file("x"),
            "Ω.txt": file("o"),
            "a;b=c & d%20.txt": file("y"),
            "[x]*?.txt": file("z"),
            "quote'\".txt": file("q"),
        },
        {"é there.txt": file("é")},
        releases=BOTH,
        repairs=("D5",),
    ),
    Scenario(
        "dots and nothing",
        "Dot files, empty files and empty folders.",
        [sync(), upload(), download()],
        {".a": file(""), ".b/.c": file(".c"), "e/f/g": None, "zero": file("")},
        {".there": file("t"), "h/i": None},
    ),
    Scenario(
        "capital folders",
        "A folder with a capital letter is descended into.",
        [
            upload(),
            upload(
                "-v",
                edits=[
                    ("local", "Docs/Read.txt", edited("changed")),
                    ("local", "Docs/New.txt", edited("new")),
                ],
            ),
        ],
        {"Docs/Read.txt": file("r"), "Docs/Sub/x.txt": file("x")},
        repairs=("D1",),
    ),
    Scenario(
        "renamed by case",
        "A file is renamed to other letters of the alphabet's two cases: nobody knows which is meant.",
        [sync(), sync(edits=[("local", "readme.txt"), ("local", "README.txt", edited("changed"))])],
        {**ANCHORS, "readme.txt": file("r")},
    ),
    Scenario(
        "case is strict",
        "Names that differ in case only are different names.",
        [sync("--case", "strict"), sync("--case", "strict", edits=[("local", "Two.txt", edited("changed"))])],
        {**ANCHORS, "two.txt": file("2"), "Two.txt": file("II")},
    ),
    Scenario(
        "case of one side",
        "Names that differ in case only are the same file, spelled as here.",
        [upload("--case", "local"), upload("--case", "local", "-v")],
        {**ANCHORS, "Two.txt": file("II", 100)},
        {**ANCHORS, "two.txt": file("2")},
    ),
    Scenario(
        "file against folder",
        "One name is a file here and a folder there.",
        [upload()],
        {"a.txt": file("a"), "x": file("file")},
        {"x/in.txt": file("in")},
    ),
    Scenario(
        "file instead of folder",
        "A folder is replaced by a file of its name, after a sync.",
        [upload(), upload("--delete", edits=[("local", "d"), ("local", "d", edited("a file"))])],
        {**ANCHORS, "d/a.txt": file("a")},
    ),
    Scenario(
        "excluded folder on both sides",
        "What is in an excluded folder is nobody's business.",
        [upload("-x", "out", "-v")],
        {"a.txt": file("a"), "out/x.txt": file("x", 100)},
        {"out/x.txt": file("older")},
        repairs=("D4",),
    ),
    Scenario(
        "touched but equal",
        "Both sides change a file to the same size and time.",
        [
            sync(),
            sync(
                "-v",
                "--resolve",
                "skip",
                edits=[
                    ("local", "anchor1.txt", file("anchor X", 5000)),
                    ("remote", "anchor1.txt", file("anchor X", 5000)),
                ],
            ),
        ],
        ANCHORS,
    ),
]
