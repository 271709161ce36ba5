"""`pyftpsync doctor` against real servers: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import servers
from ftpsync.doctor_command import in_words
from servers import Server
from servers.base import StartServer
from small_servers import READ_ONLY, ftp_server


def doctor(
    home: Path, url: str, *options: str, ca: Path | str | None = None
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "ftpsync", "doctor", url, "--no-prompt", "--no-keyring", "--no-netrc"]
    words += ["--tls-ca", str(ca)] if ca else []
    return subprocess.run(
        [*words, *options],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "HOME": str(home), "COLUMNS": "120"},
        timeout=60,
        check=False,
    )


def report(
    home: Path, url: str, *options: str, ca: Path | str | None = None, code: int = 0
) -> dict[str, Any]:
    done = doctor(home, url, "--json", *options, ca=ca)
    assert done.returncode == code, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def trusting(server: Server) -> list[str]:
    return ["--no-verify-host-keys"] if server.url.startswith("sftp") else []


def test_every_server_is_usable_and_left_as_it_was(any_server: Server, tmp_path: Path) -> None:
    (any_server.root / "a.txt").write_text("a")
    before = sorted(path.name for path in any_server.root.iterdir())
    found = report(tmp_path, any_server.url, *trusting(any_server), ca=any_server.ca)
    assert sorted(path.name for path in any_server.root.iterdir()) == before
    assert found["usable"] and found["writable"] and found["times_proven"] and found["rename_replaces"]
    assert found["format"] == 1 and found["error"] is None
    assert found["clock_offset_seconds"] == 0
    assert found["time_grain_seconds"] >= 1, "no server here tells fractions of seconds"
    most = 4 if any_server.url.startswith("sftp") else 8
    assert found["sessions_opened"] == found["sessions_wanted"] == most
    # Pure-FTPd offers TLS, used or not.
    assert [advice for advice in found["advice"] if "ftps://" not in advice["remedy"]] == []


def test_encrypted_servers_tell_how(ftps_server: Server, tmp_path: Path) -> None:
    found = report(tmp_path, ftps_server.url, ca=ftps_server.ca)
    assert found["tls"].startswith("TLSv1."), found
    assert "resumed" in found["data_tls"], found


def test_tickets_that_are_used_up_are_no_lack_of_rights(start_server: StartServer, tmp_path: Path) -> None:
    # This server hands out two for each conversation, and takes no data connection without one.
    server = start_server(servers.ProFtpd(versions="TLSv1.3"), tls=True)
    (server.root / "a.txt").write_text("a")
    found = report(tmp_path, server.url, ca=server.ca)
    assert found["writable"] and found["times_proven"] and found["rename_replaces"], found
    assert found["epsv"] and found["pasv"] and found["active"], found
    assert found["tls"].startswith("TLSv1.3") and "resumed" in found["data_tls"]
    assert found["advice"] == []
    assert [path.name for path in server.root.iterdir()] == ["a.txt"]


def test_people_can_read_it(pyftpdlib_server: Server, tmp_path: Path) -> None:
    done = doctor(tmp_path, pyftpdlib_server.url)
    assert done.returncode == 0, done
    for line in (
        "  listing       MLSD; 0 entries; names with a dot are shown",
        "  times         set by MFMT, read back as set",
        "  data          connections by EPSV, PASV, active mode",
        "  resuming      transfers can be continued (REST)",
        "  - Files are written under a temporary name, checked, and renamed.",
        "Nothing seems wrong.",
    ):
        assert line in done.stdout.splitlines(), done.stdout


def test_a_server_for_downloads_only_is_said_to_be_one(tmp_path: Path) -> None:
    with ftp_server(tmp_path, rights=READ_ONLY) as server:
        found = report(tmp_path, server.url)
        assert found["usable"] and not found["writable"]
        assert "Downloads only." in found["uses"]
        (problem,) = (a["problem"] for a in found["advice"] if a["problem"].startswith("Changes are refused"))
        assert problem.endswith("privileges."), problem


def test_a_check_up_that_is_interrupted_removes_its_file_first(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    started: list[subprocess.Popen[str]] = []

    def interrupt(command: str) -> None:
        if command.startswith("MFMT"):
            started[0].send_signal(signal.SIGINT)

    # It waits for the answer to that with two files on the server.
    with ftp_server(root, before=interrupt, silent_at=("MFMT",)) as server:
        words = [
            sys.executable,
            "-m",
            "ftpsync",
            "doctor",
            server.url,
            "--no-prompt",
            "--no-keyring",
            "--no-netrc",
        ]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            started.append(process)
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 3, output
        assert list(root.iterdir()) == [], output


def test_what_an_interrupted_check_up_has_left_is_told_and_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    left = root / ".pyftpsync-tmp-0123456789abcdef-doctor"
    left.write_bytes(b"written by pyftpsync doctor\n")
    with ftp_server(root) as server:
        text = doctor(tmp_path, server.url, "--read-only").stdout
        assert f"has left a temporary file: {left.name}." in text, text
        assert left.exists()
        text = doctor(tmp_path, server.url).stdout
        assert "what an earlier check-up had left was removed, too" in " ".join(text.split()), text
        assert "Nothing seems wrong." in text
    assert list(root.iterdir()) == []


def test_what_is_continued_is_told_apart_for_both_ways(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(servers.ProFtpd(restarts_uploads=False))
    done = doctor(tmp_path, server.url)
    line = "  resuming      downloads can be continued (REST); uploads begin anew"
    assert line in done.stdout.splitlines(), done
    assert list(server.root.iterdir()) == []


def test_nothing_is_written_with_read_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with ftp_server(root) as server:
        assert report(tmp_path, server.url, "--read-only")["read_only"]
        assert not [line for line in server.commands if line.startswith(("STOR", "DELE", "RNFR", "MKD"))]


def test_an_unknown_certificate_is_one_line_with_the_remedy(
    start_server: StartServer, tmp_path: Path
) -> None:
    url = start_server(servers.PYFTPDLIB, tls=True).url
    done = doctor(tmp_path, url)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "--tls-ca" in done.stderr and "--tls-pin sha256:" in done.stderr
    found = report(tmp_path, url, code=1)
    assert not found["usable"] and "--tls-pin sha256:" in found["error"]


@pytest.mark.parametrize(
    "url", ["ftp://joe:geheim99@127.0.0.1:1/", "sftp://joe:geheim99@127.0.0.1:1/", "/no/such/folder"]
)
def test_what_cannot_be_reached_is_one_line_without_secrets(url: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, url)
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ") and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "geheim99" not in done.stdout + done.stderr
    found = report(tmp_path, url, code=1)
    assert found["usable"] is False and "geheim99" not in json.dumps(found)


def test_a_server_of_the_last_century_is_told_what_it_lacks(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(servers.INETUTILS)
    (server.root / "a.txt").write_text("a")
    found = report(tmp_path, server.url)
    assert found["usable"] and found["writable"] and found["rename_replaces"] and found["renames"]
    assert (found["listing"], found["sets_times"], found["clock_offset_seconds"]) == ("LIST -a", False, 0)
    assert "Times of uploads are remembered in .pyftpsync-meta.json." in found["uses"]
    assert found["advice"] == []
    assert [path.name for path in server.root.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("engine", ["own", "suppaftp"])
def test_a_listing_that_is_cut_short_is_the_fault_of_its_limit(
    start_server: StartServer, tmp_path: Path, engine: str
) -> None:
    server = start_server(servers.PureFtpd(listing_limit=1000))
    for number in range(1100):
        (server.root / f"{number}").touch()
    found = report(tmp_path, server.url, "--read-only", "--ftp-engine", engine)
    assert not found["listing_complete"] and found["entries"] == 998
    remedies = [advice["remedy"] for advice in found["advice"]]
    assert any("LimitRecursion" in remedy for remedy in remedies), remedies
    assert not any("--no-mlsd" in remedy for remedy in remedies), remedies
    assert ("as the engine suppaftp does it" in " ".join(found["uses"])) == (engine == "suppaftp")


def test_one_thing_is_told_in_the_singular(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").touch()
    with ftp_server(root) as server:
        text = doctor(tmp_path, server.url, "--connections", "1").stdout
    assert "  listing       MLSD; 1 entry; names with a dot are shown" in text.splitlines(), text
    assert "  - One connection is used." in text.splitlines(), text
    assert "1 entries" not in text and "1 connections" not in text


@contextmanager
def at_another_address(port: int) -> Iterator[int]:
    """Yields a port of 127.0.0.1 that leads to the same server as this one of 127.0.0.2."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(4096):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    class Way(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.2", port)) as server:
                back = threading.Thread(target=copy, args=(server, self.request))
                back.start()
                copy(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Way) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.02,))
        thread.start()
        yield relay.server_address[1]
        relay.shutdown()
        thread.join()


