"""What can be seen after a step of a scenario, without what differs from play to play."""

from __future__ import annotations

import ast
import calendar
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running import RESERVED

META = RESERVED[0]
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PROGRESS = re.compile(r"[^\r\n]*Touched \d+/\d+ entries in \d+ directories\.\.\.[^\r\n]*\r")
TALK = re.compile(r"(?m)^\*(?:cmd|resp|welcome|get|put|retrieve)\*.*\n")
STATS = re.compile(r"(?ms)^\{'.*?\}$")
CLOCK = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
NUMBERS = {
    re.compile(r"\b\d+\.\d\d sec\b"): "# sec",
    re.compile(r"\(system: ([+-]?)[^)]*\)"): r"(system: \1#)",
    re.compile(r"(?<=\.pyftpsync-trash/)[\da-f_-]+(?=/)"): "#",
    re.compile(r"\b\d+ days ago"): "# days ago",
    re.compile(r"\b\d+ parent folders"): "# parent folders",
    re.compile(r"Python: \S+$", re.M): "Python: <python>",
    re.compile(r"-?\b\d+\.\d\d seconds\b"): "# seconds",
    re.compile(r"'u': \d+\.\d+"): "'u': #",
    re.compile(r"\b(pyftpsync/)?(4\.1\.0|3\.1\.0|5\.\d+\.\d+)\b"): r"\1<version>",
}
#: Depend on the clock, on the length of the version, or on the line.
VAGUE = re.compile(r"elap|time|rate|meta_bytes")
#: Edits of the scenarios are so many seconds after the beginning of the play.
STRIDE = 1000


@dataclass
class Look:
    """A look at the places of one play."""

    places: Mapping[str, Path]
    address: str
    began: float

    # --- What was written ---

    def words(self, out: str, err: str) -> dict[str, Any]:
        """What standard output and standard error show."""
        out, err = ESCAPE.sub("", out), ESCAPE.sub("", err)
        assert "secret" not in out + err, f"a password is shown: {out}{err}"
        progress = PROGRESS.search(out) is not None
        out = PROGRESS.sub("", out)
        talk = TALK.search(out) is not None
        out = self.plain(TALK.sub("", out))
        stats = STATS.search(out)
        if stats:
            out = out.replace(stats[0], "")
        lines = self.condensed(out)
        return {
            "stdout": sorted(lines),
            "first": lines[:1],
            "last": lines[-1:],
            "stderr": sorted(self.condensed(self.plain(err))),
            "stats": _counters(ast.literal_eval(stats[0])) if stats else None,
            "progress": progress,
            "talk": talk,
        }

    def plain(self, text: str) -> str:
        for side in ("local", "home"):
            text = text.replace(str(self.places[side]), f"<{side}>")
        text = text.replace(self.address.split("/")[0], "127.0.0.1")
        for pattern, word in NUMBERS.items():
            text = pattern.sub(word, text)
        text = CLOCK.sub(lambda found: self.stamp(found[0]), text)
        return "\n".join(line.rstrip() for line in text.splitlines())

    def stamp(self, text: str) -> str:
        """A time that is told, if it is one of the scenario; else how long it is after the beginning."""
        when = self.moment(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")))
        return text if not isinstance(when, str) else f"<{when}>"

    @staticmethod
    def condensed(text: str) -> list[str]:
        """The lines; of a traceback (or a chain of them) only the last, which names the exception; no usage."""
        lines: list[str] = []
        inside = ""
        for line in text.splitlines():
            if line.startswith(("Traceback (most recent call last):", "usage: ")):
                inside = line.split()[0]
            elif inside and (not line or line.startswith(" ")):
                pass
            elif line.startswith(("During handling of", "The above exception was")):
                lines.pop()
            elif line:
                lines.append(f"TRACEBACK {line}" if inside == "Traceback" else line)
                inside = ""
        return lines

    # --- What is there ---

    def things(self) -> dict[str, Any]:
        """Both trees and the metadata in them."""
        meta: dict[str, Any] = {}
        trees: dict[str, dict[str, Any]] = {}
        for side in ("local", "remote"):
            root = self.places[side]
            for path in sorted(root.rglob(META)):
                folder = path.parent.relative_to(root).as_posix()
                meta[f"{side}:{folder}"] = self.remembered(path)
            trees[side] = {
                path.relative_to(root).as_posix(): self.thing(path, meta.get(f"{side}:{folder}"))
                for path in sorted(root.rglob("*"))
                for folder in [path.parent.relative_to(root).as_posix()]
                if path.name != META and ".pyftpsync-trash" not in path.parts
            }
        return {**trees, "meta": meta}

    def thing(self, path: Path, meta: Any) -> Any:
        if path.is_dir():
            return "folder"
        body = path.read_bytes()
        when: Any = self.moment(path.stat().st_mtime)
        known = meta["mtimes"].get(path.name) if isinstance(meta, dict) else None
        if known and known[1] == len(body):
            when = known[0]
        return [len(body), body.decode("utf-8", "replace")[:40], when]

    def remembered(self, path: Path) -> Any:
        """What pyftpsync 3.1 and 4.1 read from a metadata file; the key of a peer is host and root."""
        text = path.read_text(encoding="utf-8")
        try:
            document = json.loads(text)
            peer = f"127.0.0.1/{self.address.split('/', 1)[1]}"
            return {
                "version": document["_file_version"],
                "mtimes": self.times(document["mtimes"]),
                "peer": self.times(document["peer_sync"].get(peer, {})),
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return text

    def times(self, table: dict[str, Any]) -> dict[str, Any]:
        return {
            name: [seen["m"] and self.moment(seen["m"]), seen["s"]]
            for name, seen in table.items()
            if not name.startswith(":")
        }

    def moment(self, when: float) -> float | str:
        """Times of the scenarios as they are; times of the play in strides after its beginning."""
        since = when - self.began
        if since < -60:
            return round(when, 2)
        strides = round(since / STRIDE)
        return f"began + {strides * STRIDE}" if strides else "began"


def _counters(stats: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stats.items() if not VAGUE.search(name)}
