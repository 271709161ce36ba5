"""Disks that are full, read-only, closed or cut off from their power, and files with odd times."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from effort import points
from rough import Sides, contents, nobody, small_disk
from server_worlds import make_world
from servers import Kind
from servers.base import StartServer
from skipping import missing
from small_servers import Small

META = ".pyftpsync-meta.json"
LARGE = 400_000
#: So many files that a run is not done before it has noticed that it is to end.
MANY = 600


# -- killed, and without power ----------------------------------------------------------------------

#: The calls by which a file gets its content and its name.
CALLS = [
    *("openat", "write", "pwrite64", "copy_file_range", "sendfile"),
    *("fchmod", "utimensat", "fdatasync", "fsync", "renameat", "mkdirat"),
]


def tracer(log: Path, *options: str) -> list[str]:
    if shutil.which("strace") is None:
        missing("strace, which tells and interrupts system calls, is not here")
    return ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *options]


def two_folders(sides: Sides) -> None:
    """Files in a folder on each side, and metadata that knows of some of them."""
    for name in ("d", "e"):
        (sides.local / name).mkdir()
        (sides.local / name / "old").write_text("old")
    assert sides.run("sync", str(sides.remote)).returncode == 0
    for path in (sides.local / "d" / "new", sides.remote / "e" / "new", sides.local / "d" / "old"):
        path.write_text(f"new {path.name}")


def states(sides: Sides) -> dict[str, str]:
    return {str(path.relative_to(sides.local)): path.read_text() for path in sides.local.rglob(META)}


def test_row_07_metadata_is_the_old_or_the_new_one_wherever_a_run_is_killed(sides: Sides) -> None:
    two_folders(sides)
    kept = sides.folder / "kept"
    shutil.copytree(sides.local, kept / "local")
    shutil.copytree(sides.remote, kept / "remote")
    old = states(sides)
    log = sides.folder / "log"
    assert sides.run("sync", str(sides.remote), launcher=tracer(log)).returncode == 0
    good, new = sides.contents(), states(sides)
    assert old.keys() <= new.keys() and old["d/" + META] != new["d/" + META]
    # Each thread counts its own calls: this is how far the busiest one gets.
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE))
    most = {
        call: max((count for (_, name), count in made.items() if name == call), default=0) for call in CALLS
    }
    assert all(most[call] > 0 for call in ("fdatasync", "fsync", "renameat", "fchmod"))
    killed = 0
    for call, count in most.items():
        for number in points(count, 3 if call.startswith(("f", "rename")) else 1):
            for side in (sides.local, sides.remote):
                shutil.rmtree(side)
                shutil.copytree(kept / side.name, side)
            kill = ("--inject", f"{call}:signal=KILL:when={number + 1}")
            done = sides.run("sync", str(sides.remote), launcher=tracer(log, *kill))
            where = f"killed at {call} number {number + 1}"
            assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), f"{where}: {done.stderr}"
            killed += done.returncode != 0
            for name, text in states(sides).items():
                assert text == old.get(name) or names(text) == names(new[name]), (
                    f"{where}: {name} is torn: {text}"
                )
            again = sides.run("sync", str(sides.remote))
            assert (again.returncode, sides.contents()) == (0, good), f"{where}: {again.stdout}{again.stderr}"
    assert killed > 5


def names(text: str) -> list[set[str]]:
    peers = json.loads(text)["peer_sync"].values()
    return [{name for name in peer if not name.startswith(":")} for peer in peers]


def test_a_file_that_cannot_be_looked_at_is_an_error_and_nothing_is_deleted_for_it(sides: Sides) -> None:
    for side, name in ((sides.local, "renamed"), (sides.remote, "old name")):
        (side / "d").mkdir()
        (side / "d" / name).write_text("content")
    fault = ("-P", str(sides.local / "d"), "--inject", "newfstatat,statx:error=EIO")
    trace = [*tracer(sides.folder / "log"), "-e", "trace=newfstatat,statx", *fault]
    options = ("--delete", "--allow-mass-delete")
    done = sides.run("upload", str(sides.remote), *options, launcher=trace)
    assert done.returncode == 1 and "renamed" in done.stdout + done.stderr, done
    assert [path.name for path in (sides.remote / "d").iterdir() if path.name != META] == ["old name"]
    again = sides.run("upload", str(sides.remote), *options)
    assert again.returncode == 0, again
    assert [path.name for path in (sides.remote / "d").iterdir() if path.name != META] == ["renamed"]


def test_row_09_metadata_claims_only_what_outlasts_a_power_cut(sides: Sides) -> None:
    """Follows the calls of a run on a disk that keeps only what it was told to keep."""
    two_folders(sides)
    (sides.local / "d" / "deep").mkdir()
    (sides.local / "d" / "deep" / "file").write_text("x")
    (sides.remote / "e" / "deep").mkdir()
    (sides.remote / "e" / "deep" / "file").write_text("y")
    (sides.local / "fresh" / "deep").mkdir(parents=True)
    (sides.local / "fresh" / "deep" / "file").write_text("z")
    log = sides.folder / "log"
    assert sides.run("sync", str(sides.remote), launcher=tracer(log)).returncode == 0
    disk = Forgetful(sides)
    claims = 0
    for line in joined(log.read_text()):
        disk.follow(line)
        if found := re.search(rf'renameat\(.*<{sides.local}/?([^>]*)>, "{META}"\) += 0', line):
            claims += 1
            unwritten = [path for path in disk.unflushed if Path(path).parent in sides.folders(found[1])]
            assert unwritten == [], f"metadata of /{found[1]} claims what is not on the disk"
            for side in (sides.local, sides.remote):
                told = [
                    path
                    for path in disk.at_risk
                    if concerns(Path(path), side / found[1], side == sides.remote)
                ]
                assert told == [], f"metadata of /{found[1]} claims what a power cut would take"
    assert claims >= 4, "every folder with news has metadata"
    assert [path for path in disk.at_risk if path.endswith(META)] == [], (
        "what a run remembers outlasts a power cut"
    )
    assert disk.renamed >= 8 and disk.copied >= 4
    assert disk.unflushed == set(), "nothing is written once it was flushed"


@pytest.mark.parametrize("way", ["at once", "in ranges", "in place"])
def test_row_09_a_large_file_is_on_the_disk_before_it_counts(sides: Sides, server: Small, way: str) -> None:
    (sides.remote / "large").write_bytes(b"y" * (17 << 20))
    # From a server that answers late a file comes over several connections.
    late = ["-e", f"trace={','.join(CALLS)},connect", "--inject", "connect:delay_enter=20000"]
    log = sides.folder / "log"
    launcher = tracer(log, *(late if way == "in ranges" else []))
    # On a busy computer any server may seem to be far away; over one connection it makes no difference.
    options = {"at once": ["--connections", "1"], "in place": ["--inplace"]}.get(way, [])
    assert sides.run("download", server.url, *options, launcher=launcher).returncode == 0
    text = log.read_text()
    assert ("pwrite64(" in text) == (way == "in ranges")
    disk, claims = Forgetful(sides), 0
    for line in joined(text):
        disk.follow(line)
        if f'"{META}") = 0' in line:
            claims += 1
            assert disk.unflushed == set()
    assert claims > 0 and (disk.renamed > claims) == (way != "in place")
    assert contents(sides.local)["large"] == b"y" * (17 << 20)


@pytest.mark.parametrize("can_be_flushed", [True, False])
def test_row_09_a_run_that_is_cut_short_claims_only_what_outlasts_a_power_cut(
    sides: Sides, can_be_flushed: bool
) -> None:
    assert sides.run("sync", str(sides.remote)).returncode == 0
    old = states(sides)
    for number in range(MANY):
        (sides.local / f"more {number}").write_text("x")
    log = sides.folder / "log"
    stopped = ["--inject", "renameat:signal=INT:when=4"]
    only_there = ["-P", str(sides.remote), "--inject", "fsync:error=EIO"]
    launcher = tracer(log, *stopped, *([] if can_be_flushed else only_there))
    done = sides.run("sync", str(sides.remote), "--connections", "1", launcher=launcher)
    assert done.returncode == 3, done.stdout + done.stderr
    assert 2 < len(contents(sides.remote)) < MANY, "it was stopped while it copied"
    assert (states(sides) == old) == (not can_be_flushed)
    disk, claims = Forgetful(sides), 0
    for line in joined(log.read_text()):
        disk.follow(line)
        if f'"{META}") = 0' in line:
            claims += 1
            # What was on its way has no name that counts.
            assert all("-tmp-" in path for path in disk.unflushed)
            assert all(path.startswith(str(sides.local)) for path in disk.at_risk)
    assert (claims > 0) == can_be_flushed
    assert sides.run("sync", str(sides.remote)).returncode == 0
    local, remote = sides.contents()
    assert local == remote and len(local) == MANY + 2


@pytest.mark.parametrize("is_everywhere", [True, False])
def test_row_09_where_a_folder_cannot_be_flushed_its_metadata_stays_the_old_one(
    sides: Sides, is_everywhere: bool
) -> None:
    two_folders(sides)
    old = states(sides)
    only_there = [word for name in ("", "d", "e") for word in ("-P", str(sides.remote / name))]
    where = [] if is_everywhere else only_there
    failing = tracer(sides.folder / "log", *where, "--inject", "fsync:error=EIO")
    done = sides.run("sync", str(sides.remote), launcher=failing)
    assert done.returncode == 1, done.stdout + done.stderr
    assert states(sides) == old
    assert sides.run("sync", str(sides.remote)).returncode == 0
    local, remote = sides.contents()
    assert local == remote


def test_where_a_disk_knows_no_second_names_what_is_replaced_is_kept_all_the_same(sides: Sides) -> None:
    for side, text in ((sides.local, "older"), (sides.remote, "newer")):
        (side / "both").write_text(text)
    os.utime(sides.local / "both", (1.6e9, 1.6e9))
    without = tracer(sides.folder / "log", "-e", "trace=linkat", "--inject", "linkat:error=EPERM")
    done = sides.run("sync", str(sides.remote), launcher=without)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "linkat(" in (sides.folder / "log").read_text()
    assert (sides.local / "both").read_text() == "newer"
    (kept,) = (sides.local / ".pyftpsync-trash").rglob("both")
    assert kept.read_text() == "older"


def test_what_cannot_be_kept_on_a_disk_is_not_replaced(sides: Sides) -> None:
    for side, text in ((sides.local, "older"), (sides.remote, "newer")):
        (side / "both").write_text(text)
    os.utime(sides.local / "both", (1.6e9, 1.6e9))
    failing = tracer(sides.folder / "log", "-e", "trace=linkat", "--inject", "linkat:error=EEXIST")
    done = sides.run("sync", str(sides.remote), launcher=failing)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Could not copy both: file exists" in done.stderr
    assert ((sides.local / "both").read_text(), (sides.remote / "both").read_text()) == ("older", "newer")


def concerns(path: Path, folder: Path, is_opposite: bool) -> bool:
    """Whether metadata is wrong without this name: one in its folder or, on the other side, one on the way to it."""
    is_on_the_way = path == folder or path in folder.parents
    return (path.parent == folder and path.name != META) or (is_opposite and is_on_the_way)


def joined(log: str) -> Iterator[str]:
    """The calls in the order in which they ended, each in one line."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        pid, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>").rstrip()
        elif found := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            yield begun.pop(pid, "") + found[1]
        else:
            yield rest


