"""Plays worlds with whatever package is imported as `ftpsync` and says what came out.

Reads one world per line (JSON) on stdin, prints one outcome per line (JSON) on stdout. The same file runs
with the reference implementation and with ours, so it uses nothing but names both promise, and nothing
outside the standard library. A world is a value; see `worlds.py` for where they come from:

    id          text
    local       {path: node}   node: null for a folder, {"size", "fill", "mtime"} for a file,
    remote      {path: node}         {"text"} for a file with that text, {"link"} for a symbolic link
    past        {folder: {name: {"m", "s"} | null}}   what the last sync recorded; null for a folder
    steps       [{"mode", "options", "edits", "answers"}]   runs, one after the other, each after its edits

Arguments name defects of the reference to repair first, see `repairs.py`. With `--hooked` as the first one the
synchronizers are subclasses that override every hook and do nothing in it but call the super class.

An edit is [side, path, node] to put something there, or [side, path] to remove what is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

os.environ["TZ"] = "UTC"
if hasattr(time, "tzset"):
    time.tzset()

from ftpsync.synchronizers import (
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import FsTarget
from ftpsync.util import set_pyftpsync_logger

META = ".pyftpsync-meta.json"
TRASH = ".pyftpsync-trash"
SYNCHRONIZERS = {"sync": BiDirSynchronizer, "upload": UploadSynchronizer, "download": DownloadSynchronizer}
#: Written as the upload time of everything that `past` lists.
UPLOADED = 1_600_000_005.0
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TIMED = ("elap_secs", "elap_str", "write_time", "upload_write_time", "download_write_time")
RATES = ("upload_rate_str", "download_rate_str")
#: Counts of characters: they depend on the version text and on the digits of the clock, so
#: only whether there were any is told.
META_BYTES = ("meta_bytes_read", "meta_bytes_written")


class Lines(logging.Handler):
    """Collects what the package writes to its logger."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append([record.levelname, record.getMessage()])


LINES = Lines()


def main() -> None:
    logger = logging.getLogger("oracle.driver")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(LINES)
    set_pyftpsync_logger(logger)
    wishes = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if wishes[:1] == ["--hooked"]:
        from hooking import hooked

        SYNCHRONIZERS.update({mode: hooked(plain) for mode, plain in SYNCHRONIZERS.items()})
        del wishes[0]
    if wishes:
        from repairs import repair

        repair(wishes)
    answer = sys.stdout
    # All of it at once: a prompt that is not the patched `input` must find an end, not the next world.
    worlds = sys.stdin.read().splitlines()
    with tempfile.TemporaryDirectory(prefix="world-", dir=_scratch()) as scratch:
        for world in worlds:
            outcome = play(json.loads(world), scratch)
            answer.write(json.dumps(outcome, sort_keys=True) + "\n")
            answer.flush()


def _scratch() -> str | None:
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and os.access(memory, os.W_OK) else None


def play(world: dict[str, Any], scratch: str) -> dict[str, Any]:
    """Sets the world up, takes its steps, removes it, and returns what could be seen after each step."""
    roots = {side: os.path.join(scratch, side) for side in ("local", "remote")}
    try:
        for side, root in roots.items():
            os.mkdir(root)
            for path, node in world[side].items():
                put(root, path, node)
        for folder, names in world.get("past", {}).items():
            remember(roots, folder, names)
        return {"id": world["id"], "steps": [take(step, roots) for step in world["steps"]]}
    finally:
        for root in roots.values():
            shutil.rmtree(root, ignore_errors=True)


def put(root: str, path: str, node: dict[str, Any] | None) -> None:
    """Makes a folder, a file or a link, whatever was there before."""
    full = os.path.join(root, path)
    if node is None:
        os.makedirs(full, exist_ok=True)
        return
    os.makedirs(os.path.dirname(full), exist_ok=True)
    if "link" in node:
        os.symlink(node["link"], full)
        os.utime(full, (UPLOADED, UPLOADED), follow_symlinks=False)
        return
    body = node["text"].encode() if "text" in node else node["fill"].encode() * node["size"]
    with open(full, "wb") as file:
        file.write(body)
    if "mtime" in node:
        os.utime(full, (node["mtime"], node["mtime"]))


def remove(root: str, path: str) -> None:
    full = os.path.join(root, path)
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    elif os.path.lexists(full):
        os.remove(full)


