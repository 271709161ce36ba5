"""Compares this project with other tools that bring folders to and from FTP, SFTP and S3 servers.

    python benches/bench.py                                  all loads on loopback
    python benches/bench.py --wan DIR/wan --rtt 0,20,100     through an emulated line, as root
    python benches/bench.py --quick --tools lftp,rclone      a first look

Runs of the tools alternate, so that a slow moment of the machine hits all of them. A time counts only after
every file of the result was compared byte for byte; otherwise the run is void and shown as such. The other
tools and the servers are downloaded into ``.cache`` (from Debian and PyPI) and used without being installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
sys.path.insert(0, str(CHECKOUT / "tests" / "python"))

import trees
from tools import Job, Lftp, OpenSshClient, Ours, Rclone, Reference, Tool

import servers
from servers import Kind, Server, Unavailable, openssh, s3

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*servers.EVERY, s3.S3S_FS)}
WAN_SERVER = {"host": "10.77.0.2", "port": 2121, "launcher": ("nsenter", "--net=/run/netns/ftps")}
# Above some 28,000 sockets in TIME_WAIT a server finds no port for its next data connection.
MANY_SOCKETS = 20_000
SPACE = 4 * 1024**3


@dataclass(frozen=True)
class Load:
    """One thing that every tool has to do."""

    name: str
    tree: str
    upload: bool
    title: str
    change: Callable[[Path], None] | None = None
    """Done to the local tree after a first upload that is not timed."""
    after_upload: bool = False
    delete: bool = False
    idle: bool = False


LOADS = (
    Load("small-up", "small", True, "many small files, up"),
    Load("idle", "small", True, "nothing changed", after_upload=True, idle=True),
    Load("one", "small", True, "one file changed", trees.change_one, after_upload=True),
    Load(
        "half", "small", True, "half of the files deleted", trees.remove_half, after_upload=True, delete=True
    ),
    Load("small-down", "small", False, "many small files, down"),
    Load("site-up", "site", True, "a web site, up"),
    Load("site-down", "site", False, "a web site, down"),
    Load("single-up", "single", True, "one large file, up"),
    Load("single-down", "single", False, "one large file, down"),
    Load("large-up", "large", True, "two large files, up"),
    Load("large-down", "large", False, "two large files, down"),
)


@dataclass
class Run:
    """One run of one tool, or the reason why it does not count."""

    server: str
    rtt: float
    load: str
    tool: str
    round: int
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    files: int = 0
    times: int = 0
    void: str | None = None
    notes: list[str] = field(default_factory=list)


class Void(Exception):
    """Says why a run does not count."""


# -- one cell: one server at one round trip; runs inside the emulated network ----------------------


class Cell:
    """Runs the loads with all tools against one server."""

    def __init__(self, options: argparse.Namespace, kind: Kind, rtt: float, work: Path, report: Path) -> None:
        self.options, self.kind, self.rtt, self.work, self.report = options, kind, rtt, work, report
        self.pristine = Path(options.work) / "trees"
        self.home = work / "home"
        self.home.mkdir()
        self.uploaded: set[str] = set()
        """Tools whose own two folders hold the same complete tree."""

    def run(self, tools: list[Tool]) -> None:
        where: dict[str, Any] = WAN_SERVER if self.rtt else {}
        options = {"tls": self.options.tls, "user": "bench", "password": "bench"}
        hopeless: set[tuple[str, str]] = set()
        with self.kind.start(self.work / "server", **options, **where) as server:
            openssh.make_known(server, self.home)
            for number in range(self.options.runs):
                self.uploaded.clear()
                for load in self.options.loads:
                    for tool in tools:
                        if (load, tool.name) not in hopeless:
                            run = self.once(_load(load), tool, server, number)
                            if run.void:
                                hopeless.add((load, tool.name))

    def once(self, load: Load, tool: Tool, server: Server, number: int) -> Run:
        """Does one load with one tool, checks the result and reports it."""
        run = Run(self.kind.name, self.rtt, load.name, tool.name, number)
        local, remote = self.work / "local" / tool.name, self.kind.folder(server.root) / tool.name
        connections, active = self.options.connections, self.options.active
        job = Job(load.upload, local, tool.name, server, connections, load.delete, active)
        try:
            if self.kind.scheme not in tool.speaks:
                raise Void(f"does not speak {self.kind.scheme} here")
            if tool.needs_mlsd and not self.kind.mlsd:
                raise Void("needs MLSD, which this server does not have")
            if job.active and not tool.knows_active_mode:
                raise Void("not told here how to use active mode")
            self._prepare(load, tool, job, remote)
            self._timed(load, tool, job, remote, run)
        except Void as reason:
            run.void = str(reason)
            self.uploaded.discard(tool.name)
        with self.report.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        took = f"void: {run.void}" if run.void else f"{run.wall:8.2f} s {' '.join(run.notes)}"
        _say(f"{run.server:9} {run.rtt:4g} ms  {run.load:10} {run.tool:11} {took}")
        return run

    def _prepare(self, load: Load, tool: Tool, job: Job, remote: Path) -> None:
        if load.after_upload and tool.name in self.uploaded:
            return
        self.uploaded.discard(tool.name)
        for folder in (job.local, remote):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.kind.forget(job.server.root)
        trees.copy(self.pristine / load.tree, job.local if load.upload else remote)
        if load.after_upload:
            first = replace(job, upload=True, delete=False)
            self._execute(tool, first)
            self._verify(job.local, remote, "first upload: ")

    def _timed(self, load: Load, tool: Tool, job: Job, remote: Path, run: Run) -> None:
        if load.change:
            load.change(job.local)
        source, target = (job.local, remote) if load.upload else (remote, job.local)
        before, sent = trees.written(source), trees.written(target)
        took = self._execute(tool, job)
        compared = self._verify(source, target)
        if trees.written(source) != before:
            raise Void("the tool wrote to the side it should only read")
        rewritten = sum(sent.get(path) not in (None, what) for path, what in trees.written(target).items())
        if load.idle and rewritten:
            run.notes.append(f"rewrote {rewritten} files")
        run.wall, run.cpu, run.memory = took["wall"], took["cpu"], took["memory"]
        run.files, run.times = compared.count, compared.times
        if load.upload and load.tree == "small" and not load.delete:
            self.uploaded.add(tool.name)
        else:
            self.uploaded.discard(tool.name)

    @staticmethod
    def _verify(wanted: Path, got: Path, prefix: str = "") -> trees.Comparison:
        compared = trees.compare(wanted, got)
        if compared.problem:
            raise Void(prefix + compared.problem)
        return compared

    def _execute(self, tool: Tool, job: Job) -> dict[str, Any]:
        """Runs the tool under `timed.py` and returns what that measured."""
        _wait_for_sockets()
        result, output = self.work / "result.json", self.work / "output.txt"
        result.unlink(missing_ok=True)
        command = [sys.executable, "-I", "-S", str(HERE / "timed.py"), str(result)]
        command += [str(self.options.timeout), str(output), *tool.command(job)]
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
        }
        process = subprocess.Popen(command, env=environment, cwd=self.work)
        try:
            process.wait(timeout=self.options.timeout + 30)
        finally:
            if process.poll() is None:
                process.terminate()  # ends the tool as well
                process.wait()
        if not result.exists():
            raise Void("the tool could not be timed")
        took: dict[str, Any] = json.loads(result.read_text())
        if took["late"]:
            raise Void(f"not done after {self.options.timeout:g} s")
        if took["code"] != 0:
            words = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
            raise Void(f"exit code {took['code']}: {words[-1][:150] if words else 'no output'}")
        return took


def _wait_for_sockets() -> None:
    """Waits until few enough sockets of earlier runs are in TIME_WAIT, which lasts a minute at most."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        words = Path("/proc/net/sockstat").read_text().split()
        if int(words[words.index("tw") + 1]) < MANY_SOCKETS:
            return
        time.sleep(0.5)


