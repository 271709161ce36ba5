"""Objects of S3 used like files: the names of s3lync, and what is safer here."""

from __future__ import annotations

import asyncio
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftpsync._s3_object import _is_aws
from ftpsync.s3 import (
    AsyncS3Object,
    Config,
    HashMismatchError,
    MissingObjectError,
    ProgressBar,
    S3Object,
    S3ObjectError,
    SyncError,
    retry,
)
from servers import Server, Unavailable, s3
from skipping import missing

URI = f"s3://{s3.BUCKET}"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "s3-objects.md"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        with s3.MOTO.start(tmp_path_factory.mktemp("s3")) as running:
            yield running
    except Unavailable as reason:
        missing(f"moto: {reason}")


@pytest.fixture(autouse=True)
def server(moto: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """The server without any object, found by the environment; the caches of the user are in a folder of the test."""
    request(moto, "POST", "/moto-api/reset")
    request(moto, "PUT", f"/{s3.BUCKET}")
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3LYNC_"))]:
        monkeypatch.delenv(name)
    for name, value in s3.environment(moto).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.chdir(tmp_path)
    return moto


def request(server: Server, method: str, path: str, body: bytes | None = None) -> bytes:
    # moto lets everybody in who seems to have signed.
    headers = {
        "Authorization": SIGNED,
        "Content-Type": "application/octet-stream",
    }
    question = urllib.request.Request(s3.endpoint(server) + path, method=method, data=body, headers=headers)
    with urllib.request.urlopen(question, timeout=10) as answer:
        return bytes(answer.read())


def put(server: Server, key: str, content: str) -> None:
    request(server, "PUT", f"/{s3.BUCKET}/{key}", content.encode())


def get(server: Server, key: str) -> str:
    return request(server, "GET", f"/{s3.BUCKET}/{key}").decode()


def keys(server: Server) -> list[str]:
    listing = request(server, "GET", f"/{s3.BUCKET}?list-type=2").decode()
    return re.findall("<Key>(.*?)</Key>", listing)


def quiet(key: str, local: object = None, **options: Any) -> S3Object:
    path = None if local is None else str(local)
    return S3Object(f"{URI}/{key}", path, progress_mode="disabled", **options)


@pytest.mark.parametrize("module", ["ftpsync.s3", "ftpsync.compat_s3lync"])
def test_the_examples_of_the_document_run(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    request(server, "PUT", "/my-bucket")
    for key, content in {
        "path/to/file.txt": "first",
        "data/config.json": '{"a": 1}',
        "data/deep/x.tmp": "x",
        "logs/app.log": "one\ntwo",
        "file.txt": "text",
    }.items():
        request(server, "PUT", f"/my-bucket/{key}", content.encode())
    (tmp_path / "reports").mkdir()
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 9
    known: dict[str, Any] = {}
    for example in examples:
        example = example.replace("/Users/john", str(tmp_path / "john")).replace("ftpsync.s3", module)
        exec(compile(example, str(DOCUMENT), "exec"), known)
    shown = capsys.readouterr().out
    assert "Hello, S3!" in shown and "{'a': 1}" in shown and "config.json" in shown and "two" in shown
    assert request(server, "GET", "/my-bucket/logs/app.log").decode() == "one\ntwo\n[NEW] one more line"
    assert request(server, "GET", "/my-bucket/reports/report.txt").decode() == "monthly report\n..."
    assert (tmp_path / ".cache" / "s3lync" / "my-bucket" / "data" / "deep" / "x.tmp").read_text() == "x"
    assert known["log_level"] == "INFO" and known["is_debug"] is False and known["region"] == "us-east-1"


def test_appending_keeps_what_others_have_written(server: Server) -> None:
    put(server, "log", "theirs\n")
    log = quiet("log")
    log.download()
    put(server, "log", "theirs\nnew\n")
    with log.open("a") as file:
        file.write("ours\n")
    assert get(server, "log") == "theirs\nnew\nours\n"

    def slowly() -> None:
        with log.open("a") as file:
            file.write("lost?\n")
            put(server, "log", "of somebody else")

    with pytest.raises(SyncError, match="changed"):
        slowly()
    assert get(server, "log") == "of somebody else"
    with quiet("fresh").open("a") as file:
        file.write("begun")
    assert get(server, "fresh") == "begun"


def test_an_exception_while_writing_changes_nothing(server: Server, tmp_path: Path) -> None:
    put(server, "file", "old")
    target = quiet("file", tmp_path / "copy")
    target.download()

    def fails(mode: str) -> None:
        with target.open(mode) as file:
            file.write("half")
            raise ZeroDivisionError

    for mode in ("w", "a", "r+"):
        with pytest.raises(ZeroDivisionError):
            fails(mode)
    assert get(server, "file") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert (tmp_path / "copy").read_text() == "old"


def test_a_folder_comes_down_into_the_usual_place(server: Server, tmp_path: Path) -> None:
    for key in ("tree/a", "tree/deep/b", "tree/.hidden", "tree/deep/__pycache__/c", "treetop"):
        put(server, key, key)
    tree = quiet("tree")
    place = Path(tree.download())
    assert place == tmp_path / ".cache" / "s3lync" / s3.BUCKET / "tree"
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()) == [
        "a",
        "deep/b",
    ]
    tree.clear_excludes().download()
    assert (place / ".hidden").exists()
    assert tree.exists() and not quiet("nothing").exists()


def test_a_mirror_removes_what_is_only_here_but_nothing_that_is_excluded(
    server: Server, tmp_path: Path
) -> None:
    for key in ("tree/a", "tree/b"):
        put(server, key, key)
    (tmp_path / "local" / "empty").mkdir(parents=True)
    for name in ("gone", ".kept", "a"):
        (tmp_path / "local" / name).write_text("here")
    quiet("tree", tmp_path / "local").download(mirror=True)
    names = sorted(path.name for path in (tmp_path / "local").iterdir())
    assert names == [".kept", "a", "b"]
    assert (tmp_path / "local" / "a").read_text() == "tree/a"
    put(server, "tree/.theirs", "x")
    put(server, "tree/theirs", "x")
    quiet("tree", tmp_path / "local").upload(True, "", True)
    assert keys(server) == ["tree/.theirs", "tree/a", "tree/b"]


def test_a_mirror_deletes_no_objects_of_folders_that_were_not_read(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    for name in ("a", "closed/b", "linked/deep/c", ".hidden/d"):
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_text("x")
    tree = quiet("tree", local, excludes=[r"/\.hidden$"])
    tree.upload()
    sent = ["tree/.hidden/d", "tree/a", "tree/closed/b", "tree/linked/deep/c"]
    assert keys(server) == sent
    (local / "linked").rename(tmp_path / "elsewhere")
    (local / "linked").symlink_to(tmp_path / "elsewhere")
    readable = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name in unreadable:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return readable(path)

    monkeypatch.setattr(os, "scandir", scandir)
    unreadable = {"closed", ".hidden"}
    with pytest.raises(SyncError, match="closed"):
        tree.upload(mirror=True)
    assert keys(server) == sent
    unreadable = {".hidden"}
    tree.upload(mirror=True)
    assert keys(server) == sent


def test_a_mistyped_key_or_an_empty_folder_removes_nothing(server: Server, tmp_path: Path) -> None:
    put(server, "tree/a", "x")
    (tmp_path / "local").mkdir()
    with pytest.raises(SyncError, match="holds no file"):
        quiet("tree", tmp_path / "local").upload(mirror=True)
    assert keys(server) == ["tree/a"]
    (tmp_path / "local" / "precious").write_text("x")
    for key in ("tre", "tree/a/b", "tree/b"):
        with pytest.raises(MissingObjectError):
            quiet(key, tmp_path / "local").download(mirror=True)
    assert (tmp_path / "local" / "precious").exists()
    with pytest.raises(S3ObjectError):
        quiet("tree", tmp_path / "missing").upload()


def test_only_what_has_changed_travels(server: Server, tmp_path: Path) -> None:
    for number in range(20):
        put(server, f"tree/{number}", str(number))
    tree = quiet("tree", tmp_path / "local")
    tree.download()
    before = server.output().count(" HTTP/1.1")
    tree.download()
    tree.upload()
    # One question whether the key is a file, and one listing; the upload needs the listing only.
    assert server.output().count(" HTTP/1.1") - before == 3
    (tmp_path / "local" / "7").write_text("x")
    tree.download()
    assert (tmp_path / "local" / "7").read_text() == "7"


def test_objects_in_parts_are_compared(server: Server, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    (tmp_path / "large").write_bytes(content)
    large = quiet("large", tmp_path / "large")
    large.upload()
    head = large._native.find("large")
    assert head is not None and head[2].endswith("-2")
    changed = bytearray(content)
    changed[9_000_000] ^= 1
    (tmp_path / "large").write_bytes(changed)
    large.download()
    assert (tmp_path / "large").read_bytes() == content
    before = server.output().count("PUT /")
    large.upload()
    assert server.output().count("PUT /") == before


def test_what_arrives_damaged_replaces_nothing(server: Server, tmp_path: Path) -> None:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client("s3")
    # It promises another content than it has.
    wrong = {"md5chksum": "AAAAAAAAAAAAAAAAAAAAAA=="}
    upload = {"Bucket": s3.BUCKET, "Key": "file"}
    upload["UploadId"] = client.create_multipart_upload(**upload, Metadata=wrong)["UploadId"]
    part = client.upload_part(**upload, PartNumber=1, Body=b"damaged")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**upload, MultipartUpload=parts)
    (tmp_path / "copy").write_text("good")
    target = quiet("file", tmp_path / "copy", boto3_client=client)
    with pytest.raises(HashMismatchError):
        target.download()
    assert (tmp_path / "copy").read_text() == "good"
    target.download(check_hash=False)
    assert (tmp_path / "copy").read_text() == "damaged"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/../../etc/passwd",
        "s3://bucket/a//b",
        "s3://bucket/./a",
        "s3://bucket",
        "s3://bucket/",
        "s3:///key",
        "http://bucket/key",
        "s3://secret:access@endpoint/bucket/a/../../b",
        "s3://se/secret:access@endpoint/bucket/a",
        "s3://se/c/secret:access@https://endpoint/bucket/a",
    ],
)
def test_keys_that_lead_elsewhere_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"key") as refusal:
        S3Object(uri)
    assert "secret" not in str(refusal.value).replace("secret_key", "")


