"""What scripts rely on, row by row: names that are one object, constants, and the attributes of fresh objects.

Signatures and values are also compared with the reference itself, in the comparison tests.
"""

from __future__ import annotations

import ftplib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ftpsync import (
    cli_common,
    compat,
    ftp_target,
    metadata,
    resources,
    run_command,
    sftp_target,
    synchronizers,
    targets,
    util,
)
from ftpsync.ftp_target import FTPTarget
from ftpsync.metadata import DirMetadata
from ftpsync.resources import DirectoryEntry, EntryPair, FileEntry, _Resource
from ftpsync.sftp_target import PatchedPysftpConnection, SFTPTarget
from ftpsync.synchronizers import (
    BaseSynchronizer,
    BiDirSynchronizer,
    DownloadSynchronizer,
    UploadSynchronizer,
)
from ftpsync.targets import FsTarget, _Target, make_target
from ftpsync.util import CliSilentRuntimeError

SYNCHRONIZERS = (BaseSynchronizer, BiDirSynchronizer, UploadSynchronizer, DownloadSynchronizer)


# -- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "home", "places"),
    [
        ("FTPTarget", ftp_target, (synchronizers,)),
        ("FtpTarget", ftp_target, (synchronizers,)),
        ("DirMetadata", metadata, (targets, ftp_target, sftp_target, synchronizers)),
        ("IncompatibleMetadataVersionError", metadata, (ftp_target, sftp_target)),
        ("IncompatibleMetadataVersion", metadata, (ftp_target, sftp_target)),
        ("CliSilentRuntimeError", util, (ftp_target, sftp_target)),
        ("_Target", targets, (ftp_target, sftp_target)),
        ("FileEntry", resources, (targets, synchronizers)),
        ("DirectoryEntry", resources, (targets, synchronizers)),
        ("EntryPair", resources, (synchronizers,)),
        ("operation_map", resources, (synchronizers,)),
        ("DRY_RUN_PREFIX", util, (synchronizers,)),
        ("IS_REDIRECTED", util, (synchronizers,)),
        ("VT_ERASE_LINE", util, (synchronizers,)),
        ("DEBUG_FLAGS", util, (resources,)),
        ("DEFAULT_OMIT", synchronizers, (cli_common,)),
        ("write", util, (targets,)),
        *((name, util, (targets, compat)) for name in ("is_native", "to_bytes", "to_native", "to_unicode")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_is_the_same_object_wherever_it_is_imported_from(name: str, home: Any, places: Any) -> None:
    for place in places:
        assert getattr(place, name) is getattr(home, name), place


def test_the_names_of_31_are_the_same_classes() -> None:
    assert ftp_target.FtpTarget is FTPTarget
    assert metadata.IncompatibleMetadataVersion is metadata.IncompatibleMetadataVersionError
    assert issubclass(metadata.IncompatibleMetadataVersionError, RuntimeError)
    assert isinstance(make_target("ftp://host/dir"), ftp_target.FtpTarget)
    assert run_command.OVERRIDABLE_BOOL_ARGS is run_command.CLI_OVERRIDABLE_BOOL_TASK_ARGS


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (synchronizers, "CONFIG_FILE_NAME", "pyftpsync.yaml"),
        (synchronizers, "DEFAULT_OMIT", [".DS_Store", ".git", ".hg", ".svn", "#recycle"]),
        (
            synchronizers,
            "ALWAYS_OMIT",
            ("pyftpsync.yaml", ".pyftpsync-meta.json", ".pyftpsync-lock.json", ".pyftpsync.yaml"),
        ),
        (resources, "ENTRY_CLASSIFICATIONS", {"existing", "unmodified", "modified", "new", "deleted"}),
        (
            resources,
            "PAIR_OPERATIONS",
            {
                "conflict",
                "copy_local",
                "copy_remote",
                "delete_local",
                "delete_remote",
                "equal",
                "need_compare",
            },
        ),
        (resources, "PRINT_CLASSIFICATIONS", False),
        (metadata, "PYFTPSYNC_VERBOSE_META", False),
        (util, "PYTHON_VERSION", ".".join(map(str, sys.version_info[:3]))),
        (util, "DEFAULT_CREDENTIAL_STORE", "pyftpsync.pw"),
        (util, "DRY_RUN_PREFIX", "(DRY-RUN) "),
        (util, "VT_ERASE_LINE", "\x1b[2K"),
        (run_command, "MANDATORY_TASK_ARGS", {"command", "remote"}),
        (run_command, "KNOWN_RUN_COMMANDS", ("upload", "download", "sync", "tree")),
        (compat, "PY2", False),
        (compat, "PY3", True),
        (compat, "b_empty", b""),
        (compat, "b_slash", b"/"),
        (compat, "CompatFileNotFoundError", FileNotFoundError),
        (compat, "CompatConnectionError", ConnectionError),
    ],
    ids=lambda value: value if isinstance(value, str) and value.replace("_", "").isalnum() else "",
)
def test_constants(module: Any, name: str, value: object) -> None:
    assert getattr(module, name) == value


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (DirMetadata, "META_FILE_NAME", ".pyftpsync-meta.json"),
        (DirMetadata, "LOCK_FILE_NAME", ".pyftpsync-lock.json"),
        (DirMetadata, "PRETTY", False),
        (DirMetadata, "VERSION", 3),
        (FileEntry, "EPS_TIME", 2.01),
        (_Target, "DEFAULT_BLOCKSIZE", 16384),
        (FsTarget, "DEFAULT_BLOCKSIZE", 16384),
        (FTPTarget, "DEFAULT_BLOCKSIZE", 8192),
        (FTPTarget, "MAX_SPOOL_MEM", 102400),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_class_attributes(owner: type, name: str, value: object) -> None:
    assert getattr(owner, name) == value


