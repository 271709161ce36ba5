"""Wrong values fail at once, with an exception that names what is wrong, and leave both sides alone."""

from __future__ import annotations

from collections import ChainMap, UserDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync.ftp_target import FTPTarget
from ftpsync.sftp_target import SFTPTarget
from ftpsync.synchronizers import BiDirSynchronizer, DownloadSynchronizer, UploadSynchronizer
from ftpsync.targets import FsTarget, _Target, make_target
from small_servers import ftp_server
from small_worlds import Sides, command_line, fill, make_sides, names, printing


@pytest.fixture(autouse=True)
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with printing(monkeypatch, tmp_path):
        yield


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return make_sides(tmp_path)


# -- URLs and constructors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        (None, TypeError, "url must be a str, not None"),
        (5, TypeError, "url must be a str, not 5"),
        (b"ftp://host/", TypeError, "url must be a str, not b'ftp"),
        ("ftp://", ValueError, "names no host"),
        ("ftps:///path", ValueError, "names no host"),
        ("sftp:/host/path", ValueError, "names no host"),
        ("ftp://host:99999/", ValueError, "The port of ftp://host is not a number up to 65535"),
        ("ftp://host:-1/", ValueError, "The port of ftp://host is not a number up to 65535"),
        ("ftp://u:secret@host:ftp/", ValueError, "The port of ftp://host is not a number up to 65535"),
        ("ftp://u:secret@[::1/", ValueError, "is no URL: expected ftp://host/path"),
        ("ftp://u:#secret@host/", ValueError, "percent-encoded"),
        ("ftp://u#secret@host/", ValueError, "percent-encoded"),
        ("ftp://u:se/cret@host/", ValueError, "percent-encoded"),
        ("ftp://u:se?cret@host/", ValueError, "percent-encoded"),
        ("http://u:secret@host/", ValueError, r"http://\*\*\*@host/ is not a directory\."),
        ("/no/such/folder", ValueError, r"/no/such/folder is not a directory\."),
    ],
)
def test_urls(url: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        make_target(url)
    assert "secret" not in str(caught.value) and "cret@" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ([1], TypeError, "extra_opts must be a dict or None, not "),
        ("verbose", TypeError, "extra_opts must be a dict or None, not 'verbose'"),
        ({"encoding": "klingon"}, LookupError, "unknown encoding: klingon"),
        ({"encoding": 5}, TypeError, "option encoding must be str, not int: 5"),
    ],
)
def test_options_of_targets(options: Any, error: type[Exception], words: str, tmp_path: Path) -> None:
    for url in ("ftp://host/", "sftp://host/", str(tmp_path)):
        with pytest.raises(error, match=words):
            make_target(url, options)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("host", None, TypeError),
        ("host", b"host", TypeError),
        ("host", "", ValueError),
        ("port", "21", TypeError),
        ("port", True, TypeError),
        ("port", -1, ValueError),
        ("port", 65536, ValueError),
        ("username", b"joe", TypeError),
        ("password", 5, TypeError),
        ("timeout", "5", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", -1.5, ValueError),
        ("path", b"/", AssertionError),
        ("path", 5, AssertionError),
    ],
)
@pytest.mark.parametrize("kind", [FTPTarget, SFTPTarget])
def test_arguments_of_servers(kind: type[Any], argument: str, value: Any, error: type[Exception]) -> None:
    arguments: dict[str, Any] = {"path": "/", "host": "host", argument: value}
    with pytest.raises(error, match=f"^{argument} must |^root_dir must "):
        kind(**arguments)


@pytest.mark.parametrize("root", [None, 5, b"/dir"])
def test_the_root_of_a_target_is_text(root: Any) -> None:
    with pytest.raises((AssertionError, TypeError)):
        _Target(root, {})
    with pytest.raises((AssertionError, TypeError, ValueError)):
        FsTarget(root)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tls_pin": "xx"}, '"xx" is not "sha256:" and 64 hexadecimal digits'),
        ({"tls_pin": 5}, "invalid option tls_pin: 5"),
        ({"tls_ca": "/no/such.pem"}, "cannot read certificates from /no/such.pem"),
        ({"tls_ca": 5}, "invalid option tls_ca: 5"),
        ({"connections": "many"}, r"invalid option connections: 'many' \(expected a number from 1 to 64\)"),
        ({"connections": "65"}, r"invalid option connections: '65' \(expected a number from 1 to 64\)"),
        ({"timeout": "soon"}, r"invalid option timeout: 'soon' \(expected a number of seconds\)"),
        ({"timeout": [5]}, r"invalid option timeout: \[5\] \(expected a number of seconds\)"),
        ({"ftp_debug": "x"}, r"invalid option ftp_debug: 'x' \(expected a number\)"),
        ({"proxy": 5}, r"invalid option proxy: 5 \(expected a URL, or 'none'\)"),
        ({"proxy": b"http://u:geheim@h"}, r"invalid option proxy: b'http://\*\*\*@h'"),
    ],
)
def test_options_of_a_server_fail_before_anything_is_sent(options: dict[str, Any], words: str) -> None:
    # Nobody listens at that port: a connection attempt would be another error.
    target = FTPTarget("/", "127.0.0.1", 9, "joe", "pw", tls=True, extra_opts=options)
    with pytest.raises(ValueError, match=words):
        target.open()
    assert not target.connected


