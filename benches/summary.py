"""Puts results of the benchmark into one table in Markdown.

    python benches/bench.py --json plain.json
    python benches/summary.py plain.json tls.json

Each line is one load on one server. The columns of the other tools are the quotient of wall times, ours by
theirs: what is below 1 is quicker here. The last columns are seconds of CPU and peak memory (MiB) of all tools.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

SERVERS = {"pureftpd": "Pure-FTPd", "proftpd": "ProFTPD", "openssh": "OpenSSH", "s3s-fs": "s3s-fs"}


def main(files: list[str]) -> int:
    if not files:
        print(__doc__, file=sys.stderr)
        return 2
    documents = [json.loads(Path(file).read_text()) for file in files]
    others = list(dict.fromkeys(tool for each in documents for tool in each["tools"] if tool != "ours"))
    heads = ["server", "round trip", "load", "files", "ours, s", *(f"by {tool}" for tool in others)]
    everybody = " / ".join(["ours", *others])
    heads += [f"CPU, s: {everybody}", f"MiB: {everybody}"]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for document in documents:
        for line in _lines(document, others):
            print("| " + " | ".join(line) + " |")
    return 0


def _lines(document: dict[str, Any], others: list[str]) -> list[list[str]]:
    runs = [run for run in document["runs"] if not run["void"]]
    lines = []
    for server, rtt, load in dict.fromkeys((run["server"], run["rtt"], run["load"]) for run in runs):
        mine = [run for run in runs if (run["server"], run["rtt"], run["load"]) == (server, rtt, load)]
        medians = {tool: _medians(mine, tool) for tool in ("ours", *others)}
        ours = medians["ours"]
        if ours is None:
            continue
        way = ", TLS" if document["settings"]["tls"] else ""
        way += ", active mode" if document["settings"].get("active") else ""
        quotients = [
            _shown(ours["wall"] / other["wall"] if other else None, 2) for other in _of(medians, others)
        ]
        costs = [
            " / ".join(
                _shown(it[what] if it else None, digits) or "-" for it in (ours, *_of(medians, others))
            )
            for what, digits in (("cpu", 2), ("memory", 0))
        ]
        first = [SERVERS.get(server, server) + way, f"{rtt:g} ms", document["loads"][load]]
        lines.append([*first, f"{ours['files']:g}", f"{ours['wall']:.2f}", *quotients, *costs])
    return lines


def _of(medians: dict[str, Any], tools: list[str]) -> list[dict[str, float] | None]:
    return [medians[tool] for tool in tools]


def _medians(runs: list[dict[str, Any]], tool: str) -> dict[str, float] | None:
    mine = [run for run in runs if run["tool"] == tool]
    if not mine:
        return None
    medians = {what: statistics.median(run[what] for run in mine) for what in ("wall", "cpu", "memory")}
    return {**medians, "memory": medians["memory"] / 2**20, "files": mine[-1]["files"]}


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
