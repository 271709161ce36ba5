"""Runs that fail in every way there is, and the password that nobody may find afterwards.

It is not in what is printed, not in any file that was written, not in the arguments of any process.
"""

from __future__ import annotations

import base64
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

import servers
from servers.base import StartServer

#: Each half is found by itself, should a URL have been cut in the middle.
HALVES = ("S3cr", "w0rd")
PASSWORD = f"{HALVES[0]}%t/{HALVES[1]}@ü"
IN_URL = quote(PASSWORD, safe="")
FORMS = (
    *HALVES,
    *(
        base64.b64encode(text.encode()).decode().rstrip("=")
        for text in (PASSWORD, f"joe:{PASSWORD}", f"\0joe\0{PASSWORD}")
    ),
    PASSWORD.encode().hex(),
)
CLOSED = 1


@contextmanager
def talking_server(answers: dict[str, str], banner: str | None = "220 ready") -> Iterator[int]:
    """A server that answers as told; ``{word}`` is what the client has sent as its password."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            word = ""
            if banner is None:
                self.rfile.read()  # Until the client has enough.
                return
            self.wfile.write(f"{banner}\r\n".encode())
            for line in self.rfile:
                verb, _, argument = line.decode().strip().partition(" ")
                word = argument if verb == "PASS" else word
                answer = answers.get(
                    verb, "230 welcome" if verb == "PASS" else "331 go on" if verb == "USER" else "500 no"
                )
                self.wfile.write((answer.format(word=word) + "\r\n").encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """A client that has left is no error of the test."""

    with Server(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Home:
    """An empty home, and runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        (self.work / "file").write_text("content")
        #: Files that the user has written the password into.
        self.own: set[Path] = set()
        self.seen: list[str] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        self.own.add(path)
        return path

    def run(self, *arguments: str, verbosity: str = "-vvvvv", stdin: str = "") -> str:
        """Runs the command to its end, and keeps what can be seen of it meanwhile."""
        command = [sys.executable, "-m", "ftpsync", *arguments, *([verbosity] if verbosity else [])]
        process = subprocess.Popen(
            command,
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        is_told = any(form in argument for form in FORMS for argument in arguments)
        watching = threading.Thread(target=self.watch, args=(process, is_told))
        watching.start()
        output = process.communicate(stdin.encode(), timeout=60)[0].decode("utf-8", "surrogateescape")
        watching.join()
        assert process.returncode not in (0, None), output
        self.seen.append(output)
        return output

    def watch(self, process: subprocess.Popen[bytes], is_told: bool) -> None:
        while process.poll() is None:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    is_ours = (
                        folder.name == str(process.pid)
                        or f"PPid:\t{process.pid}" in (folder / "status").read_text()
                    )
                    if is_ours and not (is_told and folder.name == str(process.pid)):
                        self.seen.append((folder / "cmdline").read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
            time.sleep(0.05)

    def search(self) -> None:
        """Finds the password wherever the run may have put it."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.own:
                self.seen.append(f"{path}\n{path.read_bytes().decode('utf-8', 'replace')}")
        for text in self.seen:
            for form in FORMS:
                assert form not in text, f"{form} is in: {text}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.search()


def url(port: int, scheme: str = "ftp", host: str = "127.0.0.1", path: str = "/") -> str:
    return f"{scheme}://joe:{IN_URL}@{host}:{port}{path}"


def upload(home: Home, *arguments: str) -> str:
    return home.run("upload", ".", *arguments, "--timeout", "1", "--no-prompt")


def test_a_wrong_password_that_the_server_repeats(home: Home) -> None:
    with talking_server({"PASS": "530 {word} is not the password of joe"}) as port:
        assert "530" in upload(home, url(port))


def test_a_server_that_repeats_the_password_later(home: Home) -> None:
    echo = "550 you said {word}, PASS {word}"
    answers = {"PASS": "230 welcome {word}", "TYPE": "200 {word}", "PWD": echo, "MLSD": echo, "LIST": echo}
    with talking_server(answers | {"CWD": echo}) as port:
        assert "550 you said ***, PASS ***" in upload(home, url(port))
    with talking_server(answers | {"CWD": "250 {word}"}) as port:
        upload(home, url(port))


def test_a_reply_that_is_none_and_repeats_the_password(home: Home) -> None:
    with talking_server({"PASS": "hello {word}"}) as port:
        assert '"hello ***", which is not a reply' in upload(home, url(port))


def test_a_host_that_is_not_there(home: Home) -> None:
    assert "connection refused" in upload(home, url(CLOSED))


def test_a_host_that_does_not_exist(home: Home) -> None:
    assert "unknown host" in upload(home, url(21, host="nowhere.invalid"))


def test_a_silent_server(home: Home) -> None:
    with talking_server({}, banner=None) as port:
        assert "no answer from" in upload(home, url(port))


@pytest.mark.parametrize("scheme", ["fpt", "ftpss", "http", "FTP:"])
def test_a_mistyped_scheme(home: Home, scheme: str) -> None:
    said = upload(home, url(21, scheme))
    assert "Known schemes: ftp" in said or "names no host" in said


@pytest.mark.parametrize("start", ["ftp:", "ftp:/", "fpt:", ""])
def test_slashes_that_are_missing(home: Home, start: str) -> None:
    said = upload(home, f"{start}joe:{IN_URL}@127.0.0.1/folder")
    assert "Known schemes: ftp" in said or "names no host" in said


@pytest.mark.parametrize("port", ["99999", "abc", "-1"])
def test_a_port_that_is_none(home: Home, port: str) -> None:
    said = upload(home, f"ftp://joe:{IN_URL}@127.0.0.1:{port}/")
    assert "is not a number up to 65535" in said


def test_line_ends_in_a_url(home: Home) -> None:
    # Before anything is sent: nobody listens there, which would be another error.
    said = upload(home, f"ftp://joe:{IN_URL}%0d%0aDELE%20x@127.0.0.1:{CLOSED}/")
    assert "cannot be sent over FTP" in said and "refused" not in said


def test_a_password_that_was_not_encoded(home: Home) -> None:
    said = upload(home, f"ftp://joe:{PASSWORD}@127.0.0.1:{CLOSED}/")
    assert "must be percent-encoded" in said


def test_a_server_without_tls(home: Home) -> None:
    with talking_server({}) as port:
        assert "refuses to encrypt" in upload(home, url(port, "ftps"))


def test_a_certificate_that_nobody_knows(home: Home, start_server: StartServer) -> None:
    server = start_server(servers.PYFTPDLIB, tls=True)
    assert "certificate" in upload(home, url(server.port, "ftps", server.host))


def test_a_proxy_that_is_not_there(home: Home) -> None:
    proxy = f"socks5://joe:{IN_URL}@127.0.0.1:{CLOSED}"
    said = upload(home, f"ftp://ann:x@127.0.0.1:{CLOSED}/", "--proxy", proxy)
    assert "the proxy socks5://127.0.0.1:1 cannot be reached" in said


def test_a_proxy_in_the_environment(home: Home) -> None:
    home.environment["ALL_PROXY"] = f"http://joe:{IN_URL}@127.0.0.1:{CLOSED}"
    said = upload(home, f"ftp://ann:x@example.invalid:{CLOSED}/")
    assert "the proxy http://127.0.0.1:1 cannot be reached" in said


def test_sftp_to_nobody(home: Home) -> None:
    assert "connection refused" in upload(home, url(CLOSED, "sftp"))


def test_netrc(home: Home) -> None:
    with talking_server({"PASS": "530 {word}?"}) as port:
        home.write(".netrc", f"machine 127.0.0.1 login joe password {PASSWORD}\n")
        assert "530" in upload(home, f"ftp://127.0.0.1:{port}/")


def test_keyring(home: Home) -> None:
    with talking_server({"PASS": "530 {word}?"}) as port:
        stored = {f"127.0.0.1:{port}": f"joe:{PASSWORD}", "127.0.0.1": f"joe:{PASSWORD}"}
        for service in ("pyftpsync",):
            home.write("keyring.json", json.dumps({service: stored}))
        home.environment |= {
            "PYTHON_KEYRING_BACKEND": "file_keyring.Keyring",
            "FILE_KEYRING": str(home.folder / "keyring.json"),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        assert "530" in upload(home, f"ftp://127.0.0.1:{port}/")


@pytest.mark.parametrize("mistake", ["", "frobnicate: 5", "exclude: {a: b}", "command: fly", "timeout: soon"])
def test_a_task_file_with_a_mistake(home: Home, mistake: str) -> None:
    home.own.add(home.work / "pyftpsync.yaml")
    command = "" if mistake.startswith("command") else "    command: upload\n"
    (home.work / "pyftpsync.yaml").write_text(
        f"default_task: go\ntasks:\n  go:\n{command}    local: .\n    remote: {url(CLOSED)}\n    {mistake}\n"
    )
    said = home.run("run")
    assert "Invalid entr" in said if mistake else "connection refused" in said


def test_an_exception_of_user_code(home: Home) -> None:
    script = (
        "import sys, traceback\n"
        "from ftpsync.synchronizers import UploadSynchronizer\n"
        "from ftpsync.targets import make_target\n"
        "remote = make_target(sys.stdin.readline().strip())\n"
        "print(repr(remote), str(remote), remote.get_base_name(), repr(remote.get_id()))\n"
        "try:\n"
        "    UploadSynchronizer(make_target('.'), remote, {'verbose': 6}).run()\n"
        "except Exception as error:\n"
        "    print(repr(error), error.args, repr(error.__cause__), repr(error.__context__))\n"
        "    traceback.print_exc()\n"
        "    raise SystemExit(1)\n"
    )
    with talking_server({"PASS": "530 {word}?"}) as port:
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=url(port),
            capture_output=True,
            text=True,
            cwd=home.work,
            env=home.environment,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "530" in done.stdout, done.stderr
    home.seen += [done.stdout, done.stderr]


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    checks: list[Callable[[Home], object]] = [
        lambda home: (home.work / "leak").write_text(f"x{PASSWORD}x"),
        lambda home: home.seen.append(base64.b64encode(f"joe:{PASSWORD}".encode()).decode()),
        lambda home: home.seen.append(IN_URL),
    ]
    for number, leak in enumerate(checks):
        (tmp_path / str(number)).mkdir()
        home = Home(tmp_path / str(number))
        leak(home)
        with pytest.raises(AssertionError, match="is in"):
            home.search()