@pytest.mark.parametrize("option", ["tls_pin", "tls_ca", "tls_cert"])
def test_options_about_tls_are_not_ignored_in_clear_text(option: str) -> None:
    target = FTPTarget("/", "127.0.0.1", 9, "joe", "pw", extra_opts={option: "x"})
    with pytest.raises(
        RuntimeError, match=rf"without TLS, and --{option.replace('_', '-')} would be of no use"
    ):
        target.open()
    assert not target.connected


def test_options_about_tls_may_be_those_of_the_other_side() -> None:
    for other in ("ftps://127.0.0.1:9/", "s3://bucket/x"):
        clear, peer = make_target("ftp://joe:pw@127.0.0.1:9/", {"tls_ca": "x"}), make_target(other)
        clear.peer = peer
        with pytest.raises(OSError, match="refused"):  # Nobody listens there.
            clear.open()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("ftp://host/a?b", "/a?b"),
        ("sftp://host/a;b?c;d", "/a;b?c;d"),
        ("ftps://host/a#b?c#d", "/a#b?c#d"),
        ("ftp://host/", "/"),
    ],
)
def test_nothing_of_a_path_is_cut_off(url: str, path: str) -> None:
    assert make_target(url).root_dir == path


@pytest.mark.parametrize("option", ["match", "exclude"])
def test_patterns_that_match_nothing_are_told(option: str, sides: Sides) -> None:
    fill(sides[0], "a")
    done = command_line("upload", *map(str, sides), f"--{option}", "cache/,*.x", cwd=sides[0].parent)
    assert f"The pattern 'cache/' of --{option} matches nothing" in done.stdout + done.stderr
    assert "'*.x'" not in done.stdout + done.stderr


# -- synchronizers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("verbose", "loud"),
        ("verbose", [3]),
        ("case", 5),
        ("case", "LOCAL"),
        ("connections", 0),
        ("connections", True),
        ("connections", 2.0),
        ("connections", 65),
        ("links", "copy"),
        ("links", 7),
        ("lock_age", "long"),
        ("lock_age", 0),
        ("break_lock", "yes"),
        ("max_depth", 0),
        ("max_depth", 257),
        ("max_depth", 2.5),
        ("max_depth", True),
        ("max_delete", -1),
        ("max_delete", 2.5),
        ("max_delete", True),
        ("max_delete", "101%"),
        ("max_delete", [1]),
    ],
)
@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer, BiDirSynchronizer])
def test_options_of_a_run(kind: type[Any], option: str, value: Any, sides: Sides) -> None:
    fill(sides[0], "a")
    fill(sides[1], "b")
    with pytest.raises(ValueError, match=f"^invalid option {option}: ") as caught:
        kind(FsTarget(str(sides[0])), FsTarget(str(sides[1])), {"verbose": 0, option: value}).run()
    assert str(value) in str(caught.value)
    assert (names(sides[0]), names(sides[1])) == ({"a"}, {"b"})


@pytest.mark.parametrize("option", ["match", "exclude"])
@pytest.mark.parametrize("value", [7, b"*.bak", {"*.bak": 1}, ["*.bak", 7], [b"*.bak"]], ids=repr)
def test_patterns_are_text(option: str, value: Any, sides: Sides) -> None:
    with pytest.raises(AssertionError, match=f"'{option}' must be a string or a list of strings"):
        UploadSynchronizer(FsTarget(str(sides[0])), FsTarget(str(sides[1])), {option: value})