def test_data_that_come_from_another_host_only_are_a_matter_of_one_option(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    refuses = {"EPSV": "500 unknown", "EPRT": "500 unknown", "PORT": "500 unknown"}
    with (
        ftp_server(root, refuses=refuses, host="127.0.0.2") as server,
        at_another_address(server.port) as port,
    ):
        url = server.url.replace(str(server.port), str(port))
        done = doctor(tmp_path, url)
        assert done.returncode == 1, done
        assert "  data          connections by nothing that was tried; not by EPSV, PASV, active mode" in (
            done.stdout.splitlines()
        ), done.stdout
        assert "  listing       fails: " in done.stdout and "Nothing seems wrong" not in done.stdout
        assert "    Add --trust-pasv-host." in done.stdout.splitlines(), done.stdout
        assert not done.stderr, done.stderr
        found = report(tmp_path, url, "--trust-pasv-host")
        assert found["writable"] and found["data_by"] == "PASV" and found["advice"] == []


@pytest.mark.parametrize(
    ("quirk", "remedy"),
    [
        ({"refuses": {"EPSV": "500 unknown", "PASV": "500 unknown"}}, "Add --ftp-active."),
        ({"shows": lambda name: not name.startswith(".")}, "Ask the operator to list them"),
        ({"refuses": {"DELE": "550 not allowed"}}, "Remove it by hand."),
        ({"clock_ahead": 3600}, "compare the clocks nevertheless"),
    ],
    ids=["active", "dots", "left behind", "clock"],
)
def test_what_is_wrong_is_told_with_what_helps(quirk: dict[str, Any], remedy: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with ftp_server(root, **quirk) as server:
        found = report(tmp_path, server.url)
        remedies = [advice["remedy"] for advice in found["advice"]]
        assert found["usable"] and [told for told in remedies if remedy in told], found
        if "clock_ahead" in quirk:
            problems = [advice["problem"] for advice in found["advice"]]
            assert "The clock of the server is 1 hour ahead of this computer." in problems, found
    left = sorted(path.name for path in root.iterdir())
    if remedy == "Remove it by hand.":
        assert left == found["left_behind"] and any(left[0] in each["problem"] for each in found["advice"])
    else:
        assert left == []


def test_a_server_that_hangs_is_told_with_the_option_that_saves_the_wait(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with ftp_server(root, silent_at=("EPSV", "MLSD")) as server:
        found = report(tmp_path, server.url, "--timeout", "1")
        assert found["usable"] and found["writable"], found
        assert (found["data_by"], found["listing"]) == ("PASV", "LIST -a")
        remedies = " ".join(advice["remedy"] for advice in found["advice"])
        assert "Add --timeout 10 " in remedies and "Add --no-mlsd." in remedies, remedies


def test_a_login_that_takes_long_is_told_with_the_option_for_more_patience() -> None:
    from ftpsync import doctor_command

    slow: dict[str, Any] = {"url": "ftp://h/", "login_seconds": 10.1}
    assert [remedy for _, remedy in doctor_command._advice(slow)] == [
        "Add --timeout SECONDS if runs give up."
    ]
    assert doctor_command._advice({**slow, "login_seconds": 9.9}) == []


def test_a_local_folder_has_a_report_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for url in (str(folder), f"file://{folder}"):
        found = report(tmp_path, url)
        assert found["usable"] and found["writable"] and found["times_proven"]
    assert list(folder.iterdir()) == []


def test_advice_names_the_option() -> None:
    sick: dict[str, Any] = {
        "url": "ftp://h/", "read_only": False, "writable": True, "entries": 3, "listing_complete": True,
        "names_guessed": 2, "login_seconds": 0.1, "renames": True, "epsv": False, "pasv": False,
        "pasv_as_named": True, "hidden_from_mlsd": 4, "features": ["AUTH"], "sessions_wanted": 4,
        "sessions_opened": 1, "sessions_refusal": "421 too many",
    }  # fmt: skip
    from ftpsync import doctor_command

    remedies = " ".join(remedy for _, remedy in doctor_command._advice(sick))
    for option in ("--encoding", "--trust-pasv-host", "--no-mlsd", "--connections 1", "ftps://"):
        assert option in remedies, remedies
    sick["epsv"] = True
    assert "--trust-pasv-host" not in str(doctor_command._advice(sick)), "there is a way without it"
    sick |= {"epsv": False, "pasv_as_named": False, "tls": None}
    assert "which ports are open" in str(doctor_command._advice(sick))
    sick["error"] = 'could not list "/": 522 SSL/TLS required on the data channel'
    assert "which ports are open" not in str(doctor_command._advice(sick))
    assert "ftps://" in str(doctor_command._advice(sick))
    sick["error"] = None
    sick["uses"], sick["advice"] = [], []
    assert "1 of 4 at the same time" in in_words(sick)
