"""Scripts as users write them, after the examples of the manual; what they print is compared, too."""

from __future__ import annotations

from typing import Any

from scenario import ANCHORS, HERE, THERE, Scenario, Step, edited, file

BOTH = ("4.1.0", "3.1.0")

#: How most scripts begin.
BEGIN = """
import json
import sys
from ftpsync.ftp_target import {ftp_target}
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, make_target
from ftpsync.util import set_pyftpsync_logger

def tell_stats(s):
    # Times and sizes of metadata are never the same; errors are counted since 4.1.
    vague = ("elap", "time", "rate", "meta_bytes", "errors")
    print(json.dumps({k: v for k, v in sorted(s.get_stats().items()) if not any(word in k for word in vague)}))

local = FsTarget("{local}")
remote = {ftp_target}("{path}", "127.0.0.1", {port}, username="joe", password="secret")
"""


def script(
    name: str, about: str, *programs: str, begin: str = BEGIN, edits: Any = (), **more: Any
) -> Scenario:
    """Programs, one after the other; the edits are made before the second one."""
    steps = [
        Step(script=begin + program, edits=edits if number == 1 else ())
        for number, program in enumerate(programs)
    ]
    trees = {"local": {**HERE, **ANCHORS}, "remote": THERE, "releases": BOTH}
    return Scenario(f"script: {name}", about, steps, **{**trees, **more})


UPLOAD = """
opts = {"force": False, "delete_unmatched": True, "verbose": 3}
s = UploadSynchronizer(local, remote, opts)
print(s.run(), opts["match"], opts["exclude"])
tell_stats(s)
"""

SYNC_WITH_HOOKS = """
class Careful(BiDirSynchronizer):
    def on_delete_remote(self, pair):
        print("kept", pair, pair.operation, pair.remote.is_file())

    def on_copy_local(self, pair):
        print("up", pair.name, pair.local_classification, pair.remote_classification, pair.local.size)
        return super().on_copy_local(pair)

    def on_copy_remote(self, pair):
        print("down", pair.name, pair.local is None, pair.remote.get_rel_path())
        return super().on_copy_remote(pair)

    def on_conflict(self, pair):
        print("conflict", pair.name, pair.is_conflict())
        return super().on_conflict(pair)

s = Careful(local, remote, {"verbose": 4, "resolve": "local"})
s.run()
tell_stats(s)
"""

CHANGED_OPERATIONS = """
class Protective(BiDirSynchronizer):
    def re_classify_pair(self, pair):
        if pair.name.startswith("anchor") and pair.operation == "delete_local":
            pair.override_operation("copy_local", "anchors stay")
        if pair.name == "same.txt":
            return False
        return super().re_classify_pair(pair)

s = Protective(local, remote, {"verbose": 3, "resolve": "skip"})
s.run()
tell_stats(s)
"""

LEFT_ALONE = """
class Picky(UploadSynchronizer):
    def _before_sync(self, entry):
        if entry.name in ("empty", "new here"):
            return False
        return super()._before_sync(entry)

    def _match(self, entry):
        return entry.name != "only here.txt" and super()._match(entry)

    def on_mismatch(self, pair):
        print("left out", pair.any_entry.name)
        return super().on_mismatch(pair)

    def on_equal(self, pair):
        if pair.is_dir:
            pair.local.was_deleted = True  # Not into this folder.
        return super().on_equal(pair)

s = Picky(local, remote, {"verbose": 4, "resolve": "skip"})
s.run()
tell_stats(s)
"""

