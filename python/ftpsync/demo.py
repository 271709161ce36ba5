"""The command `pyftpsync demo`: a real synchronisation against an FTP server inside this process.

Everything happens on the loopback interface and in a temporary folder that is removed at the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ftpsync._report import is_terminal, takes_escapes
from ftpsync.util import ansi_code, get_pyftpsync_logger, set_pyftpsync_logger

__all__ = ["run_demo"]

_SITE: Final = {
    "index.html": "<h1>Welcome</h1>\n",
    "contact.html": "<p>Write to us.</p>\n",
    "old-news.html": "<p>Nobody reads this any more.</p>\n",
    "über-uns.html": "<p>Names may have any character.</p>\n",
    "assets/style.css": "body { color: black }\n",
    "assets/logo.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    "blog/first-post.html": "<p>Hello, world.</p>\n",
}

_HOUR: Final = 3600.0
_MINUTE: Final = 60.0


def run_demo(color: bool = True) -> int:
    """Shows an upload, changes on both sides, a conflict and its resolution.

    Args:
        color: Use terminal colours where the output is a terminal.

    Returns:
        0 if both sides are the same at the end, as they must be; else 1.
    """
    previous = get_pyftpsync_logger()
    set_pyftpsync_logger(None)
    try:
        with tempfile.TemporaryDirectory(prefix="pyftpsync-demo-") as folder:
            local = Path(folder, "local")
            served = Path(folder, "server")
            local.mkdir()
            served.mkdir()
            try:
                server = _serve(served)
            except ImportError:
                print(
                    "ERROR: The demo needs pyftpdlib: pip install 'pyftpsync-rs[demo]'",
                    file=sys.stderr,
                )
                return 1
            with server as url:
                may_color = color and takes_escapes() and not os.environ.get("NO_COLOR")
                return _play(local, served, url, may_color and is_terminal())
    finally:
        set_pyftpsync_logger(previous)


def _serve(folder: Path) -> contextlib.AbstractContextManager[str]:
    """Prepares a server for `folder`; the context manager runs it and gives its URL.

    Raises:
        ImportError: pyftpdlib is missing.
    """
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    password = secrets.token_hex(8)
    authorizer = DummyAuthorizer()
    authorizer.add_user("demo", password, str(folder), perm="elradfmwMT")
    handler = type("DemoHandler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())

    @contextlib.contextmanager
    def running() -> Iterator[str]:
        is_over = threading.Event()

        def work() -> None:
            while not is_over.is_set():
                server.serve_forever(timeout=0.05, blocking=False)

        thread = threading.Thread(target=work, name="demo server", daemon=True)
        thread.start()
        try:
            yield f"ftp://demo:{password}@127.0.0.1:{server.address[1]}/"
        finally:
            is_over.set()
            thread.join()
            server.close_all()

    return running()


def _play(local: Path, served: Path, url: str, color: bool) -> int:
    from ftpsync.synchronizers import BiDirSynchronizer, UploadSynchronizer
    from ftpsync.targets import make_target

    started = time.perf_counter()
    options = {"verbose": 3, "no_color": not color}

    def synchronize(kind: Any, **more: object) -> dict[str, Any]:
        synchronizer = kind(make_target(str(local)), make_target(url), {**options, **more})
        synchronizer.run()
        stats: dict[str, Any] = synchronizer.get_stats()
        return stats

    def say(text: str) -> None:
        bright, reset = (ansi_code("Style.BRIGHT"), ansi_code("Style.RESET_ALL")) if color else ("", "")
        print(f"\n{bright}{text}{reset}")

    now = time.time()
    say("1. A small web site goes to an empty FTP server.")
    for name, text in _SITE.items():
        _put(local / name, text, now - _HOUR)
    synchronize(UploadSynchronizer)

    say("2. Both sides change. The local side gets a new post and style, and loses the old news:")
    _put(local / "blog/second-post.html", "<p>It goes on.</p>\n", now - 5 * _MINUTE)
    _put(local / "assets/style.css", "body { color: black; font: 1rem serif }\n", now - 5 * _MINUTE)
    (local / "old-news.html").unlink()
    print("   + blog/second-post.html   ~ assets/style.css   - old-news.html")
    print("   On the server somebody greets more warmly and adds a picture:")
    _put(served / "index.html", "<h1>A warm welcome</h1>\n", now - 3 * _MINUTE)
    _put(
        served / "assets/photo.svg",
        '<svg xmlns="http://www.w3.org/2000/svg" width="9"/>\n',
        now - 3 * _MINUTE,
    )
    print("   ~ index.html              + assets/photo.svg")
    print("   And contact.html is edited on both sides, later on the server.")
    _put(local / "contact.html", "<p>Write to us by letter.</p>\n", now - 4 * _MINUTE)
    _put(served / "contact.html", "<p>Write to us, or just call.</p>\n", now - 2 * _MINUTE)

    say("3. A synchronisation moves each change to the other side, and leaves the conflict alone.")
    stats = synchronize(BiDirSynchronizer, resolve="skip")
    is_conflict_seen = stats["conflict_files_skipped"] == 1
    print(f"   Conflicts left alone: {stats['conflict_files_skipped']}")

    say("4. Once more, and this time the newer version wins.")
    stats = synchronize(BiDirSynchronizer, resolve="new")
    is_conflict_solved = stats["conflict_files_skipped"] == 0

    say("5. The result:")
    here, there = _content(local), _content(served)
    _print_trees(here, there)
    is_equal = here == there
    is_right = (
        is_conflict_seen
        and is_conflict_solved
        and is_equal
        and here.get("contact.html") == b"<p>Write to us, or just call.</p>\n"
        and "old-news.html" not in here
    )
    elapsed = time.perf_counter() - started
    if not is_right:
        print("\nERROR: The two sides should be the same now, with every change in them.", file=sys.stderr)
        return 1
    say(f"Both sides are the same: {len(here)} files, every change arrived. It took {elapsed:.2f} seconds.")
    return 0


def _put(path: Path, text: str, mtime: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (mtime, mtime))


def _content(root: Path) -> dict[str, bytes]:
    """Returns every file below a folder except what synchronisers keep there for themselves."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".pyftpsync-")
    }


def _print_trees(here: dict[str, bytes], there: dict[str, bytes]) -> None:
    width = max(len(name) for name in here | there) + 2
    print(f"   {'local':<{width}}server")
    for name in sorted(here | there):
        mark = "" if here.get(name) == there.get(name) else "   (different!)"
        print(f"   {name if name in here else '-':<{width}}{name if name in there else '-'}{mark}")
