"""Targets used by hand: local folders, FTP folders, and the base of third-party ones."""

from __future__ import annotations

import builtins
import contextlib
import ftplib
import getpass
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ftpsync import util
from ftpsync.ftp_target import FTPTarget, FtpTarget
from ftpsync.resources import DirectoryEntry, FileEntry
from ftpsync.targets import DirMetadata, FsTarget, _get_encoding_opt, _Target, make_target
from ftpsync.util import CliSilentRuntimeError
from scripted_core import Server, stand_in

META = DirMetadata.META_FILE_NAME
LOCK = DirMetadata.LOCK_FILE_NAME


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYFTPSYNC_COMPAT", raising=False)
    monkeypatch.setattr(util, "keyring", None)
    previous = util.set_pyftpsync_logger(None)
    yield
    util.set_pyftpsync_logger(previous)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return stand_in(monkeypatch)


class Run:
    """What a target needs of a synchronizer."""

    def __init__(self, local: _Target, remote: _Target, **options: Any) -> None:
        self.local, self.remote, self.options = local, remote, options
        for side, peer in ((local, remote), (remote, local)):
            side.synchronizer, side.peer = self, peer


def names(entries: Any) -> list[str]:
    return sorted(entry.name for entry in entries)


class TestMakeTarget:
    def test_a_url_becomes_an_ftp_target(self) -> None:
        target = make_target("FTP://Us%40r:p%3Aw@Host.Example:2121/a%20b/", {"x": 1})
        assert isinstance(target, FTPTarget)
        assert (target.host, target.port, target.tls) == ("host.example", 2121, False)
        assert (target.username, target.password) == ("Us@r", "p:w")
        assert target.root_dir == "/a%20b"
        assert target.extra_opts == {"x": 1}
        assert target.timeout is None and not target.connected

    def test_ftps_means_tls_and_no_path_means_the_root(self) -> None:
        target = make_target("ftps://host")
        assert isinstance(target, FTPTarget)
        assert (target.tls, target.root_dir, target.port) == (True, "/", 0)
        assert target.username is None and target.password is None

    def test_release_31_takes_passwords_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        assert make_target("ftp://u:p%41@host/").password == "p%41"  # type: ignore[attr-defined]

    def test_anything_else_is_a_folder(self, tmp_path: Path) -> None:
        assert isinstance(make_target(str(tmp_path)), FsTarget)
        with pytest.raises(
            ValueError, match=r"is not a directory\. \(Known schemes: ftp, ftps, s3, sftp\.\)$"
        ):
            make_target("http://x")

    def test_a_url_without_host_is_refused(self) -> None:
        with pytest.raises(ValueError, match="names no host"):
            make_target("ftp:///path")

    def test_a_port_that_is_none_is_refused_without_showing_the_password(self) -> None:
        with pytest.raises(ValueError, match="^The port of ftp://host is not a number") as info:
            make_target("ftp://u:secret@host:abc/")
        assert "secret" not in str(info.value)

    def test_an_unknown_encoding_is_refused(self) -> None:
        assert _get_encoding_opt(None, {"encoding": "latin1"}, "utf8") == "iso8859-1"
        assert _get_encoding_opt(None, {}, "UTF8") == "utf-8"
        assert _get_encoding_opt(None, None, None) is None
        with pytest.raises(LookupError):
            make_target("ftp://h/", {"encoding": "xx"})