WALK = """
def show(target):
    target.open()
    try:
        for entry in sorted(target.walk(), key=lambda entry: (entry.rel_path, entry.name)):
            kind = "dir " if entry.is_dir() else "file"
            print(kind, entry.rel_path.replace(target.root_dir, "<root>"), entry.name, entry.size, entry.is_file())
        print(sorted(e.name for e in target.walk(pred=lambda e: not e.name.startswith("anchor"), recursive=False)))
        print(target.cwd("sub"), sorted(e.name for e in target.get_dir()), target.pwd() == target.cur_dir)
        print(target.read_text("both.txt"))
        target.write_text("written.txt", "w\\u00e4s")
        print(target.read_text("written.txt"), sorted(e.name for e in target.get_dir()))
        target.cwd("..")
        target.mkdir("made")
        target.cwd("made")
        target.cwd("..")
        target.rmdir("made")
        print(target.get_base_name(), target.is_unbound(), target.readonly, target.connected)
    finally:
        target.close()
    print(target.connected, str(target))

set_pyftpsync_logger(None)
show(local)
show(remote)
"""

WALK_TREE = """
set_pyftpsync_logger(None)
for target in (local, remote):
    target.open()
    for prefix, entry in target.walk_tree(sort=True, files=True):
        print(prefix + entry.name, entry.as_string() if entry.is_file() else "")
    with target.enter_subdir("sub"):
        print(target.cur_dir.replace(target.root_dir, ""))
    target.close()
"""

OWN_LOGGER = """
import logging

class Collector(logging.Handler):
    lines = []
    def emit(self, record):
        self.lines.append(record.levelname + " " + record.getMessage())

logger = logging.getLogger("mine")
logger.propagate = False
logger.setLevel(logging.DEBUG)
logger.addHandler(Collector())
before = set_pyftpsync_logger(logger)
s = BiDirSynchronizer(local, remote, {"verbose": 4, "resolve": "skip", "no_color": True})
s.run()
print(before.name, set_pyftpsync_logger(before) is logger)
for line in sorted(Collector.lines):
    print(line.replace("\\x1b[0K", "").rstrip())
"""

OWN_TARGET = """
import io
from contextlib import contextmanager
from ftpsync.metadata import DirMetadata
from ftpsync.targets import _Target

class Store(_Target):
    '''Takes files and forgets them: an object store that can only be written to.'''
    written = {}

    def __init__(self):
        super().__init__("/store", None)
        self.support_set_time = False

    def open(self):
        super().open()
        self.cur_dir = "/store"

    def get_base_name(self):
        return "store:"

    def cwd(self, name):
        self.cur_dir = self.cur_dir.rsplit("/", 1)[0] if name == ".." else self.cur_dir + "/" + name
        return self.cur_dir

    def pwd(self):
        return self.cur_dir

    def mkdir(self, name):
        self.written[self.cur_dir + "/" + name] = None

    def get_dir(self):
        self.cur_dir_meta = DirMetadata(self)
        return []

    @contextmanager
    def open_writable(self, name):
        body = io.BytesIO()
        yield body
        self.written[self.cur_dir + "/" + name] = len(body.getvalue())

    def flush_meta(self):
        pass

    def set_mtime(self, name, mtime, size):
        self.written[self.cur_dir + "/" + name + " time"] = int(mtime)

store = Store()
s = DownloadSynchronizer(store, remote, {"verbose": 3})
s.run()
for name, size in sorted(store.written.items()):
    print(name, size)
tell_stats(s)
"""

SYNC_INFO = """
class Curious(BiDirSynchronizer):
    def on_equal(self, pair):
        if pair.local.is_file():
            info = pair.local.get_sync_info()
            seen = info and (int(info["m"]), info["s"])
            print("equal", pair.name, seen, pair.local.ps_size, pair.remote.get_sync_info("s"))
        return super().on_equal(pair)

s = Curious(local, remote, {"verbose": 2, "resolve": "skip"})
s.run()
"""