class Forgetful:
    """A disk without power: what was written and not flushed, and names in folders that were not flushed."""

    def __init__(self, sides: Sides) -> None:
        self.sides = (str(sides.local), str(sides.remote))
        self.unflushed: set[str] = set()
        self.at_risk: set[str] = set()
        self.renamed = 0
        self.copied = 0

    def write(self, path: str) -> None:
        """Notes new content; what a journal holds is only of use to the next run, and may be lost."""
        if path.startswith(self.sides) and not path.endswith(".journal"):
            self.unflushed.add(path)

    def follow(self, line: str) -> None:
        if found := re.match(r"(?:p?write(?:64)?|sendfile)\(\d+<(/[^>]*)>.* = [1-9]", line):
            self.write(found[1])
        elif found := re.match(r"copy_file_range\(\d+<[^>]*>, [^,]*, \d+<([^>]*)>.* = [1-9]", line):
            self.write(found[1])
            self.copied += 1
        elif found := re.match(r"f(?:data)?sync\(\d+<([^>]*)>\) += 0", line):
            path = found[1]
            self.unflushed.discard(path)
            self.at_risk = {name for name in self.at_risk if os.path.dirname(name) != path}
        elif found := re.match(r'renameat\(\d+<([^>]*)>, "([^"]*)", \d+<([^>]*)>, "([^"]*)"\) += 0', line):
            old, new = f"{found[1]}/{found[2]}", f"{found[3]}/{found[4]}"
            assert old not in self.unflushed, f"{new} gets its name before its content is on the disk"
            self.renamed += 1
            self.at_risk.add(new)
        elif found := re.match(r'mkdirat\(\d+<([^>]*)>, "([^"]*)".*= 0', line):
            self.at_risk.add(f"{found[1]}/{found[2]}")


