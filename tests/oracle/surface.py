"""Prints what the package that is imported as `ftpsync` offers: signatures, constants and attributes, as JSON.

Runs with the reference implementation and with ours, and uses the standard library only. Of each module the
names are told that it defines itself; with `--imported` also those that it has from other modules of the
package, so that a name which moved is still found where it was.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
import tempfile
from typing import Any

import ftpsync

#: Starts the command line when imported, is for people only, or is native.
LEFT_OUT = {"__main__", "demo", "_core"}

PLAIN = (type(None), bool, int, float, str, bytes)


def main() -> None:
    modules = [name for _, name, _ in pkgutil.iter_modules(ftpsync.__path__) if name not in LEFT_OUT]
    found = {name: of_module(name) for name in modules}
    print(json.dumps({"modules": found, "instances": of_instances()}))


def of_module(name: str) -> dict[str, Any]:
    """Returns what is told of each name of a module; of a class also `Class.name` for all that it has."""
    try:
        module = importlib.import_module(f"ftpsync.{name}")
    except ImportError as why:
        return {"cannot be imported": str(why)}
    found: dict[str, Any] = {}
    for thing, value in vars(module).items():
        if thing.startswith("__"):
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            if not is_told(value.__module__, module.__name__):
                continue
            found[thing] = parameters(value)
            if inspect.isclass(value):
                found.update({f"{thing}.{member}": told for member, told in of_class(value).items()})
        elif is_plain(value):
            found[thing] = plain(value)
    return found


def is_told(owner: str, module: str) -> bool:
    return owner == module or ("--imported" in sys.argv and owner.split(".")[0] == "ftpsync")


def of_class(owner: type) -> dict[str, Any]:
    """Returns what instances can be asked for, inherited or not."""
    found: dict[str, Any] = {}
    for name, value in inspect.getmembers(owner):
        if name.startswith("__"):
            continue
        if inspect.isfunction(value):
            found[name] = parameters(value)
        elif isinstance(value, property):
            found[name] = "property"
        elif is_plain(value):
            found[name] = plain(value)
    return found


def parameters(thing: Any) -> list[list[str | None]]:
    """Returns name, kind and default of each parameter."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return []
    return [
        [each.name, each.kind.name, None if each.default is each.empty else repr(each.default)]
        for each in signature.parameters.values()
    ]


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_plain(each) for each in value)
    return isinstance(value, PLAIN)


def plain(value: Any) -> str:
    """Returns a value as text; sets and mappings in a fixed order, whatever kind of set it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{key!r}: {each!r}" for key, each in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(repr(each) for each in value)) + "}"
    return repr(value)


def of_instances() -> dict[str, dict[str, str]]:
    """Returns the attributes of fresh objects: their value if it is plain, else the name of its class."""
    from ftpsync import ftp_target, metadata, resources, synchronizers, targets

    with tempfile.TemporaryDirectory() as folder:
        here = targets.FsTarget(folder, {"encoding": "utf-8"})
        ftp = getattr(ftp_target, "FTPTarget", None) or ftp_target.FtpTarget
        there = ftp("/dir/", "host", username="u", password="p", extra_opts={"x": 1})
        there.cur_dir = there.root_dir
        entry = resources.FileEntry(there, "/dir", "a", 1, 2.5, None)
        made = {
            "FsTarget": here,
            "FTPTarget": there,
            "DirMetadata": metadata.DirMetadata(there),
            "FileEntry": entry,
            "DirectoryEntry": resources.DirectoryEntry(there, "/dir", "d", 1, 2.5, "id"),
            "EntryPair": resources.EntryPair(None, entry),
            **{
                kind: getattr(synchronizers, kind)(here, there, {})
                for kind in ("BiDirSynchronizer", "UploadSynchronizer", "DownloadSynchronizer")
            },
        }
        return {
            kind: {
                name: (plain(value) if is_plain(value) else type(value).__name__).replace(folder, "<folder>")
                for name, value in vars(thing).items()
            }
            for kind, thing in made.items()
        }


if __name__ == "__main__":
    main()