@pytest.mark.parametrize("kind", [UploadSynchronizer, DownloadSynchronizer])
def test_a_strategy_of_another_mode_fails_at_the_first_conflict(kind: type[Any], sides: Sides) -> None:
    for side, body in zip(sides, ("here", "there"), strict=True):
        (side / "a").write_text(body)
    before = [(side / "a").read_text() for side in sides]
    synchronizer = kind(FsTarget(str(sides[0])), FsTarget(str(sides[1])), {"verbose": 0, "resolve": "newest"})
    accepted = (
        r"resolve is 'newest'; upload accepts local, skip, ask|resolve is 'newest'; download accepts remote, "
    )
    with pytest.raises(AssertionError, match=accepted):
        synchronizer.run()
    assert [(side / "a").read_text() for side in sides] == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/a", None, {}), "local must be a target, not '/a'"),
        ((None, None, {}), "local must be a target, not None"),
    ],
)
def test_targets_are_targets(arguments: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        BiDirSynchronizer(*arguments)


def test_two_targets_and_a_dict_are_needed(sides: Sides) -> None:
    target = FsTarget(str(sides[0]))
    with pytest.raises(ValueError, match="local and remote are the same target"):
        BiDirSynchronizer(target, target, {})
    with pytest.raises(TypeError, match="options must be a dict or None, not "):
        BiDirSynchronizer(target, FsTarget(str(sides[1])), [])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", [UserDict, ChainMap])
def test_options_may_be_any_mapping_that_can_be_changed(wrap: type[Any], sides: Sides) -> None:
    class Hooked(UploadSynchronizer):
        def on_copy_local(self, pair: Any) -> Any:
            return super().on_copy_local(pair)

    fill(sides[0], "a b.bak")
    for kind in (UploadSynchronizer, Hooked):
        options = wrap({"verbose": 0, "exclude": "*.bak"})
        assert kind(FsTarget(str(sides[0])), FsTarget(str(sides[1])), options).run() is True
        assert options["exclude"] == ["*.bak"]
    assert names(sides[1]) == {"a"}


def test_a_number_of_connections_may_be_a_text(sides: Sides) -> None:
    fill(sides[0], "a")
    with ftp_server(sides[1]) as server:
        remote = make_target(server.url, {"connections": " 2"})
        options = {"verbose": 0, "connections": "2"}
        assert UploadSynchronizer(FsTarget(str(sides[0])), remote, options).run() is True
    assert names(sides[1]) == {"a"}


def test_unknown_options_are_ignored(sides: Sides) -> None:
    fill(sides[0], "a")
    options: dict[Any, Any] = {"verbose": 0, "no_such_option": object(), 5: 6}
    assert UploadSynchronizer(FsTarget(str(sides[0])), FsTarget(str(sides[1])), options).run() is True
    assert names(sides[1]) == {"a"}


# -- the command line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("upload", "LOCAL", "ftp://"), 1, "names no host"),
        (("upload", "LOCAL", "ftp://u:secret@host:x/"), 1, "The port of ftp://host"),
        (("upload", "missing", "REMOTE"), 1, "missing is not a directory."),
        (("upload", "LOCAL", "missing"), 1, "missing is not a directory. Pass `--create-folder`"),
        (("upload", "LOCAL", "ftp.host.example/www"), 1, "the URL of a server begins with ftp://"),
        (("upload", "LOCAL", "http://u:secret@host/"), 1, "is not a directory."),
        (("upload", "LOCAL", "webdav://host/x"), 1, "Known schemes: ftp, ftps, s3, sftp."),
        (("upload", "LOCAL/a", "REMOTE"), 1, "is not a directory. (It is a file.)"),
        (("upload", "LOCAL", "LOCAL"), 1, "local and remote are the same folder"),
        (("sync", "LOCAL", "LOCAL/.."), 1, "one side is inside the other"),
        (("upload", "LOCAL", "ftps://u:secret@127.0.0.1:9/", "--tls-pin", "xx"), 1, "hexadecimal digits"),
        (("upload", "LOCAL", "ftps://u:secret@127.0.0.1:9/", "--tls-ca", "no.pem"), 1, "no.pem"),
        (
            ("upload", "LOCAL", "ftp://u@host/", "--no-prompt"),
            1,
            "Cannot get credentials for a distinct user",
        ),
        (("upload", "LOCAL", "ftp://u:secret@127.0.0.1:9/"), 1, "refused"),
        (("upload", "LOCAL", "sftp://u:secret@127.0.0.1:9/"), 1, ""),
        (("scan", "missing"), 1, "missing is not a directory."),
        (("tree", "missing"), 1, "missing is not a directory."),
        (("scan",), 2, "TARGET"),
        (("upload", "LOCAL", "REMOTE", "--lock-age", "0"), 2, "--lock-age"),
        (("upload", "LOCAL", "REMOTE", "--case", "upper"), 2, "--case"),
        (("upload", "LOCAL", "REMOTE", "--connections", "100"), 2, "expected a whole number from 1 to 64"),
        (("sync", "LOCAL", "REMOTE", "--stateless"), 2, "invalid option stateless: what changed"),
        (("upload", "LOCAL", "REMOTE", "--backup-dir", "/old"), 2, "--backup-dir: '/old' is no folder below"),
        (("upload", "LOCAL", "REMOTE", "--backup-dir", "a/../b"), 2, "--backup-dir: 'a/../b' is no folder"),
        (("upload", "LOCAL", "REMOTE", "--verbose=3"), 2, "--verbose"),
        (("upload", "LOCAL", "REMOTE", "extra"), 2, "extra"),
        (("--debug", "all", "upload", "LOCAL", "REMOTE"), 2, "--debug"),
        (("upload", ".", "."), 2, "'.' is expected to be the local target"),
        (("download", "ftp://u:secret@host/", "REMOTE"), 2, "a file system target is expected to be local"),
        (("download", "ftp://u:secret@host/", "REMOTE"), 2, "name the folder first, then the server"),
        (
            ("upload", "", "REMOTE", "--delete"),
            2,
            "LOCAL must not be empty: '.' stands for the current folder",
        ),
        (("upload", "LOCAL", "", "--create-folder"), 2, "REMOTE must not be empty"),
        (("sync", "LOCAL", ""), 2, "REMOTE must not be empty"),
        (("scan", "", "--remove-meta"), 2, "TARGET must not be empty"),
        (("tree", ""), 2, "TARGET must not be empty"),
        (("doctor", ""), 2, "TARGET must not be empty"),
        (("upload", "LOCAL", "ftp://u:secret\udce9@host/"), 1, "ftp:... has bytes that are no characters"),
        (("tree", "sftp://u:secret@host/caf\udce9"), 1, "sftp:... has bytes that are no characters"),
        (("tree", "s3://bucket/caf\udce9"), 1, "s3:... has bytes that are no characters"),
        (("upload", "LOCAL", "REMOTE", "-x", "*\udce9"), 2, "--exclude: '*\\udce9' has bytes"),
        (("upload", "LOCAL", "REMOTE", "--backup-dir", "\udce9"), 2, "--backup-dir: '\\udce9' has bytes"),
        (("upload", "joe@host:/srv", "REMOTE"), 1, "(On a server it is sftp://joe@host/PATH.)"),
        ((), 2, "missing command (choose from"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_without_a_traceback(
    arguments: tuple[str, ...], code: int, words: str, sides: Sides
) -> None:
    fill(sides[0], "a")
    given = [word.replace("LOCAL", str(sides[0])).replace("REMOTE", str(sides[1])) for word in arguments]
    done = command_line(*given, cwd=sides[0].parent)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr and "secret" not in done.stderr + done.stdout
    if code == 1:
        (line,) = (line for line in done.stderr.splitlines() if line)
        assert line.startswith("ERROR: ")
        assert "unexpected" not in line
    else:
        assert "pyftpsync: error: " in done.stderr or f"pyftpsync {arguments[0]}: error: " in done.stderr
    assert names(sides[1]) == set()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "fpts://u:secret@host/x",
            "fpts://***@host/x is not a directory. (Known schemes: ftp, ftps, s3, sftp.)",
        ),
        ("webdav://host/x", "(Known schemes: ftp, ftps, s3, sftp.)"),
        ("ftps ://u@host/x", "(Known schemes: ftp, ftps, s3, sftp.)"),
        ("u:secret@host/x", "***@host/x is not a directory."),
        ("joe@host:/x", "(On a server it is sftp://joe@host/PATH.)"),
        (" ftp://127.0.0.1:9/x", "could not connect"),
    ],
)
def test_a_mistyped_server_is_no_folder_to_be_made(place: str, words: str, sides: Sides) -> None:
    """A deployment would go to a folder of that name, password and all, and end well."""
    fill(sides[0], "a")
    (cwd := sides[0].parent / "cwd").mkdir()
    for options in ((), ("--dry-run",)):
        done = command_line(
            "upload", str(sides[0]), place, "--create-folder", *options, "--no-prompt", cwd=cwd
        )
        assert done.returncode == 1 and words in done.stderr, done
        assert "secret" not in done.stderr + done.stdout
    (cwd / "pyftpsync.yaml").write_text(
        f"tasks: {{up: {{command: upload, local: {sides[0]}, remote: '{place}', create_folder: true}}}}"
    )
    assert command_line("run", "up", "--no-prompt", cwd=cwd).returncode == 1
    assert names(cwd) == {"pyftpsync.yaml"}


@pytest.mark.parametrize("place", ["./joe@host:x", "new/b@c", "a:b"])
def test_a_folder_to_be_made_may_have_nearly_any_name(place: str, sides: Sides) -> None:
    fill(sides[0], "a")
    (cwd := sides[0].parent / "cwd").mkdir()
    assert command_line("upload", str(sides[0]), place, "--create-folder", cwd=cwd).returncode == 0
    assert names(cwd / place) == {"a"}


def test_a_download_makes_no_source(sides: Sides) -> None:
    (cwd := sides[0].parent / "cwd").mkdir()
    (cwd / "pyftpsync.yaml").write_text(
        f"tasks: {{get: {{command: download, local: {sides[0]}, remote: mistyped, create_folder: true}}}}"
    )
    done = command_line("run", "get", cwd=cwd)
    assert done.returncode == 1 and "mistyped is not a directory." in done.stderr
    assert names(cwd) == {"pyftpsync.yaml"}