ERRORS = """
import ftplib

def attempt(what, remote, cls=UploadSynchronizer, **opts):
    s = cls(FsTarget("{local}"), remote, {"verbose": 1, **opts})
    try:
        print(what, s.run())
    except ftplib.error_perm as error:
        print(what, "error_perm", str(error)[:3])
    except ftplib.all_errors as error:
        print(what, "other ftplib error", isinstance(error, OSError))
    except RuntimeError as error:
        print(what, "RuntimeError", str(error)[:20])
    print(s.local.connected, s.remote.connected, s.remote.synchronizer)

attempt("wrong password", {ftp_target}("{path}", "127.0.0.1", {port}, username="joe", password="wrong"))
attempt("nobody there", {ftp_target}("{path}", "127.0.0.1", 9, username="joe", password="secret"))
attempt("fine", remote)
attempt("unknown strategy", remote, BiDirSynchronizer, resolve="skip")
remote.open()
try:
    remote.cwd("sub")
    print(remote.ftp.pwd()[-4:], remote.ftp.sendcmd("NOOP")[:3], isinstance(remote.ftp, ftplib.FTP))
    remote.ftp.sendcmd("NONSENSE")
except ftplib.all_errors as error:
    print(type(error).__name__, str(error)[:3])
try:
    remote.cwd("../../..")
except RuntimeError as error:
    print("RuntimeError", str(error)[:30])
try:
    remote.read_text("missing")
except ftplib.error_perm as error:
    print("error_perm", str(error)[:3])
remote.close()
remote.close()
"""

KEYRING = """
import keyring
from keyring.backend import KeyringBackend
from ftpsync.util import get_credentials_for_url, save_password

class Memory(KeyringBackend):
    priority = 1
    known = {}
    def get_password(self, service, name):
        return self.known.get((service, name))
    def set_password(self, service, name, password):
        self.known[service, name] = password
    def delete_password(self, service, name):
        del self.known[service, name]

keyring.set_keyring(Memory())
save_password("127.0.0.1", "joe", "secret")
print(sorted(name for _, name in Memory.known))
user, password = get_credentials_for_url("127.0.0.1", {"no_prompt": True, "verbose": 3})
print(user, len(password))
remote = {ftp_target}("{path}", "127.0.0.1", {port})
s = UploadSynchronizer(local, remote, {"verbose": 3, "resolve": "skip"})
s.run()
print(remote.username)
try:
    save_password("127.0.0.1", "a:b", "x")
except RuntimeError as error:
    print("RuntimeError")
save_password("127.0.0.1", "joe", None)
print(Memory.known)
"""

LOOP = """
import os
s = BiDirSynchronizer(local, remote, {"verbose": 2, "resolve": "skip"})
for number in range(4):
    with open(os.path.join("{local}", "loop%d.txt" % number), "w") as file:
        file.write("x" * number)
    print(s.run())
    tell_stats(s)
up = UploadSynchronizer(local, remote, {"verbose": 1, "resolve": "skip"})
down = DownloadSynchronizer(local, remote, {"verbose": 1, "resolve": "skip"})
for s in (up, down, up, down):
    s.run()
    print(local.readonly, remote.readonly)
tell_stats(up)
tell_stats(down)
"""

IN_PROCESS = """
import io
from ftpsync import pyftpsync

def run(*args):
    argv, out, err = sys.argv, sys.stdout, sys.stderr
    sys.argv, sys.stdout, sys.stderr = ["pyftpsync", *args], io.StringIO(), io.StringIO()
    code = None
    try:
        pyftpsync.run()
    except SystemExit as end:
        code = end.code
    finally:
        said, told = sys.stdout.getvalue(), sys.stderr.getvalue()
        sys.argv, sys.stdout, sys.stderr = argv, out, err
    print(args[:1], code, len(told) > 0)
    for line in sorted(said.splitlines()):
        print("    " + line.rstrip())

url = "{url}"
run("upload", "{local}", url, "--resolve", "skip")
run("upload", "{local}", url, "--resolve", "skip", "-q")
run("download", "{local}", url, "--resolve", "skip", "--report-problems")
run("sync", "{local}", url, "--resolve", "skip", "-n")
run("sync", "{local}", url, "--resolve", "skip", "--no-color")
run("upload", "{local}")
run("-V")
run("scan", url, "--list")
run("tree", url, "--sort")
print("done")
"""