def test_a_task_may_have_the_documented_keys() -> None:
    documented = """case create_folder debug delete delete_unmatched dry_run exclude files force ftp_active here
        local match migrate no_color no_keyring no_netrc no_prompt no_verify_host_keys progress prompt
        report_problems resolve root sort verbose command remote"""
    assert set(documented.split()) <= run_command.KNOWN_TASK_ARGS
    switches = """create_folder dry_run files force no_color no_keyring no_netrc no_prompt no_verify_host_keys
        progress report_problems sort"""
    assert set(switches.split()) <= run_command.CLI_OVERRIDABLE_BOOL_TASK_ARGS


def test_silent_errors_carry_what_the_command_line_needs() -> None:
    error = CliSilentRuntimeError("text", min_verbosity=4)
    assert isinstance(error, RuntimeError) and str(error) == "text"
    assert (error.min_verbosity, error.exit_code) == (4, 1)
    assert CliSilentRuntimeError("text", min_verbosity=1, exit_code=5).exit_code == 5
    with pytest.raises(TypeError):
        CliSilentRuntimeError("text", 4)  # type: ignore[call-arg,misc]


def test_parents_for_a_parser_of_ones_own() -> None:
    import argparse

    parser = argparse.ArgumentParser(
        parents=[
            cli_common.verbose_parser,
            cli_common.common_parser,
            cli_common.matcher_parser,
            cli_common.creds_parser,
        ]
    )
    args = parser.parse_args(["-v", "-n", "-x", "*.bak", "--no-prompt"])
    assert (args.verbose, args.dry_run, args.exclude, args.no_prompt) == (4, True, "*.bak", True)
    assert (args.match, args.prompt, args.store_password, args.migrate) == (None, False, False, False)


