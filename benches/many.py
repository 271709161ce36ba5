"""How time and memory grow with the number of files, and how a disk is copied.

    python benches/many.py                          5,000 and 50,000 files to an FTP server on loopback
    python benches/many.py --local 20000            20,000 files from folder to folder, against rsync -a

Every result is compared byte for byte. CPU seconds and peak memory are those of the client alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
sys.path.insert(0, str(CHECKOUT / "tests" / "python"))

import trees

import servers
from servers import debian

OURS = CHECKOUT / ".venv" / "bin" / "pyftpsync"
FILES_IN_A_FOLDER = 25
QUIET = ("--no-prompt", "--no-keyring", "--no-netrc", "-q")


def timed(command: list[str], work: Path) -> dict[str, Any]:
    """Returns wall and CPU seconds, and peak memory (bytes)."""
    result, output = work / "result", work / "output"
    subprocess.run(
        [sys.executable, "-S", str(HERE / "timed.py"), str(result), "3600", str(output), *command], check=True
    )
    told: dict[str, Any] = json.loads(result.read_text())
    if told["code"] != 0:
        raise SystemExit(f"{command[0]} ends with {told['code']}: {output.read_text()[-2000:]}")
    return told


def show(what: str, count: int, told: dict[str, Any]) -> None:
    cost = told["cpu"] / count * 1e6
    print(
        f"{what:<28} {count:>7} files {told['wall']:8.2f} s wall {told['cpu']:8.2f} s CPU "
        f"{cost:7.1f} us CPU a file {told['memory'] / 2**20:7.0f} MiB",
        flush=True,
    )


def to_a_server(sizes: list[int], work: Path) -> None:
    for count in sizes:
        here = work / f"tree{count}"
        trees.small(here, count, count // FILES_IN_A_FOLDER)
        with servers.PUREFTPD.start(work / f"server{count}", user="bench", password="bench") as server:
            (server.root / "up").mkdir()
            command = [str(OURS), "upload", str(here), f"{server.url}up", *QUIET]
            show("first upload", count, timed(command, work))
            same(here, server.root / "up")
            show("nothing changed", count, timed(command, work))
        shutil.rmtree(here)
        shutil.rmtree(work / f"server{count}", ignore_errors=True)


def from_folder_to_folder(count: int, runs: int, work: Path) -> None:
    rsync = debian.unpacked("rsync")
    libraries = f"LD_LIBRARY_PATH={debian.library_path(rsync)}"
    here = work / "tree"
    trees.small(here, count, count // FILES_IN_A_FOLDER)
    # The second one waits for the disk as we do, before a file gets its name.
    walls: dict[str, list[float]] = {"ours": [], "rsync -a": [], "rsync -a --fsync": []}
    for _ in range(runs):
        for name in walls:
            there = work / "there"
            there.mkdir()
            if name == "ours":
                command = [str(OURS), "upload", str(here), str(there), *QUIET]
            else:
                program = str(rsync / "usr/bin/rsync")
                command = ["env", libraries, program, *name.split()[1:], f"{here}/", str(there)]
            told = timed(command, work)
            show(name, count, told)
            walls[name].append(told["wall"])
            same(here, there)
            shutil.rmtree(there)
            for meta in here.rglob(".pyftpsync-meta.json"):
                meta.unlink()
    for name in list(walls)[1:]:
        ratio = statistics.median(walls["ours"]) / statistics.median(walls[name])
        print(f"ours / {name}: {ratio:.2f} (medians of {runs})")


def same(wanted: Path, got: Path) -> None:
    compared = trees.compare(wanted, got)
    if compared.problem:
        raise SystemExit(f"not the same: {compared.problem}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="5000,50000", help="numbers of files (default: 5000,50000)")
    parser.add_argument("--local", type=int, metavar="COUNT", help="copy so many files from folder to folder")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", metavar="DIR", help="where the trees go (default: in memory)")
    options = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="many-", dir=options.work or memory) as work:
        if options.local:
            from_folder_to_folder(options.local, options.runs, Path(work))
        else:
            to_a_server([int(size) for size in options.sizes.split(",")], Path(work))


if __name__ == "__main__":
    main()