# -- the whole -------------------------------------------------------------------------------------


def main() -> int:
    options = _parse(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit_cleanly)
    if options.cell:
        return _run_cell(options)
    tools = _available(options)
    with _work_folder(options.work) as work:
        options.work = str(work)
        _make_trees(options, work / "trees")
        # An interruption shows what there is by then.
        with contextlib.suppress(SystemExit):
            _run_cells(options, tools, work)
        runs = _read_runs(work)
    versions = {tool.name: tool.version() for tool in tools}
    print(_table(runs, [tool.name for tool in tools], versions, options))
    if options.json:
        Path(options.json).write_text(json.dumps(_document(runs, versions, options), indent=1) + "\n")
    counted = [run for run in runs if not run.void]
    return 0 if counted else 1


def _run_cells(options: argparse.Namespace, tools: list[Tool], work: Path) -> None:
    for name in options.servers:
        try:
            KINDS[name].prepare()
        except Unavailable as reason:
            _say(f"{name} is left out: {reason}")
            continue
        for rtt in options.rtt:
            _run_cell_behind_line(options, tools, name, rtt, work)


def _read_runs(work: Path) -> list[Run]:
    reports = sorted(work.glob("*.jsonl"), key=lambda report: report.stat().st_mtime)
    return [Run(**json.loads(line)) for report in reports for line in report.read_text().splitlines()]


