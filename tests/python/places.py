"""Folders of every kind, to be synchronised with each other; what is in them is seen and changed past this tool."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import servers
from ftpsync.targets import _Target, make_target
from memory_target import MemoryTarget
from rough import stumps
from servers import Server, s3

#: Path to content and time, without what belongs to this tool.
Files = dict[str, tuple[bytes, float]]

_NUMBERS = itertools.count(1)


def _is_ours(name: str) -> bool:
    return any(part.startswith(".pyftpsync-") for part in name.split("/"))


class Place(ABC):
    """A folder that no other test uses."""

    url: str

    def inner(self, name: str) -> Place:
        """A folder inside this one."""
        raise NotImplementedError

    def is_being_written(self) -> bool:
        """Whether a part of a file has arrived, under a temporary name."""
        raise NotImplementedError

    @abstractmethod
    def target(self, **options: Any) -> _Target:
        """Makes a target of it, which is not open yet; the options are its own."""

    @abstractmethod
    def put(self, name: str, content: bytes, mtime: float) -> None:
        """Writes a file; where the kind does not let anybody choose its time, that is now."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file."""

    @abstractmethod
    def all_files(self) -> Files:
        """Everything that is there."""

    def files(self) -> Files:
        """What users see."""
        return {name: file for name, file in self.all_files().items() if not _is_ours(name)}

    def litter(self) -> list[str]:
        """What a run should not have left behind."""
        return [
            name
            for name in self.all_files()
            if _is_ours(name) and not name.endswith(".pyftpsync-meta.json") and "-trash" not in name
        ]


class DiskPlace(Place):
    """A folder on the disk, or one that a server shows."""

    def __init__(self, folder: Path, url: str, trust: dict[str, str] | None = None) -> None:
        self.folder, self.url, self._trust = folder, url, trust or {}
        folder.mkdir(parents=True, exist_ok=True)

    def inner(self, name: str) -> Place:
        return DiskPlace(self.folder / name, f"{self.url}/{name}", self._trust)

    def is_being_written(self) -> bool:
        return bool(stumps(self.folder))

    def target(self, **options: Any) -> _Target:
        return make_target(self.url, {"no_verify_host_keys": True, **self._trust, **options})

    def put(self, name: str, content: bytes, mtime: float) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (mtime, mtime))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def all_files(self) -> Files:
        return {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), path.stat().st_mtime)
            for path in self.folder.rglob("*")
            if path.is_file()
        }


class BucketPlace(Place):
    """A folder of a bucket, seen through boto3."""

    def __init__(self, server: Server, prefix: str) -> None:
        import boto3

        self._server = server
        self.prefix = prefix
        login = f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"
        query = f"endpoint_url={s3.endpoint(server)}&region=us-east-1"
        self.url = f"s3://{login}@{s3.BUCKET}/{prefix}?{query}"
        self._client = boto3.client(
            "s3",
            endpoint_url=s3.endpoint(server),
            region_name="us-east-1",
            aws_access_key_id=server.user,
            aws_secret_access_key=server.password,
        )
        self._call("put_object", Key=f"{prefix}/", Body=b"")

    def inner(self, name: str) -> Place:
        return BucketPlace(self._server, f"{self.prefix}/{name}")

    def is_being_written(self) -> bool:
        uploads = self._call("list_multipart_uploads").get("Uploads", [])
        return any(upload["Key"].startswith(self.prefix) for upload in uploads)

    def _call(self, verb: str, **details: Any) -> Any:
        return getattr(self._client, verb)(Bucket=s3.BUCKET, **details)

    def target(self, **options: Any) -> _Target:
        return make_target(self.url, options)

    def put(self, name: str, content: bytes, mtime: float) -> None:
        self._call("put_object", Key=f"{self.prefix}/{name}", Body=content)

    def remove(self, name: str) -> None:
        self._call("delete_object", Key=f"{self.prefix}/{name}")

    def all_files(self) -> Files:
        listed = self._call("list_objects_v2", Prefix=f"{self.prefix}/").get("Contents", [])
        keys = [entry["Key"] for entry in listed if not entry["Key"].endswith("/")]
        return {key.removeprefix(f"{self.prefix}/"): self._file(key) for key in keys}

    def _file(self, key: str) -> tuple[bytes, float]:
        answer = self._call("get_object", Key=key)
        dated = answer["Metadata"].get("mtime")
        return answer["Body"].read(), float(dated) if dated else answer["LastModified"].timestamp()


class PythonPlace(Place):
    """A target that is written in Python."""

    def __init__(self) -> None:
        self._target = MemoryTarget(f"memory{next(_NUMBERS)}")
        self._target.now = time.time()

    def target(self, **options: Any) -> _Target:
        self._target.extra_opts = options
        return self._target

    def put(self, name: str, content: bytes, mtime: float) -> None:
        self._target.put(name, content.decode(), mtime)

    def remove(self, name: str) -> None:
        del self._target.nodes[name]

    def all_files(self) -> Files:
        return {name: file for name, file in self._target.nodes.items() if file is not None}


#: Every kind of target.
KINDS = ("local", "ftp", "ftps", "sftp", "s3", "python")

#: ``make(kind)`` gives a new folder of a kind.
MakePlace = Callable[[str], Place]


@contextmanager
def maker(folder: Path) -> Iterator[MakePlace]:
    """Gives a function that makes folders; servers start when they are first needed, and end with the block."""
    started: dict[str, Server] = {}
    with ExitStack() as running:

        def server(kind: str) -> Server:
            if kind not in started:
                starts = {
                    "ftp": lambda root: servers.PYFTPDLIB.start(root),
                    "ftps": lambda root: servers.PYFTPDLIB.start(root, tls=True),
                    "sftp": lambda root: servers.OPENSSH.start(root),
                    "s3": lambda root: s3.MOTO.start(root),
                }
                started[kind] = running.enter_context(starts[kind](folder / kind))
            return started[kind]

        def make(kind: str) -> Place:
            name = f"folder {next(_NUMBERS)}"
            if kind == "python":
                return PythonPlace()
            if kind == "local":
                return DiskPlace(folder / "local" / name, str(folder / "local" / name))
            if kind == "s3":
                return BucketPlace(server(kind), f"pairs/{name}")
            at = server(kind)
            trust = {"tls_ca": str(at.ca)} if at.ca else {}
            return DiskPlace(at.kind.folder(at.root) / name, at.url + name, trust)

        yield make
        shutil.rmtree(folder, ignore_errors=True)