def remember(roots: dict[str, str], folder: str, names: dict[str, Any]) -> None:
    """Writes a local meta file of file version 3, as an earlier run would have left it."""
    where = os.path.normpath(os.path.join(roots["local"], folder))
    # Both keep one record per folder under the id of the remote root, at every depth.
    peer = FsTarget(roots["remote"]).get_id()
    record: dict[str, Any] = {":last_sync": UPLOADED}
    for name, seen in names.items():
        record[name] = {**(seen or {"m": None, "s": None}), "u": UPLOADED}
    document = {
        "_disclaimer": "test",
        "_file_version": 3,
        "_time": UPLOADED,
        "_time_str": "2020-09-13 12:26:45",
        "_version": "4.1.0",
        "mtimes": {},
        "peer_sync": {peer: record},
    }
    with open(os.path.join(where, META), "w", encoding="utf-8") as file:
        json.dump(document, file, separators=(",", ":"), sort_keys=True)


def take(step: dict[str, Any], roots: dict[str, str]) -> dict[str, Any]:
    """One run of a synchronizer, after the edits of the step."""
    for edit in step.get("edits", []):
        root = roots[edit[0]]
        remove(root, edit[1])
        if len(edit) == 3:
            put(root, edit[1], edit[2])
    LINES.seen.clear()
    answers = iter(step.get("answers", []))
    error: list[str] | None = None
    returned: Any = None
    stats: dict[str, Any] = {}
    with _captured_stdout() as printed, mock.patch("builtins.input", side_effect=answers):
        try:
            synchronizer = SYNCHRONIZERS[step["mode"]](
                FsTarget(roots["local"]), FsTarget(roots["remote"]), dict(step["options"])
            )
            stats = synchronizer.get_stats()
            returned = synchronizer.run()
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # a panic of native code is no Exception
            error = [type(problem).__name__, plain(str(problem), roots)[:100]]
    return {
        "error": error,
        "returned": returned,
        "local": tree(roots["local"]),
        "remote": tree(roots["remote"]),
        "stats": {
            key: bool(value) if key in META_BYTES else value for key, value in stats.items() if timeless(key)
        },
        "lines": sorted([level, plain(text, roots)] for level, text in LINES.seen),
        "printed": [plain(line, roots) for line in printed.getvalue().splitlines() if "Touched " not in line],
        "record": records(roots),
    }


def timeless(key: str) -> bool:
    return key not in TIMED and key not in RATES


@contextmanager
def _captured_stdout() -> Iterator[io.StringIO]:
    real, captured = sys.stdout, io.StringIO()
    sys.stdout = captured
    try:
        yield captured
    finally:
        sys.stdout = real


def plain(text: str, roots: dict[str, str]) -> str:
    """Takes out what differs from run to run: escapes, temporary paths, padding."""
    text = ESCAPE.sub("", text)
    for side, root in roots.items():
        text = text.replace(root, f"<{side}>")
    return text.rstrip()


def tree(root: str) -> dict[str, Any]:
    """What is in a folder, meta files and trash aside: "folder", "link -> ..." or [size, digest, mtime]."""
    found: dict[str, Any] = {}
    for where, folders, files in os.walk(root):
        folders[:] = [folder for folder in folders if folder != TRASH]
        for name in folders + files:
            full = os.path.join(where, name)
            path = os.path.relpath(full, root).replace(os.sep, "/")
            if os.path.islink(full):
                found[path] = "link -> " + os.readlink(full)
            elif name in folders:
                found[path] = "folder"
            elif name != META:
                with open(full, "rb") as file:
                    body = file.read()
                found[path] = [
                    len(body),
                    hashlib.sha1(body).hexdigest()[:8],
                    round(os.stat(full).st_mtime, 2),
                ]
    return found


def records(roots: dict[str, str]) -> dict[str, Any]:
    """What the meta files tell of the last sync: {"side:folder": {name: [mtime, size]}}."""
    peer = FsTarget(roots["remote"]).get_id()
    found: dict[str, Any] = {}
    for side, root in roots.items():
        for where, folders, files in os.walk(root):
            folders.sort()
            if META not in files:
                continue
            folder = f"{side}:" + os.path.relpath(where, root).replace(os.sep, "/")
            try:
                with open(os.path.join(where, META), encoding="utf-8") as file:
                    document = json.load(file)
                if document.get("_file_version") != 3:
                    found[folder] = f"file version {document.get('_file_version')}"
                    continue
                record = document["peer_sync"].get(peer)
                if record is None:
                    found[folder] = f"{len(document['peer_sync'])} other peers"
                    if not document["peer_sync"] and "folders" in document:
                        del found[folder]  # Only ours keeps a copy of what the folders below remember.
                else:
                    found[folder] = {n: _seen(e) for n, e in sorted(record.items()) if n[:1] != ":"}
            except (ValueError, KeyError, TypeError, AttributeError):
                found[folder] = "unreadable"
    return found


def _seen(entry: dict[str, Any]) -> list[Any]:
    mtime = entry["m"]
    return [mtime if mtime is None else round(mtime, 2), entry["s"]]


if __name__ == "__main__":
    main()