def _run_cell_behind_line(
    options: argparse.Namespace, tools: list[Tool], name: str, rtt: float, work: Path
) -> None:
    """Runs one cell in a process of its own, behind the emulated line if there is a round trip."""
    report = work / f"{name}-{rtt:g}.jsonl"
    report.touch()
    line = ["-d", f"{rtt / 2:g}", *(["-w", str(options.window)] if options.window else [])]
    behind = ["sh", str(Path(options.wan) / "wan.sh"), *line, "--"] if rtt else []
    passed = {**vars(options), "tools": [tool.name for tool in tools]}
    settings = json.dumps({"name": name, "rtt": rtt, "report": str(report), "options": passed})
    process = subprocess.Popen([*behind, sys.executable, str(Path(__file__).resolve()), "--cell", settings])
    try:
        if process.wait() != 0:
            _say(f"{name} at {rtt:g} ms ended early with status {process.returncode}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _run_cell(options: argparse.Namespace) -> int:
    settings = json.loads(options.cell)
    passed = argparse.Namespace(**settings["options"])
    tools = [_tool(name, passed) for name in passed.tools]
    for tool in tools:
        tool.prepare()
    with tempfile.TemporaryDirectory(prefix="cell-", dir=passed.work) as work:
        # What the servers write goes here too, because the end of the emulated line is a sudden one.
        tempfile.tempdir = work
        cell = Cell(passed, KINDS[settings["name"]], settings["rtt"], Path(work), Path(settings["report"]))
        cell.run(tools)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wan", metavar="DIR", help="folder of wan.sh, the emulated line (needs root)")
    parser.add_argument("--rtt", type=_numbers, help="round trips in ms (default: 0, with --wan 0,20,100)")
    parser.add_argument(
        "--window",
        type=int,
        metavar="BYTES",
        help="receive buffer that connections over the emulated line begin with (default: the system's; "
        "8388608 takes its erratic growth out of the loads with large files)",
    )
    parser.add_argument("--servers", type=_words(list(KINDS)), default=["pureftpd", "proftpd"])
    parser.add_argument(
        "--loads", type=_words([load.name for load in LOADS]), default=[load.name for load in LOADS]
    )
    parser.add_argument("--tools", type=_words(list(TOOLS)), default=list(TOOLS))
    parser.add_argument("--runs", type=int, help="runs of each tool (default: 5, with --quick 1)")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--tls", action="store_true", help="FTPS instead of FTP")
    parser.add_argument("--active", action="store_true", help="the servers open the data connections")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, one run")
    parser.add_argument("--small", type=int, metavar="N", help="many small files are so many (default: 2000)")
    parser.add_argument("--site", type=int, metavar="N", help="a web site has so many files (default: 1500)")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one run (default: 900)")
    parser.add_argument("--ours", metavar="FILE", default=str(CHECKOUT / ".venv" / "bin" / "pyftpsync"))
    parser.add_argument(
        "--work", metavar="DIR", help="where the trees go (default: in memory if there is room)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all runs as JSON")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.rtt = options.rtt or ([0.0, 20.0, 100.0] if options.wan else [0.0])
    options.runs = options.runs or (1 if options.quick else 5)
    if any(options.rtt) and not options.wan:
        parser.error("a round trip needs --wan, the folder of wan.sh")
    if any(options.rtt) and os.geteuid() != 0:
        parser.error("the emulated line needs root; without it only --rtt 0 is possible")
    if options.wan:
        options.wan = str(Path(options.wan).resolve())
    return options


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def _words(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}"
            )
        return [word for word in known if word in chosen]

    return parse


TOOLS: dict[str, Callable[[argparse.Namespace], Tool]] = {
    "ours": lambda options: Ours(Path(options.ours)),
    "pyftpsync41": lambda _: Reference(CHECKOUT / ".cache" / "pyftpsync-4.1"),
    "lftp": lambda _: Lftp(),
    "rclone": lambda _: Rclone(),
    "sftp": lambda _: OpenSshClient(),
}


def _tool(name: str, options: argparse.Namespace) -> Tool:
    return TOOLS[name](options)


def _load(name: str) -> Load:
    return next(load for load in LOADS if load.name == name)