class TestBase:
    def test_the_root_has_no_slash_at_its_end(self) -> None:
        assert _Target("/a//", None).root_dir == "/a"
        assert _Target("/", None).root_dir == "/"
        with pytest.raises(AssertionError):
            _Target(b"/a", None)  # type: ignore[arg-type]

    def test_a_subclass_may_choose_its_encoding_first(self) -> None:
        class Mine(_Target):
            def __init__(self) -> None:
                self.encoding = "cp1252"
                super().__init__("/r", {})

        assert Mine().encoding == "cp1252"
        assert _Target("/r", {"encoding": "UTF8"}).encoding == "utf-8"

    @pytest.mark.parametrize(
        ("verb", "arguments"),
        [
            ("cwd", ("x",)),
            ("pwd", ()),
            ("mkdir", ("x",)),
            ("rmdir", ("x",)),
            ("get_dir", ()),
            ("open_readable", ("x",)),
            ("open_writable", ("x",)),
            ("copy_to_file", ("x", None)),
            ("write_file", ("x", None)),
            ("remove_file", ("x",)),
            ("set_mtime", ("x", 1, 2)),
        ],
    )
    def test_the_verbs_are_abstract(self, verb: str, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(NotImplementedError):
            getattr(_Target("/r", {}), verb)(*arguments)

    def test_options_of_the_target_win_and_leave_the_others_alone(self) -> None:
        target, peer = _Target("/r", {"a": 1}), _Target("/p", {})
        assert target.get_option("a") == 1 and target.get_option("b", 5) == 5
        run = Run(target, peer, a=2, b=3)
        assert (target.get_option("a"), target.get_option("b"), peer.get_option("a")) == (1, 3, 2)
        assert target.get_options_dict() == {"a": 1, "b": 3}
        assert run.options == {"a": 2, "b": 3}

    def test_sides_are_known_while_bound(self) -> None:
        target, peer = _Target("/r", {}), _Target("/p", {})
        assert target.is_unbound() and target.is_remote(or_unbound=True)
        with pytest.raises(RuntimeError, match="^Unbound target:"):
            target.is_local()
        Run(target, peer)
        assert target.is_local() and peer.is_remote() and peer.is_remote(or_unbound=True)

    def test_it_is_open_once_and_in_one_thread(self) -> None:
        target = _Target("/r", {})
        target.open()
        with pytest.raises(RuntimeError, match="^Target already open: "):
            target.open()
        target.connected = False
        failures: list[str] = []

        def other() -> None:
            try:
                target.open()
            except RuntimeError as exc:
                failures.append(str(exc))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert failures[0].startswith("Could not acquire _Target lock on open")

    def test_closing_resets_and_is_harmless_twice(self, capsys: Any) -> None:
        target = _Target("/r", {"verbose": 5})
        target.open()
        target.readonly = True
        target.close()
        target.close()
        assert not target.readonly and not target.connected
        assert capsys.readouterr().out == f"Closing target {target}.\n"

    def test_closing_in_another_thread_leaves_it_usable(self) -> None:
        target = _Target("/r", {})
        target.open()
        thread = threading.Thread(target=target.close)
        thread.start()
        thread.join()
        target.open()
        target.close()

    def test_read_only_spares_the_bookkeeping(self) -> None:
        target = _Target("/r", {})
        target.readonly = True
        target.check_write(META)
        target.check_write(LOCK)
        with pytest.raises(RuntimeError, match="^Target is read-only: "):
            target.check_write("a")

    def test_a_constructor_that_fails_leaves_nothing_to_complain_about(self) -> None:
        with pytest.raises(AssertionError):
            FTPTarget(b"/x", "host")  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, server: Server) -> Any:
    root = tmp_path / "root"
    (root / "d1" / "d2").mkdir(parents=True)
    (root / "x.txt").write_text("x")
    (root / "Y.md").write_text("yy")
    (root / "d1" / "d2" / "z").write_text("zzz")
    target = FsTarget(str(root))
    target.open()
    yield target
    target.close()


