"""What goes wrong between a run and its files: relays that drip, cut and fall silent, disks without room, limits."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from skipping import missing

#: Gets the count of bytes that have passed so far and a piece; gives back what passes, or None for a reset.
Treatment = Callable[[int, bytes], bytes | None]


def stumps(folder: Path) -> list[Path]:
    """Temporary files with something in them."""
    found = []
    for path in folder.glob(".pyftpsync-tmp-*"):
        # One that the run has meanwhile put at its name is none.
        with suppress(FileNotFoundError):
            if path.suffix != ".journal" and path.stat().st_size > 0:
                found.append(path)
    return found


class Relay:
    """Passes on what comes to a port of its own.

    What the server says goes through `treat`, and what it is told through `told`.
    """

    def __init__(self, target: int, piece: int, treat: Treatment, told: Treatment | None = None) -> None:
        self.target, self.piece = target, piece
        self.treat, self.told = treat, told or (lambda _, piece: piece)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pass_on, args=(client, server, self.told), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, self.treat), daemon=True).start()

    def pass_on(self, source: socket.socket, sink: socket.socket, treat: Treatment) -> None:
        passed = 0
        try:
            while piece := source.recv(self.piece):
                treated = treat(passed, piece)
                if treated is None:
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        with suppress(OSError):
                            # Else the other direction, which waits for bytes, would keep the line open.
                            end.shutdown(socket.SHUT_RDWR)
                    break
                sink.sendall(treated)
                passed += len(piece)
        except OSError:
            pass
        source.close()
        sink.close()


@contextmanager
def relayed(port: int, piece: int, treat: Treatment, told: Treatment | None = None) -> Iterator[int]:
    """A relay before a server; gives its port."""
    relay = Relay(port, piece, treat, told)
    try:
        yield relay.port
    finally:
        relay.listener.close()


class Sides:
    """Two folders that have not met yet, and runs of the command line on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.local, self.remote = folder, folder / "local", folder / "remote"
        self.local.mkdir()
        self.remote.mkdir()
        (self.local / "mine").write_text("mine")
        (self.remote / "theirs").write_text("theirs")

    def command(self, verb: str, url: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "ftpsync", verb, str(self.local), url, "--timeout", "1", *options]

    def run(
        self,
        verb: str,
        url: str,
        *options: str,
        room: int | None = None,
        limits: Mapping[int, int] | None = None,
        launcher: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """One run.

        Args:
            verb: `sync`, `upload` or `download`.
            url: The other side.
            options: More words.
            room: How large a file may become, in bytes.
            limits: Limits of the process, by their numbers in `resource`.
            launcher: A command to put in front.
        """
        bounds = dict(limits or {})
        if room is not None:
            bounds[resource.RLIMIT_FSIZE] = room

        def limit() -> None:
            for what, most in bounds.items():
                resource.setrlimit(what, (most, most))

        return subprocess.run(
            [*launcher, *self.command(verb, url, *options)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=limit,
            stdin=subprocess.DEVNULL,
        )

    def contents(self) -> list[dict[str, bytes]]:
        return [contents(side) for side in (self.local, self.remote)]

    def folders(self, path: str) -> list[Path]:
        """A folder of each side."""
        return [self.local / path, self.remote / path]

    def litter(self) -> list[str]:
        return [path.name for side in (self.local, self.remote) for path in side.rglob("*-tmp-*")]


def contents(root: Path) -> dict[str, bytes]:
    """The files that the user has there."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".pyftpsync-" not in path.relative_to(root).as_posix()
    }


def small_disk(folder: Path, size: str) -> list[str]:
    """A launcher that puts a disk of this size over a folder; what is there goes onto it, and comes back in the end."""
    if shutil.which("unshare") is None:
        missing("unshare, which mounts a disk for one process only, is not here")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = (
        "folder=$1 size=$2 below=$(mktemp -d); shift 2\n"
        'mount --bind "$folder" "$below" && mount -t tmpfs -o "size=$size" none "$folder" || exit 99\n'
        'cp -a "$below/." "$folder" || exit 98\n'
        '"$@"; code=$?\n'
        'find "$below" -mindepth 1 -delete; cp -a "$folder/." "$below"\n'
        'umount "$below"; rmdir "$below"; exit $code'
    )
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh", str(folder), size]


def nobody(sides: Sides) -> list[str]:
    """A launcher that takes all rights away, so that modes count. The files are its own."""
    if os.geteuid() != 0:
        return []
    # Who runs the tests may read the interpreter, and loses only the right to ignore modes.
    return (
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        if shutil.which("setpriv")
        else missing("setpriv")
    )