def _available(options: argparse.Namespace) -> list[Tool]:
    usable = []
    for name in options.tools:
        tool = _tool(name, options)
        try:
            tool.prepare()
            usable.append(tool)
        except Unavailable as reason:
            _say(f"{name} is left out: {reason}")
    if not usable:
        sys.exit("bench: none of the tools can run here")
    return usable


@contextmanager
def _work_folder(chosen: str | None) -> Iterator[Path]:
    """A folder for all trees: in memory if there is room, so that no disk is measured."""
    parent = chosen
    memory = Path("/dev/shm")
    if chosen is None and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > SPACE:
        parent = str(memory)
    with tempfile.TemporaryDirectory(prefix="ftpsync-bench-", dir=parent, ignore_cleanup_errors=True) as work:
        yield Path(work)


def _make_trees(options: argparse.Namespace, folder: Path) -> None:
    for name in {_load(load).tree for load in options.loads}:
        _say(f"writing the tree {name}")
        if name == "small" and options.small:
            trees.small(folder / name, count=options.small, folders=max(1, options.small // 20))
        elif name == "site" and options.site:
            trees.site(folder / name, count=options.site)
        elif not options.quick:
            trees.MAKERS[name](folder / name)
        elif name == "small":
            trees.small(folder / name, count=200, folders=20)
        elif name in {"single", "large"}:
            trees.MAKERS[name](folder / name, size=16 * 1024 * 1024)
        else:
            trees.site(folder / name, count=150)


def _exit_cleanly(number: int, _: FrameType | None) -> None:
    # As an exception, so that servers end and folders go on the way out. Once: a terminal signals the whole
    # group, and the outer process its cell again, which must not interrupt the cleaning up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- results ---------------------------------------------------------------------------------------


def _table(runs: list[Run], tools: list[str], versions: dict[str, str], options: argparse.Namespace) -> str:
    lines = [f"{name}: {version}" for name, version in versions.items()]
    lines.append(
        f"{options.connections} connections (pyftpsync41: 1){', TLS' if options.tls else ''}"
        f"{', active mode' if options.active else ''}, "
        f"medians of {options.runs} alternating runs, {_machine()['cpu']} x {os.cpu_count()}"
    )
    head = f"{'server':9} {'rtt ms':>6} {'load':10} {'tool':11} {'wall s':>9} {'min - max':>17} "
    lines += ["", head + f"{'cpu s':>7} {'MiB':>6} {'ours/it':>8}  times kept, notes"]
    for server, rtt, load in dict.fromkeys((run.server, run.rtt, run.load) for run in runs):
        for tool in tools:
            mine = [
                run for run in runs if (run.server, run.rtt, run.load, run.tool) == (server, rtt, load, tool)
            ]
            ours = [
                run
                for run in runs
                if (run.server, run.rtt, run.load, run.tool) == (server, rtt, load, "ours")
            ]
            if mine:
                lines.append(f"{server:9} {rtt:>6g} {load:10} {tool:11} {_row(mine, ours)}")
    return "\n".join(lines)


def _row(runs: list[Run], ours: list[Run]) -> str:
    counted = [run for run in runs if not run.void]
    voids = [f"VOID: {run.void}" for run in runs if run.void]
    if not counted:
        return "; ".join(voids)
    walls = [run.wall for run in counted]
    wall = statistics.median(walls)
    reference = [run.wall for run in ours if not run.void]
    ratio = f"{statistics.median(reference) / wall:.2f}" if reference else "-"
    notes = [
        f"{counted[-1].times}/{counted[-1].files}",
        *dict.fromkeys(note for run in counted for note in run.notes),
    ]
    spread = f"{min(walls):.2f} - {max(walls):.2f}"
    cpu = statistics.median(run.cpu for run in counted)
    memory = statistics.median(run.memory for run in counted) / 1024**2
    return f"{wall:9.2f} {spread:>17} {cpu:7.2f} {memory:6.0f} {ratio:>8}  " + "; ".join(notes + voids)


def _machine() -> dict[str, Any]:
    names = [line.split(":", 1)[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def _cpu_lines() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def _document(runs: list[Run], versions: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    keep = ("connections", "tls", "active", "quick", "small", "site", "runs", "rtt", "window", "timeout")
    return {
        "machine": _machine(),
        "settings": {name: getattr(options, name) for name in keep},
        "tools": versions,
        "loads": {load.name: load.title for load in LOADS},
        "runs": [asdict(run) for run in runs],
    }


if __name__ == "__main__":
    sys.exit(main())