def test_a_folder_does_not_get_the_content_of_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    folder = quiet("folder/", tmp_path / "file")
    with pytest.raises(S3ObjectError, match="is a folder"):
        folder.upload()
    with pytest.raises(S3ObjectError, match="is a folder"), folder.open("w") as file:
        file.write("y")
    assert keys(server) == []
    assert (tmp_path / "file").read_text() == "x"


def test_the_keys_of_a_client_are_taken_anew_for_each_step(server: Server, tmp_path: Path) -> None:
    current = ["first"]

    class Renewing:
        """A client whose keys end."""

        def __init__(self) -> None:
            self.meta = self
            self.endpoint_url, self.region_name = s3.endpoint(server), "us-east-1"

        def get_credentials(self) -> Renewing:
            return self

        def get_frozen_credentials(self) -> Renewing:
            return self

        @property
        def access_key(self) -> str:
            return current[0]

        secret_key, token = "x", None

    target = quiet("file", tmp_path / "file", boto3_client=Renewing())
    assert not target.exists()
    first = target._native
    assert target._native is first
    current[0] = "second"
    assert target._native is not first
    assert not target.exists()


@pytest.mark.parametrize(
    ("endpoint", "is_usual"),
    [
        ("https://s3.amazonaws.com", True),
        ("https://s3.eu-west-1.amazonaws.com/", True),
        ("https://s3-us-gov-west-1.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", False),
        ("https://s3-fips.us-gov-west-1.amazonaws.com", False),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", False),
        ("https://s3.example.com", False),
    ],
)
def test_only_the_usual_endpoints_of_regions_go_without_saying(endpoint: str, is_usual: bool) -> None:
    assert _is_aws(endpoint) == is_usual