UNREADABLE = """
class Flaky(FsTarget):
    def open_readable(self, name):
        if name.startswith("only"):
            raise PermissionError(13, "not this one")
        return super().open_readable(name)

s = UploadSynchronizer(Flaky("{local}"), remote, {"verbose": 3, "resolve": "skip"})
print(s.run(), s.error_count(), s.problem_count())
tell_stats(s)
"""

PATCHED_INPUT = """
import builtins
asked = []

def answer(prompt):
    asked.append(prompt)
    return {1: "?", 2: "b"}.get(len(asked), "L")

builtins.input = answer
set_pyftpsync_logger(None)
s = BiDirSynchronizer(local, remote, {"verbose": 3, "resolve": "ask", "no_color": True})
s.is_script = True
s.run()
print(len(asked), s.resolve_all)
tell_stats(s)
"""

REHEARSAL = """
s = BiDirSynchronizer(local, remote, {"dry_run": True, "verbose": 3, "resolve": "skip"})
s.run()
tell_stats(s)
t = make_target("ftp://joe:secret@{address}", {"encoding": "utf8"})
print(t.username, len(t.password), t.encoding, t.host, t.port == {port}, t.get_base_name(), t.get_id())
"""

EDITS = [
    ("local", "same.txt", edited("changed here")),
    ("remote", "only there.txt", edited("changed there", 2)),
    ("remote", "anchor3.txt"),
    ("local", "anchor5.txt"),
]

SCRIPTS = [
    script("upload", "The upload example of the manual, twice.", UPLOAD, UPLOAD, edits=EDITS[:1]),
    script(
        "hooks",
        "Handlers look at their pairs, act through super(), or do nothing.",
        SYNC_WITH_HOOKS,
        SYNC_WITH_HOOKS,
        edits=EDITS,
    ),
    script(
        "other operations",
        "re_classify_pair() overrides an operation, and has a pair left alone.",
        CHANGED_OPERATIONS,
        CHANGED_OPERATIONS,
        edits=EDITS,
        repairs=("D5",),
    ),
    script(
        "left alone",
        "Entries and folders that hooks want left alone.",
        LEFT_ALONE,
        LEFT_ALONE,
        releases=("4.1.0",),
    ),
    script("walk", "Targets without a synchronizer: lists, reads, writes, makes and removes.", WALK),
    script("walk_tree", "The tree as lines.", WALK_TREE, releases=("4.1.0",)),
    script("own logger", "Lines go to the logger of the script.", OWN_LOGGER),
    script("own target", "A download into a target that can only be written to.", OWN_TARGET),
    script(
        "sync info", "What the last run remembers, seen by a hook.", SYNC_INFO, SYNC_INFO, edits=EDITS[:1]
    ),
    script("errors", "Errors are caught by the classes that ftplib has for them.", ERRORS),
    script("keyring", "User and password come from the keyring.", KEYRING),
    script("loop", "One synchronizer runs again and again; targets are shared.", LOOP),
    script(
        "in process", "run() is called many times, with replaced streams.", IN_PROCESS, releases=("4.1.0",)
    ),
    script(
        "unreadable",
        "A file that cannot be opened is counted, and the rest goes on.",
        UNREADABLE,
        releases=("4.1.0",),
    ),
    script(
        "patched input",
        "Conflicts are answered by a function in place of input().",
        UPLOAD.replace("True", "False"),
        PATCHED_INPUT,
        releases=("4.1.0",),
        edits=[("local", "same.txt", edited("here!", 2)), ("remote", "same.txt", edited("there", 3))],
    ),
    script("rehearsal", "A dry run, and a target made of an address.", REHEARSAL),
    script(
        "plain folder",
        "A sub folder without any file is uploaded.",
        UPLOAD,
        local={"a/b/c": None, "x": file("x")},
        remote={},
    ),
]