class TestLocalFolder:
    def test_it_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"^{tmp_path / 'nix'} is not a directory.$"):
            FsTarget(str(tmp_path / "nix"))

    def test_it_is_shown_with_its_current_folder(self, folder: FsTarget) -> None:
        assert str(folder) == f"<FS:{folder.root_dir} + .>"
        folder.cwd("d1")
        assert str(folder) == f"<FS:{folder.root_dir} + d1>"
        assert folder.pwd() == os.path.join(folder.root_dir, "d1")
        assert folder.get_id() == folder.get_base_name() == folder.root_dir

    def test_it_can_be_shown_before_it_is_open(self, tmp_path: Path) -> None:
        assert str(FsTarget(str(tmp_path))) == f"<FS:{tmp_path} + .>"

    def test_listings_have_files_and_folders(self, folder: FsTarget) -> None:
        entries = {entry.name: entry for entry in folder.get_dir()}
        assert set(entries) == {"d1", "x.txt", "Y.md"}
        assert isinstance(entries["d1"], DirectoryEntry) and isinstance(entries["Y.md"], FileEntry)
        stat = os.stat(os.path.join(folder.root_dir, "Y.md"))
        assert entries["Y.md"].size == 2
        assert entries["Y.md"].mtime == entries["Y.md"].mtime_org == stat.st_mtime
        assert entries["Y.md"].unique == str(stat.st_ino)
        assert entries["Y.md"].rel_path == folder.root_dir
        assert folder.cur_dir_meta is not None

    def test_metadata_is_read_and_hidden_and_temporary_files_too(self, folder: FsTarget) -> None:
        root = Path(folder.root_dir)
        (root / META).write_text(
            json.dumps({"_file_version": 3, "mtimes": {}, "peer_sync": {"p": {":last_sync": 1}}})
        )
        (root / ".pyftpsync-tmp-1-x.txt").touch()
        assert names(folder.get_dir()) == ["Y.md", "d1", "x.txt"]
        assert folder.cur_dir_meta is not None
        assert folder.cur_dir_meta.peer_sync == {"p": {":last_sync": 1}}

    def test_links_inside_the_tree_are_followed_and_others_left_out(
        self, folder: FsTarget, tmp_path: Path, capsys: Any
    ) -> None:
        root = Path(folder.root_dir)
        (tmp_path / "outside").mkdir()
        (root / "file").symlink_to("Y.md")
        (root / "dir").symlink_to("d1/d2")
        (root / "loop").symlink_to(".")
        (root / "out").symlink_to(tmp_path / "outside")
        (root / "dangling").symlink_to("nix")
        (root / "circle").symlink_to("circle")
        (root / "far").symlink_to("x" * 300)
        os.mkfifo(root / "pipe")
        folder.extra_opts["verbose"] = 4
        entries = {entry.name: entry for entry in folder.get_dir()}
        assert set(entries) == {"d1", "x.txt", "Y.md", "file", "dir"}
        assert entries["file"].size == 2
        assert entries["dir"].is_dir()
        assert len(capsys.readouterr().out.splitlines()) == 6

    def test_removing_a_link_spares_what_it_leads_to(self, folder: FsTarget) -> None:
        root = Path(folder.root_dir)
        (root / "dir").symlink_to("d1")
        folder.rmdir("dir")
        assert (root / "d1" / "d2" / "z").exists() and not (root / "dir").is_symlink()

    def test_it_cannot_be_left(self, folder: FsTarget) -> None:
        os.mkdir(folder.root_dir + "-sibling")
        folder.cwd("d1/d2")
        for elsewhere in ("../../..", f"{folder.root_dir}-sibling", "/"):
            with pytest.raises(RuntimeError, match="^Tried to navigate outside root "):
                folder.cwd(elsewhere)
        assert folder.cwd("../..") == folder.root_dir

    def test_walking_yields_parents_first_and_comes_back(self, folder: FsTarget) -> None:
        paths = [entry.get_rel_path() for entry in folder.walk()]
        assert sorted(paths) == ["Y.md", "d1", "d1/d2", "d1/d2/z", "x.txt"]
        assert paths.index("d1") < paths.index("d1/d2") < paths.index("d1/d2/z")
        assert folder.pwd() == folder.root_dir
        assert names(folder.walk(recursive=False)) == ["Y.md", "d1", "x.txt"]

    def test_only_false_leaves_a_subtree_out(self, folder: FsTarget) -> None:
        assert names(folder.walk(lambda entry: None)) == ["Y.md", "d1", "d2", "x.txt", "z"]
        assert names(folder.walk(lambda entry: entry.name != "d2")) == ["Y.md", "d1", "x.txt"]

    def test_a_walk_that_is_given_up_comes_back(self, folder: FsTarget) -> None:
        walk = folder.walk()
        next(entry for entry in walk if entry.name == "z")
        walk.close()  # type: ignore[attr-defined]
        assert folder.pwd() == folder.root_dir

    def test_the_tree_is_drawn(self, folder: FsTarget) -> None:
        folder.mkdir("e")
        assert [prefix + entry.name for prefix, entry in folder.walk_tree(files=True)] == [
            " +- x.txt",
            " +- Y.md",
            " +- d1",
            " |   `- d2",
            " |       `- z",
            " `- e",
        ]
        assert [prefix + entry.name for prefix, entry in folder.walk_tree()] == [
            " +- d1",
            " |   `- d2",
            " `- e",
        ]

    def test_text_survives(self, folder: FsTarget) -> None:
        folder.write_text("n.txt", "äö")
        assert folder.read_text("n.txt") == "äö"
        folder.remove_file("n.txt")
        with pytest.raises(FileNotFoundError):
            folder.read_text("n.txt")

    def test_folders_are_made_and_removed_with_all_that_is_in_them(self, folder: FsTarget) -> None:
        folder.mkdir("k")
        with pytest.raises(FileExistsError):
            folder.mkdir("k")
        folder.rmdir("d1")
        assert names(folder.get_dir()) == ["Y.md", "k", "x.txt"]

    def test_a_file_is_replaced_as_a_whole_or_not_at_all(self, folder: FsTarget) -> None:
        path = Path(folder.root_dir, "x.txt")
        path.chmod(0o640)

        class Torn(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell():
                    raise EOFError("connection lost")
                return super().read(2)

        with pytest.raises(EOFError):
            folder.write_file("x.txt", Torn(b"new content"))
        assert path.read_text() == "x"
        seen: list[bytes] = []
        folder.write_file("x.txt", io.BytesIO(b"new content"), blocksize=4, callback=seen.append)
        assert path.read_text() == "new content"
        assert b"".join(seen) == b"new content" and len(seen) == 3
        assert path.stat().st_mode & 0o777 == 0o640
        assert names(folder.get_dir()) == ["Y.md", "d1", "x.txt"]
        assert not list(path.parent.glob(".pyftpsync-tmp-*"))

    def test_a_replaced_file_keeps_owner_and_group(
        self, folder: FsTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = Path(folder.root_dir, "x.txt")
        others = [group for group in os.getgroups() if group != os.getegid()]
        owner, group = (1234, 1234) if os.geteuid() == 0 else (-1, (others or [os.getegid()])[0])
        os.chown(path, owner, group)
        path.chmod(0o4664)
        old = path.stat()
        folder.write_text("x.txt", "new")
        new = path.stat()
        assert new.st_ino != old.st_ino
        assert (new.st_uid, new.st_gid, new.st_mode) == (old.st_uid, old.st_gid, old.st_mode)
        if others or os.geteuid() == 0:

            def refuse(*_: Any) -> None:
                raise PermissionError

            monkeypatch.setattr(os, "chown", refuse)
            folder.write_text("x.txt", "newer")
            # Another group may do what others may, and nothing runs with the rights of somebody else.
            private = 0o644 if os.geteuid() == 0 else 0o4644
            assert path.stat().st_mode & 0o7777 == private

    def test_new_files_follow_the_umask(self, folder: FsTarget) -> None:
        previous = os.umask(0o027)
        try:
            folder.write_text("n", "")
        finally:
            os.umask(previous)
        assert Path(folder.root_dir, "n").stat().st_mode & 0o777 == 0o640

    def test_a_file_that_cannot_be_made_is_named(self, folder: FsTarget) -> None:
        with pytest.raises(FileNotFoundError) as info:
            folder.open_writable("nix/a")
        assert info.value.filename == os.path.join(folder.root_dir, "nix/a")

    def test_the_longest_names_can_be_written(self, folder: FsTarget) -> None:
        name = "ä" * 127
        folder.write_text(name, "x")
        assert folder.read_text(name) == "x"

    def test_writing_through_a_link_keeps_the_link(self, folder: FsTarget) -> None:
        link = Path(folder.root_dir, "link")
        link.symlink_to("x.txt")
        folder.write_text("link", "via link")
        assert link.is_symlink() and Path(folder.root_dir, "x.txt").read_text() == "via link"

    def test_a_writer_that_is_closed_or_forgotten_keeps_what_it_got(self, folder: FsTarget) -> None:
        stream = folder.open_writable("a")
        stream.write(b"1")
        assert not Path(folder.root_dir, "a").exists()
        stream.close()
        assert folder.read_text("a") == "1"
        folder.open_writable("a").write(b"2")
        assert folder.read_text("a") == "2"
        assert sorted(os.listdir(folder.root_dir)) == ["Y.md", "a", "d1", "x.txt"]

    def test_a_writer_that_lives_as_long_as_the_program_leaves_its_file(self, folder: FsTarget) -> None:
        lines = (
            "import sys, tarfile; from ftpsync.targets import FsTarget",
            "target = FsTarget(sys.argv[1]); target.open()",
            "archive = tarfile.open(fileobj=target.open_writable('a.tar'), mode='w')",
            "archive.add(__file__, arcname='x'); archive.close()",
        )
        script = Path(folder.root_dir, "d1", "script.py")
        script.write_text("\n".join(lines))
        subprocess.run([sys.executable, str(script), folder.root_dir], check=True)
        with tarfile.open(Path(folder.root_dir, "a.tar")) as archive:
            assert archive.getnames() == ["x"]
        assert not list(Path(folder.root_dir).glob(".pyftpsync-tmp-*"))

    def test_a_writer_shows_what_it_got_once_it_is_flushed(self, folder: FsTarget) -> None:
        path = Path(folder.root_dir, "x.txt")
        with folder.open_writable("x.txt") as stream:
            stream.write(b"1")
            assert path.read_text() == "x" and stream.name == str(path)
            stream.flush()
            assert path.read_text() == "1"
            stream.write(b"2")
        assert path.read_text() == "12"
        assert sorted(os.listdir(folder.root_dir)) == ["Y.md", "d1", "x.txt"]

    def test_an_exception_in_the_block_of_a_writer_leaves_what_was_there(self, folder: FsTarget) -> None:
        with contextlib.suppress(EOFError), folder.open_writable("x.txt") as stream:
            stream.write(b"new")
            raise EOFError
        assert folder.read_text("x.txt") == "x"
        assert sorted(os.listdir(folder.root_dir)) == ["Y.md", "d1", "x.txt"]

    def test_copying_out_tells_each_block(self, folder: FsTarget) -> None:
        out, seen = io.BytesIO(), []
        folder.copy_to_file("Y.md", out, callback=seen.append)
        assert out.getvalue() == b"".join(seen) == b"yy"

    def test_setting_the_time_leaves_the_time_of_access(self, folder: FsTarget) -> None:
        path = os.path.join(folder.root_dir, "x.txt")
        os.utime(path, (1000, 2000))
        folder.set_mtime("x.txt", 1234567890.5, 1)
        assert (os.stat(path).st_atime, os.stat(path).st_mtime) == (1000, 1234567890.5)

    def test_read_only_refuses_every_change(self, folder: FsTarget) -> None:
        folder.readonly = True
        for verb, arguments in (
            (folder.mkdir, ("n",)),
            (folder.rmdir, ("d1",)),
            (folder.remove_file, ("x.txt",)),
            (folder.write_text, ("x.txt", "")),
            (folder.open_writable, ("x.txt",)),
            (folder.set_mtime, ("x.txt", 1, 1)),
        ):
            with pytest.raises(RuntimeError, match="^Target is read-only: "):
                verb(*arguments)  # type: ignore[operator]


def opened(server: Server, **options: Any) -> FTPTarget:
    target = FTPTarget("/", "host", username="u", password="p", extra_opts=options)
    target.open()
    return target


class TestFtpFolder:
    def test_both_names_are_the_same_class(self) -> None:
        assert FtpTarget is FTPTarget

    def test_it_is_shown_without_user_password_and_port(self) -> None:
        target = FTPTarget("/a/b", "host", 2121, "joe", "secret", True)
        assert target.get_base_name() == "ftps://host/a/b"
        assert str(target) == "<ftps://host/a/b + .>"
        assert "secret" not in repr(target)

    def test_the_core_is_asked_for_what_the_user_wants(self, server: Server) -> None:
        server.tree["/a"] = None
        options = {"ftp_active": True, "tls_pin": "sha256:00", "no_verify_tls": False, "verbose": 0}
        target = FTPTarget("/a/", "host", 2121, "u", "p", tls=True, timeout=5.5, extra_opts=options)
        target.open()
        assert server.connections == [
            {
                "trace": target._trace,
                "host": "host",
                "port": 2121,
                "user": "u",
                "password": "p",
                "root": "/a",
                "tls": True,
                "options": {
                    "ftp_active": True,
                    "tls_pin": "sha256:00",
                    "no_verify_tls": False,
                    "timeout": 5.5,
                    "encoding": "utf-8",
                    "create_folder": False,
                },
            }
        ]
        assert target._native is not None and target._session is not None
        assert target.connected and target.ftp_socket_connected
        target.close()
        assert target._session is None and not target.connected and not target.ftp_socket_connected
        assert server.calls == [("close",)]

    def test_the_greeting_is_shown_as_the_verbosity_allows(self, server: Server, capsys: Any) -> None:
        server.greeting = [(4, "Sent 'OPTS UTF8 ON'."), (5, "SYST: '215 UNIX'."), (5, "FEAT: '211 UTF8'.")]
        target = opened(server, verbose=4)
        assert capsys.readouterr().out == "Login as 'u'.\nSent 'OPTS UTF8 ON'.\n"
        assert target.syst_response == "215 UNIX"
        assert target.feat_response == "211 UTF8" and target.support_utf8
        opened(server)
        assert capsys.readouterr().out == ""

    def test_a_password_that_could_be_seen_is_told_only_where_the_url_was_typed(
        self, server: Server, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(server, url_on_command_line=True)
        assert capsys.readouterr().out.startswith("The password for host stands in the URL, where others ")
        opened(server, url_on_command_line=True, verbose=2)
        opened(server, url_on_command_line=False)
        opened(server)
        monkeypatch.setenv("PYFTPSYNC_COMPAT", "3.1")
        opened(server, url_on_command_line=True)
        assert capsys.readouterr().out == ""

    def test_a_refused_login_is_told_and_passed_on(self, server: Server, capsys: Any) -> None:
        target = FTPTarget("/", "host", username="u", password="bad")
        with pytest.raises(ftplib.error_perm, match="^530"):
            target.open()
        assert capsys.readouterr().err == "Could not login to u@host: 530 Login incorrect.\n"
        assert not target.connected

    def test_a_refused_login_is_asked_again_where_asking_is_allowed(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = iter(["worse", "p"])
        monkeypatch.setattr(getpass, "getpass", lambda prompt: next(answers))
        target = FTPTarget("/", "host", username="u", password="bad", extra_opts={"no_prompt": False})
        target.open()
        assert [connection["password"] for connection in server.connections] == ["bad", "worse", "p"]
        assert target.password == "p"

    def test_nobody_is_asked_about_a_refused_anonymous_login(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(builtins, "input", lambda prompt: pytest.fail("asked"))
        with pytest.raises(ftplib.error_perm, match="^530"):
            FTPTarget("/", "host").open()

    def test_nobody_is_asked_for_the_password_of_a_server_that_is_not_there(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(builtins, "input", lambda prompt: pytest.fail("asked"))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            target = FTPTarget("/", "127.0.0.1", port, extra_opts={"no_prompt": False})
            with pytest.raises(ConnectionRefusedError) as info:
                target.open()
        assert f"could not connect to 127.0.0.1, port {port}: " in info.value.what  # type: ignore[attr-defined]
        assert not target.connected

    def test_a_user_without_password_cannot_be_looked_up(self, server: Server) -> None:
        with pytest.raises(RuntimeError, match=r"^Cannot get credentials for a distinct user \("):
            FTPTarget("/", "host", username="u").open()
        assert server.connections == []

    def test_a_password_is_kept_only_after_the_login(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        saved: list[tuple[str, ...]] = []
        monkeypatch.setattr("ftpsync.ftp_target.save_password", lambda *given: saved.append(given))
        with pytest.raises(ftplib.error_perm):
            FTPTarget("/", "host", username="u", password="x", extra_opts={"store_password": True}).open()
        assert saved == []
        opened(server, store_password=True)
        assert saved == [("host", "u", "p")]

    def test_a_relative_root_is_refused(self, server: Server) -> None:
        with pytest.raises(RuntimeError, match="^Unable to navigate to working directory "):
            FTPTarget("a", "host", username="u", password="p").open()

    def test_a_missing_root_without_a_run(self, server: Server, capsys: Any) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        with pytest.raises(RuntimeError, match="^Unable to navigate to working directory "):
            target.open()
        assert capsys.readouterr().err.startswith("Could not change directory to /nix (550 ")
        assert not target.connected

    def test_a_missing_root_in_a_run(self, server: Server, tmp_path: Path) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        Run(FsTarget(str(tmp_path)), target)
        with pytest.raises(
            CliSilentRuntimeError, match=r"^Could not change remote directory to '/nix' \("
        ) as info:
            target.open()
        assert info.value.min_verbosity == 4 and "--create-folder" in str(info.value)

    def test_a_missing_source_is_not_to_be_made(self, server: Server, tmp_path: Path) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        run = Run(FsTarget(str(tmp_path)), target)
        run._MODE = "download"
        with pytest.raises(CliSilentRuntimeError, match="It does not exist, or permissions") as info:
            target.open()
        assert "--create-folder" not in str(info.value)

    @pytest.mark.parametrize("options", [{}, {"create_folder": True}], ids=str)
    def test_a_path_as_in_urls_elsewhere_is_pointed_out(
        self, server: Server, tmp_path: Path, capsys: Any, options: dict[str, Any]
    ) -> None:
        target = FTPTarget("/my%20files", "host", username="u", password="p")
        Run(FsTarget(str(tmp_path)), target, **options)
        told = ""
        try:
            target.open()
        except CliSilentRuntimeError as exc:
            told = str(exc)
        assert (
            (told + capsys.readouterr().err)
            .strip()
            .endswith("A path is taken as it stands: '%20' is no blank.")
        )

    def test_a_missing_local_root_in_a_run(self, server: Server, capsys: Any) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        Run(target, FTPTarget("/", "host"))
        with pytest.raises(RuntimeError, match="^Unable to navigate"):
            target.open()
        assert capsys.readouterr().err.startswith("Could not change local directory to /nix (550 ")

    def test_a_missing_root_is_made_when_asked_for(self, server: Server, tmp_path: Path, capsys: Any) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        Run(FsTarget(str(tmp_path)), target, create_folder=True)
        target.open()
        assert "/nix" in server.tree
        assert capsys.readouterr().err.startswith("Could not change remote directory to '/nix' (550 ")

    def test_a_dry_run_makes_no_root_and_takes_it_for_empty(
        self, server: Server, tmp_path: Path, capsys: Any
    ) -> None:
        target = FTPTarget("/nix", "host", username="u", password="p")
        Run(FsTarget(str(tmp_path)), target, create_folder=True)
        target.dry_run = True
        target.open()
        assert target.get_dir() == []
        target.close()
        assert "/nix" not in server.tree
        assert "it would be created" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "failure", [ConnectionRefusedError(111, "refused"), EOFError("cut"), KeyboardInterrupt()]
    )
    def test_a_failed_connection_leaves_nothing_open(self, server: Server, failure: BaseException) -> None:
        server.failure = failure
        target = FTPTarget("/", "host", username="u", password="p")
        with pytest.raises(type(failure)):
            target.open()
        assert not target.connected
        server.failure = None
        target.open()

    def test_a_dead_connection_does_not_spoil_closing(self, server: Server, capsys: Any) -> None:
        target = opened(server)

        def fail() -> None:
            raise EOFError("gone")

        target._session.close = fail
        target.close()
        assert not target.connected
        assert capsys.readouterr().err.startswith("Could not close the connection to host")

    def test_verbs_need_an_open_target(self) -> None:
        with pytest.raises(RuntimeError, match="^Target is not open: "):
            FTPTarget("/", "host").get_dir()

    def test_listings_hide_the_bookkeeping(self, server: Server) -> None:
        server.tree.update(
            {
                "/a.txt": b"abc",
                "/sub": None,
                f"/sub/{LOCK}": b"",
                f"/{LOCK}": b"{}",
                "/.pyftpsync-tmp-1-x": b"",
            }
        )
        target = opened(server)
        assert names(target.get_dir()) == ["a.txt", "sub"]
        target.cwd("sub")
        assert names(target.get_dir()) == [LOCK]
        assert target.pwd() == "/sub" and str(target) == "<ftp://host/ + sub>"

    def test_a_folder_is_listed_once_on_the_way_in(self, server: Server) -> None:
        server.tree.update({"/a": None, "/a/b": None, "/a/b/c": b""})
        target = opened(server)
        target.cwd("a/b")
        assert names(target.get_dir()) == ["c"]
        assert server.calls == [("list", "a/b")]
        assert names(target.get_dir()) == ["c"]
        assert server.calls == [("list", "a/b")] * 2

    def test_a_listing_made_on_the_way_in_is_not_used_after_a_change(self, server: Server) -> None:
        server.tree.update({"/a": None, "/a/old": b""})
        target = opened(server)
        target.cwd("a")
        target.write_text("new", "")
        assert names(target.get_dir()) == ["new", "old"]

    def test_a_missing_folder_cannot_be_entered(self, server: Server) -> None:
        target = opened(server)
        with pytest.raises(ftplib.error_perm, match="^550"):
            target.cwd("nix")
        assert target.pwd() == "/"

    def test_it_cannot_be_left(self, server: Server) -> None:
        server.tree.update({"/a": None, "/ab": None})
        target = FTPTarget("/a", "host", username="u", password="p")
        target.open()
        for elsewhere in ("..", "../ab", "/"):
            with pytest.raises(RuntimeError, match="^Tried to navigate outside root "):
                target.cwd(elsewhere)

    def test_files_come_and_go(self, server: Server) -> None:
        target = opened(server)
        seen: list[bytes] = []
        target.write_file("a", io.BytesIO(b"0123456789"), blocksize=4, callback=seen.append)
        assert seen == [b"0123", b"4567", b"89"]
        with target.open_readable("a") as stream:
            assert stream.read(3) == b"012"
        out = io.BytesIO()
        target.copy_to_file("a", out, callback=seen.append)
        assert out.getvalue() == b"0123456789" == b"".join(seen[3:])
        target.write_text("t", "ä")
        assert target.read_text("t") == "ä"
        target.remove_file("a")  # Bound to nobody: no error afterwards.
        assert names(target.get_dir()) == ["t"]
        with pytest.raises(NotImplementedError):
            target.open_writable("a")

    def test_folders_come_and_go(self, server: Server) -> None:
        target = opened(server)
        target.mkdir("a")
        target.cwd("a")
        target.mkdir("b")
        target.cwd("..")
        target.rmdir("a")
        assert target.get_dir() == []

    def test_a_folder_can_be_emptied_with_exceptions(self, server: Server) -> None:
        server.tree.update({"/a": None, "/a/b": b"", f"/{LOCK}": b"", "/c": b""})
        target = opened(server)
        target._rmdir_impl(".", keep_root_folder=True, predicate=lambda name: name != LOCK)
        assert set(server.tree) == {"/", f"/{LOCK}"}

    def test_times_that_the_server_cannot_keep_are_remembered_there(self, server: Server) -> None:
        target = opened(server)
        target.get_dir()
        target.write_text("a", "abc")
        server.mtimes["/a"] = time.time()
        target.set_mtime("a", 5.5, 3)
        target.flush_meta()
        (entry,) = target.get_dir()
        assert (entry.mtime, entry.mtime_org, entry.meta["m"]) == (5.5, server.mtimes["/a"], 5.5)

    def test_times_that_the_server_keeps_need_no_metadata(self, server: Server) -> None:
        server.keeps_mtime = True
        target = opened(server)
        target.get_dir()
        target.write_text("a", "abc")
        target.set_mtime("a", 5.5, 3)
        target.flush_meta()
        (entry,) = target.get_dir()
        assert entry.mtime == 5.5 and not hasattr(entry, "meta")
        assert set(server.tree) == {"/", "/a"}

    @pytest.mark.parametrize(
        ("record", "is_believed"),
        [
            ({"m": 7.5, "s": 3, "u": 1000.0}, True),
            ({"m": 7.5, "s": 4, "u": 1000.0}, False),
            ({"m": 7.5, "s": 3, "u": 990.0}, False),
        ],
    )
    def test_remembered_times_hold_until_the_file_changes(
        self, server: Server, record: dict[str, float], is_believed: bool
    ) -> None:
        text = json.dumps({"_file_version": 3, "mtimes": {"a": record, "gone": record}, "peer_sync": {}})
        server.tree.update({"/a": b"abc", f"/{META}": text.encode()})
        target = opened(server)
        (entry,) = target.get_dir()
        assert entry.mtime == (7.5 if is_believed else 1000.0)
        assert entry.mtime_org == 1000.0
        assert target.cur_dir_meta is not None and set(target.cur_dir_meta.list) == (
            {"a"} if is_believed else set()
        )

    def test_notes_about_a_listing_are_shown_at_verbosity_4(self, server: Server, capsys: Any) -> None:
        server.notes = [("link", "is a link")]
        opened(server, verbose=3).get_dir()
        assert capsys.readouterr().out == ""
        opened(server, verbose=4).get_dir()
        assert "/link: is a link\n" in capsys.readouterr().out

    def test_the_id_is_host_and_root(self, server: Server) -> None:
        target = FTPTarget("/dir/", "host", 2121, username="u")
        assert target.get_id() == "host/dir"