def test_the_parents_of_release_41_leave_room_for_options_of_ones_own() -> None:
    import argparse

    shared = [
        cli_common.verbose_parser,
        cli_common.common_parser,
        cli_common.matcher_parser,
        cli_common.creds_parser,
    ]
    documented = """case debug dry_run exclude ftp_active match migrate no_color no_keyring no_netrc no_prompt
        no_verify_host_keys progress prompt quiet store_password verbose"""
    assert {action.dest for parent in shared for action in parent._actions} == set(documented.split())
    parser = argparse.ArgumentParser(parents=shared)
    for name in ("--timeout", "--encoding", "--profile", "--proxy", "--region", "--connections"):
        parser.add_argument(name)
    assert parser.parse_args(["--timeout", "soon", "--ftp-active"]).timeout == "soon"


# -- targets -----------------------------------------------------------------------------------------------

COMMON: dict[str, object] = {
    "root_dir": "/dir",
    "extra_opts": {},
    "readonly": False,
    "dry_run": False,
    "connected": False,
    "host": None,
    "synchronizer": None,
    "peer": None,
    "cur_dir": None,
    "save_mode": True,
    "case_sensitive": None,
    "server_time_ofs": None,
    "mtime_compare_eps": 2.01,
    "meta_stack": [],
    "encoding": None,
}
ON_A_SERVER: dict[str, object] = {
    **COMMON,
    "host": "host",
    "encoding": "utf-8",
    "username": None,
    "password": None,
    "timeout": None,
    "lock_data": None,
    "lock_write_time": None,
    "is_unix": None,
    "ftp_socket_connected": False,
    "support_set_time": False,
}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (_Target("/dir", None), COMMON),
        (
            FTPTarget("/dir", "host"),
            {
                **ON_A_SERVER,
                "port": 0,
                "tls": False,
                "feat_response": None,
                "syst_response": None,
                "support_utf8": None,
            },
        ),
        (SFTPTarget("/dir", "host"), {**ON_A_SERVER, "port": 22, "sftp": None}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fresh_target(target: Any, expected: dict[str, object]) -> None:
    assert {name: getattr(target, name) for name in expected} == expected
    meta = target.cur_dir_meta
    assert isinstance(meta, DirMetadata) and meta.target is target
    for name, value in expected.items():  # All of them are plain: scripts set them.
        setattr(target, name, value)


def test_a_fresh_local_target(tmp_path: Path) -> None:
    target = FsTarget(f"{tmp_path}/")
    expected = {**COMMON, "root_dir": str(tmp_path), "encoding": "utf-8", "support_set_time": True}
    assert {name: getattr(target, name) for name in expected} == expected
    assert (target.get_base_name(), target.get_id()) == (str(tmp_path), str(tmp_path))


def test_arguments_of_targets_by_position_and_by_name() -> None:
    options = {"x": 1}
    by_position: list[Any] = [
        FTPTarget("/dir", "host", 2121, "joe", "pw", True, 5.0, options),
        SFTPTarget("/dir", "host", 2222, "joe", "pw", 5.0, options),
    ]
    by_name: list[Any] = [
        FTPTarget(
            path="/dir",
            host="host",
            port=2121,
            username="joe",
            password="pw",
            tls=True,
            timeout=5.0,
            extra_opts=options,
        ),
        SFTPTarget(
            path="/dir",
            host="host",
            port=2222,
            username="joe",
            password="pw",
            timeout=5.0,
            extra_opts=options,
        ),
    ]
    for made in (by_position, by_name):
        assert [(t.port, t.username, t.password, t.timeout, t.extra_opts) for t in made] == [
            (2121, "joe", "pw", 5.0, options),
            (2222, "joe", "pw", 5.0, options),
        ]
        assert made[0].tls is True


@pytest.mark.parametrize("path", ["", None, "/"])
def test_no_path_means_the_root(path: Any) -> None:
    assert FTPTarget(path, "host").root_dir == SFTPTarget(path, "host").root_dir == "/"


def test_names_of_targets() -> None:
    made: list[Any] = [
        make_target(url) for url in ("ftp://u:p@Host:1/a/", "FTPS://u:p@Host/a", "sftp://u:p@Host:2/a")
    ]
    assert [type(target) for target in made] == [FTPTarget, FTPTarget, SFTPTarget]
    bases = ["ftp://host/a", "ftps://host/a", "sftp://host/a"]
    assert [target.get_base_name() for target in made] == bases
    assert [str(target) for target in made] == [f"<{base} + .>" for base in bases]
    assert [target.port for target in made] == [1, 0, 2]
    assert make_target("sftp://host").port == 22  # type: ignore[attr-defined]
    for target in made:
        target.username, target.password = "joe", "secret"
        assert "secret" not in f"{target}{target.get_base_name()}{target.get_id()}"


def test_the_object_for_commands_is_there_before_connecting() -> None:
    assert isinstance(FTPTarget("/", "host").ftp, ftplib.FTP)
    assert isinstance(FTPTarget("/", "host", tls=True).ftp, ftplib.FTP_TLS)
    verbs = """connect login quit close cwd pwd mkd rmd delete rename size nlst mlsd dir retrlines retrbinary
        storbinary storlines sendcmd voidcmd getwelcome set_pasv set_debuglevel makepasv transfercmd abort encoding
        passiveserver host port timeout sock debugging"""
    ftp = FTPTarget("/", "host").ftp
    assert [verb for verb in verbs.split() if not hasattr(ftp, verb)] == []


def test_sftp_has_no_active_mode() -> None:
    target = SFTPTarget("/dir", "host", password="secret", extra_opts={"ftp_active": True})
    with pytest.raises(RuntimeError, match=r"SFTP does not have active/passive mode\."):
        target.open()
    assert not target.connected
    assert PatchedPysftpConnection.__name__ == "PatchedPysftpConnection"


# -- resources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FileEntry, DirectoryEntry])
def test_a_fresh_entry(kind: type[_Resource]) -> None:
    target = _Target("/root", {})
    target.cur_dir = "/root/sub"
    entry = kind(target, "/root/sub", "name", 5, 1.5, "id")
    assert vars(entry) == {
        "target": target,
        "rel_path": "/root/sub",
        "name": "name",
        "size": 5 if kind is FileEntry else 0,
        "mtime": 1.5,
        "mtime_org": 1.5,
        "unique": "id",
        "ps_size": None,
        "ps_mtime": None,
        "ps_utime": None,
        "classification": None,
        "was_deleted": None,
    }
    assert not hasattr(entry, "meta")
    assert (entry.is_file(), entry.is_dir()) == (kind is FileEntry, kind is DirectoryEntry)
    assert entry.get_rel_path() == "sub/name"
    assert f"{entry.rel_path}/{entry.name}" == "/root/sub/name"
    with pytest.raises(NotImplementedError):
        entry.set_sync_info(None)


def test_a_fresh_pair() -> None:
    target = _Target("/root", {})
    target.cur_dir = "/root"
    file, folder = (kind(target, "/root", "x", 5, 1.5, None) for kind in (FileEntry, DirectoryEntry))
    for local, remote in ((file, None), (None, file), (file, file), (folder, folder)):
        pair = EntryPair(local, remote)
        assert vars(pair) == {
            "local": local,
            "remote": remote,
            "name": "x",
            "rel_path": "x",
            "is_dir": (local or remote) is folder,
            "local_classification": None,
            "remote_classification": None,
            "operation": None,
            "re_class_reason": None,
        }
        assert pair.any_entry is (local or remote)
        shown = "[x]" if pair.is_dir else "x"
        assert str(pair) == f"<EntryPair({shown})>: (None, None) => None"


# -- metadata ----------------------------------------------------------------------------------------------


def test_fresh_metadata() -> None:
    target = _Target("/root", {})
    target.cur_dir = "/root/sub"
    meta = DirMetadata(target)
    assert (meta.target, meta.path, meta.filename) == (target, "/root/sub", ".pyftpsync-meta.json")
    assert meta.dir == {"mtimes": {}, "peer_sync": {}}
    assert meta.list is meta.dir["mtimes"] and meta.peer_sync is meta.dir["peer_sync"]
    assert (meta.modified_list, meta.modified_sync, meta.was_read) == (False, False, False)
    assert str(meta) == "DirMetadata</root/sub/.pyftpsync-meta.json>"


# -- synchronizers -----------------------------------------------------------------------------------------

COUNTERS = """bytes_written conflict_files conflict_files_skipped copy_errors dirs_created dirs_deleted
    download_bytes_written download_files_written entries_seen entries_touched errors files_created files_deleted
    files_written interactive_ask local_dirs local_files meta_bytes_read meta_bytes_written remote_dirs remote_files
    upload_bytes_written upload_files_written"""


@pytest.fixture
def sides(tmp_path: Path) -> tuple[FsTarget, FsTarget]:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    return FsTarget(str(tmp_path / "local")), FsTarget(str(tmp_path / "remote"))


@pytest.mark.parametrize("kind", SYNCHRONIZERS)
@pytest.mark.parametrize("options", [None, {}])
def test_a_fresh_synchronizer(
    kind: type[BaseSynchronizer], options: dict[str, Any] | None, sides: tuple[FsTarget, FsTarget]
) -> None:
    made = kind(*sides, options)
    assert (made.local, made.remote) == sides
    assert (made.verbose, made.dry_run, made.ignore_copy_errors) == (3, False, True)
    assert (made.is_script, made.resolve_all) == (None, None)
    assert made.get_stats() == {
        **dict.fromkeys(COUNTERS.split(), 0),
        "elap_secs": None,
        "elap_str": None,
        "result_code": None,
    }
    assert made.get_stats() is made.get_stats() is made._stats
    assert (made.error_count(), made.problem_count()) == (0, 0)
    assert sides[0].synchronizer is None, "the targets are bound by run() only"


def test_the_options_are_kept_and_processed_in_place(sides: tuple[FsTarget, FsTarget]) -> None:
    options: dict[str, Any] = {
        "match": "*.a, *.b",
        "exclude": None,
        "unknown": 1,
        "verbose": 4,
        "dry_run": True,
    }
    made = BiDirSynchronizer(*sides, options)
    assert made.options is options
    assert options == {
        "match": ["*.a", "*.b"],
        "exclude": [],
        "unknown": 1,
        "verbose": 4,
        "dry_run": True,
    }
    assert (made.verbose, made.dry_run) == (4, True)
    BiDirSynchronizer(*sides, options)
    assert options["match"] == ["*.a", "*.b"]


def test_the_words_of_the_header(sides: tuple[FsTarget, FsTarget]) -> None:
    assert [kind(*sides, {}).get_info_strings() for kind in SYNCHRONIZERS[1:]] == [
        ("synchronize", "with"),
        ("upload", "to"),
        ("download to", "from"),
    ]
    with pytest.raises(NotImplementedError):
        BaseSynchronizer(*sides, {}).get_info_strings()


def test_every_documented_hook_can_be_overridden() -> None:
    hooks = """_before_sync re_classify_pair _match on_mismatch on_equal on_copy_local on_copy_remote
        on_delete_local on_delete_remote on_need_compare on_conflict on_error _interactive_resolve _log_action _tick
        _dry_run_action _inc_stat _copy_file _copy_recursive _remove_file _remove_dir _compare_file
        _test_match_or_print _print_pair_diff _sync_dir"""
    for kind in SYNCHRONIZERS:
        assert [hook for hook in hooks.split() if not callable(getattr(kind, hook, None))] == []


class Watched(BiDirSynchronizer):
    """Notes the state of both targets while it runs."""

    def re_classify_pair(self, pair: EntryPair) -> Any:
        self.seen = [
            (side.readonly, side.dry_run, side.connected, side.synchronizer, side.peer)
            for side in (self.local, self.remote)
        ]
        return super().re_classify_pair(pair)


class WatchedUpload(Watched, UploadSynchronizer):
    pass


class WatchedDownload(Watched, DownloadSynchronizer):
    pass


@pytest.mark.parametrize(
    ("kind", "dry_run", "readonly"),
    [
        (Watched, False, (False, False)),
        (WatchedUpload, False, (True, False)),
        (WatchedDownload, False, (False, True)),
        (Watched, True, (True, True)),
        (WatchedUpload, True, (True, True)),
    ],
)
def test_targets_are_bound_while_running_and_closed_afterwards(
    kind: type[Watched], dry_run: bool, readonly: tuple[bool, bool], sides: tuple[FsTarget, FsTarget]
) -> None:
    local, remote = sides
    Path(local.root_dir, "a").write_text("a")
    Path(remote.root_dir, "b").write_text("b")
    run = kind(local, remote, {"verbose": 0, "dry_run": dry_run})
    assert run.run() is True
    assert run.seen == [
        (readonly[0], dry_run, True, run, remote),
        (readonly[1], dry_run, True, run, local),
    ]
    for side in sides:
        # D31: closing clears `readonly`, so that the next synchronizer may use the target the other way.
        assert (side.readonly, side.connected) == (False, False)
        assert (side.synchronizer, side.peer) == (None, None)


@pytest.mark.parametrize("side", [0, 1], ids=["local", "remote"])
def test_a_target_that_the_user_has_made_read_only_is_not_changed(
    side: int, sides: tuple[FsTarget, FsTarget]
) -> None:
    Path(sides[0].root_dir, "a").write_text("a")
    Path(sides[1].root_dir, "b").write_text("b")
    before = sorted(os.listdir(sides[side].root_dir))
    sides[side].readonly = True
    with pytest.raises(RuntimeError, match="^Target is read-only: "):
        BiDirSynchronizer(*sides, {"verbose": 0}).run()
    assert sorted(set(os.listdir(sides[side].root_dir)) - {DirMetadata.META_FILE_NAME}) == before


def test_a_target_that_only_rehearses_keeps_no_metadata(sides: tuple[FsTarget, FsTarget]) -> None:
    Path(sides[0].root_dir, "a").write_text("a")
    sides[0].dry_run = True
    for kind in (BiDirSynchronizer, UploadSynchronizer):
        kind(*sides, {"verbose": 0}).run()
        assert os.listdir(sides[0].root_dir) == os.listdir(sides[1].root_dir) == ["a"]
    assert (sides[0].dry_run, sides[1].dry_run) == (True, False)


def test_a_synchronizer_that_is_forgotten_closes_its_targets(sides: tuple[FsTarget, FsTarget]) -> None:
    for side in sides:
        side.open()
    run = UploadSynchronizer(*sides, {"verbose": 0})
    sides[0].synchronizer = "another one"
    del run
    assert [side.connected for side in sides] == [True, False]
    sides[0].synchronizer = None
    with pytest.raises(ValueError, match="same target"):
        UploadSynchronizer(sides[0], sides[0], {})
    assert sides[0].connected


def test_targets_are_closed_after_an_exception_too(sides: tuple[FsTarget, FsTarget]) -> None:
    class Failing(BiDirSynchronizer):
        def _before_sync(self, entry: Any) -> bool:
            raise LookupError("mine")

    Path(sides[0].root_dir, "a").write_text("a")
    with pytest.raises(LookupError, match="mine"):
        Failing(*sides, {"verbose": 0}).run()
    assert [(side.connected, side.synchronizer) for side in sides] == [(False, None)] * 2


def test_targets_that_are_open_already_are_used_and_closed(sides: tuple[FsTarget, FsTarget]) -> None:
    for side in sides:
        side.open()
    assert BiDirSynchronizer(*sides, {"verbose": 0}).run() is True
    assert [side.connected for side in sides] == [False, False]