# -- full -------------------------------------------------------------------------------------------


def test_row_17_a_full_disk_keeps_the_old_file_and_the_others_come(sides: Sides, server: Small) -> None:
    (sides.remote / "large").write_bytes(b"y" * 3_000_000)
    (sides.local / "large").write_bytes(b"old")
    # One after the other: what comes just while the disk is full has no room either.
    alone = ("--force", "--connections", "1")
    done = sides.run("download", server.url, *alone, launcher=small_disk(sides.local, "2m"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "large" in done.stdout + done.stderr and "no space left" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert contents(sides.local) == {"large": b"old", "mine": b"mine", "theirs": b"theirs"}
    assert sides.litter() == []
    assert sides.run("download", server.url, "--force").returncode == 0
    assert contents(sides.local)["large"] == b"y" * 3_000_000


def test_row_18_a_disk_that_is_full_when_metadata_is_written_keeps_the_old_one(
    sides: Sides, server: Small
) -> None:
    for number in range(200):
        (sides.remote / f"file with a long name {number}").write_text("x")
    assert sides.run("sync", server.url).returncode == 0
    old = (sides.local / META).read_bytes()
    # Everything else fits, also all at the same time: the journal and two new files. The metadata is far larger.
    (sides.remote / "new").write_text("new")
    (sides.remote / "theirs").write_text("edited there")
    page = resource.getpagesize()
    assert len(old) > 4 * page
    held = sum(-(-path.stat().st_size // page) for path in sides.local.iterdir())
    done = sides.run("sync", server.url, launcher=small_disk(sides.local, str((held + 3) * page)))
    assert done.returncode == 1, done.stdout + done.stderr
    assert META in done.stderr and "no space left" in done.stderr
    assert (sides.local / META).read_bytes() == old
    assert contents(sides.local)["new"] == b"new"
    assert sides.litter() == []
    again = sides.run("sync", server.url)
    assert again.returncode == 0 and "conflict" not in again.stdout.lower(), again.stdout
    local, remote = sides.contents()
    assert local == remote


def test_row_19_a_limit_of_the_size_of_files_keeps_the_old_file(sides: Sides, server: Small) -> None:
    (sides.remote / "large").write_bytes(b"y" * LARGE)
    (sides.local / "large").write_bytes(b"old")
    done = sides.run("download", server.url, "--force", room=LARGE // 2)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "large" in done.stdout + done.stderr
    assert (sides.local / "large").read_bytes() == b"old"
    assert (sides.local / "theirs").read_text() == "theirs", "others go on"
    assert sides.litter() == []


def test_row_18_a_limit_of_the_size_of_files_keeps_the_old_metadata(sides: Sides, server: Small) -> None:
    assert sides.run("sync", server.url).returncode == 0
    meta = sides.local / META
    old = meta.read_bytes()
    for number in range(40):
        (sides.remote / f"new{number}").write_text("x")
    done = sides.run("sync", server.url, room=len(old) + 100)
    assert done.returncode == 1, done.stdout
    assert META in done.stderr
    assert meta.read_bytes() == old
    # What the metadata lacks stays in the journal, until it has been written.
    assert [name for name in sides.litter() if not name.endswith(".journal")] == []
    again = sides.run("sync", server.url)
    assert again.returncode == 0, again.stdout + again.stderr
    assert sides.litter() == []
    assert sides.run("sync", server.url).returncode == 0


# -- closed -----------------------------------------------------------------------------------------


def test_row_20_a_folder_that_is_read_only_stops_no_other(sides: Sides, server: Small) -> None:
    for name in ("closed", "open"):
        (sides.local / name).mkdir()
        (sides.local / name / "edited").write_text("old")
        (sides.remote / name).mkdir()
        (sides.remote / name / "edited").write_text("newer, and longer")
        (sides.remote / name / "new").write_text("new")
    (sides.local / "closed").chmod(0o555)
    try:
        done = sides.run("download", server.url, "--force", launcher=nobody(sides))
    finally:
        (sides.local / "closed").chmod(0o755)
    assert done.returncode == 1, done.stdout + done.stderr
    told = done.stdout + done.stderr
    assert "closed/new" in told and "permission denied" in told
    assert "Traceback" not in told
    local = contents(sides.local)
    # What is there may be written to, and is; as in pyftpsync 4.1.
    assert local["closed/edited"] == b"newer, and longer" and "closed/new" not in local
    assert local["open/edited"] == b"newer, and longer" and local["open/new"] == b"new"
    assert local["theirs"] == b"theirs"
    assert sides.run("download", server.url, "--force").returncode == 0
    assert contents(sides.local)["closed/new"] == b"new"


def mounted(source: Path, name: Path) -> list[str]:
    """A launcher that puts one file over another, as containers do."""
    if shutil.which("unshare") is None:
        missing("unshare, which mounts a file for one process only, is not here")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount --bind "$1" "$2" || exit 99; shift 2; exec "$@"'
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh", str(source), str(name)]


@pytest.mark.parametrize("size", [17, 9 << 20])
@pytest.mark.parametrize("verify", [(), ("--verify",)])
@pytest.mark.parametrize("way", ["server", "disk"])
def test_a_file_that_is_a_mount_point_is_written_in_place(
    sides: Sides, server: Small, size: int, verify: tuple[str, ...], way: str
) -> None:
    source = sides.folder / "mounted"
    source.write_text("old")
    (sides.local / "config").write_text("what lies below")
    (sides.remote / "config").write_bytes(b"n" * size)
    url = server.url if way == "server" else str(sides.remote)
    done = sides.run("download", url, "--force", *verify, launcher=mounted(source, sides.local / "config"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert source.read_bytes() == b"n" * size
    assert (sides.local / "config").read_text() == "what lies below"
    assert list(sides.local.glob(".pyftpsync-tmp-*")) == []
    again = sides.run("download", url, launcher=mounted(source, sides.local / "config"))
    assert again.returncode == 0 and "Wrote 0/" in again.stdout, again.stdout + again.stderr


def test_a_file_in_a_closed_folder_whose_transfer_fails_is_made_whole_by_the_next_run(
    sides: Sides, server: Small
) -> None:
    (sides.remote / "closed").mkdir()
    (sides.remote / "closed" / "edited").write_text("old")
    assert sides.run("download", server.url).returncode == 0
    (sides.remote / "closed" / "edited").write_bytes(b"n" * LARGE)
    (sides.local / "closed").chmod(0o555)
    try:
        done = sides.run("download", server.url, "--force", room=LARGE // 2, launcher=nobody(sides))
        assert done.returncode == 1 and "closed/edited" in done.stdout + done.stderr, done
        done = sides.run("download", server.url, "--force", launcher=nobody(sides))
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        (sides.local / "closed").chmod(0o755)
    assert contents(sides.local)["closed/edited"] == b"n" * LARGE


def test_where_the_group_of_a_file_is_lost_nobody_gets_more_than_before(sides: Sides, server: Small) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of a group that it is not in")
    modes = {"shared": (0o664, 0o644), "secret": (0o640, 0o600), "open": (0o644, 0o644)}
    for name, (mode, _) in modes.items():
        path = sides.local / name
        path.write_text("old")
        if sys.platform == "linux":
            os.setxattr(path, "user.origin", b"here")
        os.chown(path, -1, 1234)
        path.chmod(mode)
        (sides.remote / name).write_text("newer, and longer")
    done = sides.run("download", server.url, "--force", launcher=nobody(sides))
    assert done.returncode == 0, done.stdout + done.stderr
    for name, (_, left) in modes.items():
        found = (sides.local / name).stat()
        assert (found.st_size, found.st_gid, found.st_mode & 0o777) == (17, os.getegid(), left), name
        if sys.platform == "linux":
            assert os.getxattr(sides.local / name, "user.origin") == b"here"


@pytest.mark.parametrize("verb", ["upload", "sync"])
def test_row_22_below_a_folder_that_cannot_be_read_nothing_is_deleted(
    sides: Sides, server: Small, verb: str
) -> None:
    for name in ("closed/a", "closed/deep/b", "open/a", "gone", "stays"):
        path = sides.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert sides.run("sync", server.url).returncode == 0
    (sides.local / "gone").unlink()
    (sides.local / "closed").chmod(0)
    options = ["--delete"] if verb == "upload" else []
    try:
        done = sides.run(verb, server.url, *options, launcher=nobody(sides))
    finally:
        (sides.local / "closed").chmod(0o755)
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "closed" in told and "permission denied" in told and "Traceback" not in told
    remote = contents(sides.remote)
    assert {"closed/a", "closed/deep/b", "open/a", "stays"} <= remote.keys()
    assert sides.run(verb, server.url, *options).returncode == 0
    assert contents(sides.remote).keys() == contents(sides.local).keys() | {"theirs"}
    assert "gone" not in contents(sides.remote)


# -- times ------------------------------------------------------------------------------------------

ODD_TIMES = {
    "long before": -2e9,
    "before": -1.5,
    "zero": 0,
    "one": 1,
    "fraction": 1.6e9 + 0.123456,
    "late": 4.4e9,
}


@pytest.mark.parametrize("kind", [None, *servers.EVERY], ids=lambda kind: kind.name if kind else "disk")
def test_row_31_files_with_odd_times_are_synchronised_and_then_left_alone(
    start_server: StartServer, tmp_path: Path, kind: Kind | None
) -> None:
    if kind is None:
        sides = Sides(tmp_path)
        local, remote = sides.local, sides.remote

        def run(verb: str) -> str:
            done = sides.run(verb, str(remote))
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout
    else:
        world = make_world(start_server(kind), tmp_path)
        local, remote = world.local, world.remote

        def run(verb: str) -> str:
            return world.run(verb).out

    for name, at in ODD_TIMES.items():
        (local / name).write_text(name)
        os.utime(local / name, (at, at))
    run("sync")
    for name in ODD_TIMES:
        assert (remote / name).read_text() == name
    times = {name: (local / name).stat().st_mtime for name in ODD_TIMES}
    before = {path: path.stat().st_ctime_ns for side in (local, remote) for path in side.iterdir()}
    again = run("sync")
    changed = [
        path.name for path, at in before.items() if path.stat().st_ctime_ns != at and "lock" not in path.name
    ]
    assert changed == [], again
    assert {name: (local / name).stat().st_mtime for name in ODD_TIMES} == times
    (local / "before").write_text("edited, before the beginning")
    os.utime(local / "before", (-1, -1))
    run("sync")
    assert (remote / "before").read_text() == "edited, before the beginning"