def test_keys_that_cannot_be_files_stop_a_download_before_anything_is_written(
    server: Server, tmp_path: Path
) -> None:
    put(server, "tree/good", "x")
    put(server, "tree/deep//bad", "x")
    with pytest.raises(SyncError, match="exclude it"):
        quiet("tree", tmp_path / "local").download()
    assert not (tmp_path / "local" / "good").exists()
    quiet("tree", tmp_path / "local").download(excludes="//")
    assert (tmp_path / "local" / "good").exists()


def test_every_form_of_uri_finds_the_object_and_hides_the_keys(server: Server, tmp_path: Path) -> None:
    put(server, "a/b", "x")
    endpoint = s3.endpoint(server)
    for uri in (
        f"{URI}/a/b",
        f"s3://{endpoint}/{s3.BUCKET}/a/b",
        f"s3://hidden:access@{endpoint}/{s3.BUCKET}/a/b",
    ):
        target = S3Object(uri, str(tmp_path / "copy"), progress_mode="disabled")
        target.download(mirror=True)
        assert (target.bucket, target.key) == (s3.BUCKET, "a/b")
        assert "hidden" not in repr(target) + str(target) + target.s3_uri + target.upload()
        assert S3Object(target.s3_uri).key == "a/b"
    assert S3Object("s3://minio.example@bucket/key").s3_uri == "s3://https://minio.example/bucket/key"
    assert os.fspath(target) == target.local_path == str(tmp_path / "copy")


def test_older_parameters_are_understood(server: Server, tmp_path: Path) -> None:
    put(server, "tree/a", "x")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "gone").write_text("x")
    tree = S3Object(f"{URI}/tree", str(tmp_path / "local"), "us-east-1", progress_mode="disabled")
    tree.download(True, True)
    assert not (tmp_path / "local" / "gone").exists()
    assert S3Object(f"{URI}/tree", region_name="us-east-1").exists()
    (tmp_path / "local" / "x.tmp").write_text("x")
    assert tree.upload(check_hash=True, exclude_pattern=r".*\.tmp$", force_sync=False) == f"{URI}/tree"
    assert keys(server) == ["tree/a"]
    assert tree.delete() is True and tree.delete() is False and keys(server) == []
    with pytest.raises(ValueError, match="progress_mode"):
        S3Object(f"{URI}/tree", progress_mode="loud")


def test_coroutines_do_the_same(server: Server, tmp_path: Path) -> None:
    async def work() -> str:
        target = AsyncS3Object(f"{URI}/note", str(tmp_path / "note"), progress_mode="disabled")
        async with target.open("w") as file:
            file.write("from a coroutine")
        with pytest.raises(ZeroDivisionError):
            async with target.open("w") as file:
                raise ZeroDivisionError
        assert await target.exists() and await target.upload() == f"{URI}/note"
        (tmp_path / "note").unlink()
        path = await target.download()
        assert await target.delete()
        return path

    assert Path(asyncio.run(work())).read_text() == "from a coroutine"
    assert keys(server) == []


def test_problems_are_told_by_the_exceptions_of_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SyncError, match="could not connect to"):
        quiet("file", tmp_path / "x").download()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(SyncError, match="AWS_ACCESS_KEY_ID"):
        quiet("file", tmp_path / "x").exists()


def test_progress_is_told_in_one_line_where_there_is_no_terminal(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(server, "tree/a", "x" * 2048)
    S3Object(f"{URI}/tree", str(tmp_path / "local")).download()
    assert capsys.readouterr().out == "tree: 100% (2.0 KiB/2.0 KiB)\n"
    with ProgressBar(10, "work", "disabled") as bar:
        bar.update(10)
    assert capsys.readouterr().out == ""


def test_settings_come_from_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setattr(Config, "_region", None)
    assert Config.get_aws_region() is None
    Config.set_aws_region("eu-west-1")
    assert Config.get_aws_region() == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("S3LYNC_DEBUG", "Yes")
    monkeypatch.setenv("S3LYNC_LOG_LEVEL", "DEBUG")
    assert (Config.get_aws_region(), Config.is_debug_enabled(), Config.get_log_level()) == (
        "eu-north-1",
        True,
        "DEBUG",
    )


def test_functions_are_tried_again_when_that_may_help() -> None:
    calls: list[int] = []

    @retry(max_attempts=3, base_delay=0)
    def fails() -> None:
        calls.append(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fails()
    assert len(calls) == 3
