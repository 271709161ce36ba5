"""Plays scenarios with the names of s3lync and prints what they come to: ``s3lync_script.py MODULE FOLDER NAME...``."""

import importlib
import json
import os
import re
import sys
import urllib.request
from pathlib import Path

BUCKET = "scenarios"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
module = None
folder = Path()


def request(method, path, body=None):
    headers = {"Authorization": SIGNED, "Content-Type": "application/octet-stream"}
    url = os.environ["AWS_ENDPOINT_URL"] + path
    question = urllib.request.Request(url, method=method, data=body, headers=headers)
    with urllib.request.urlopen(question, timeout=10) as answer:
        return answer.read()


def put(*keys):
    for key in keys:
        request("PUT", f"/{BUCKET}/{key}", f"content of {key}".encode())


def remote():
    keys = re.findall("<Key>(.*?)</Key>", request("GET", f"/{BUCKET}?list-type=2").decode())
    return {key: request("GET", f"/{BUCKET}/{key}").decode() for key in keys}


def write(**files):
    for name, content in files.items():
        path = folder / "local" / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def local():
    files = (path for path in (folder / "local").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def thing(key, name="local", **options):
    return module.S3Object(f"s3://{BUCKET}/{key}", str(folder / name), progress_mode="disabled", **options)


def outcome(work):
    """What a call returns, or the name of what it raises."""
    try:
        return work()
    except Exception as error:
        return f"raised {type(error).__name__}"


def a_file_goes_up_and_comes_down():
    write(file="up")
    file = thing("dir/file", "local/file")
    results = [file.exists(), file.upload(), file.exists(), remote()]
    (folder / "local" / "file").unlink()
    return [*results, file.download() == file.local_path, local()]


def a_folder_goes_up_without_what_is_excluded():
    write(a="1", deep__b="2", deep__c_tmp="3", _hidden="4")
    return [thing("tree").upload(excludes=r".*\.tmp$"), remote()]


def a_folder_comes_down():
    put("tree/a", "tree/deep/b", "tree/deep/er/c", "tree/.hidden", "treetop")
    thing("tree").download()
    return local()


def only_changes_travel():
    put("tree/a", "tree/b")
    tree = thing("tree")
    tree.download()
    write(a="changed here", c="new here")
    tree.upload()
    after = remote()
    put("tree/b", "tree/d")
    tree.download()
    return [after, local(), remote()]


def a_mirror_down():
    put("tree/a", "tree/deep/b")
    write(a="other", gone="x", old__gone="x")
    thing("tree").download(mirror=True)
    return local()


def a_mirror_up():
    put("tree/a", "tree/gone", "tree/old/gone", "treetop")
    write(a="other", deep__b="x")
    thing("tree").upload(mirror=True)
    return remote()


def files_are_opened():
    file = thing("dir/file", "local/file")
    with file.open("w") as stream:
        stream.write("grün\n")
    with file.open() as stream:
        read = stream.read()
    with file.open("rb") as stream:
        raw = stream.read().decode("utf-8")
    with file.open("wb") as stream:
        stream.write(b"bytes")
    with open(file) as stream:
        plain = stream.read()
    with file.open("r+") as stream:
        stream.seek(2)
        stream.write("T")
    return [read, raw, plain, remote(), local()]


def objects_are_deleted():
    put("tree/a", "tree/deep/b", "treetop", "file")
    results = [
        thing("file").delete(),
        thing("tree").delete(),
        thing("tree").exists(),
        thing("treetop").exists(),
    ]
    return [results, remote()]


def excludes_are_listed():
    tree = thing("tree", excludes=["x"])
    usual = thing("tree").get_excludes()
    added = tree.add_exclude("y").add_excludes(["z", "x"]).get_excludes()
    removed = tree.remove_exclude("y").remove_exclude("nothing").get_excludes()
    return [usual, added, removed, tree.clear_excludes().get_excludes()]


def mistakes_are_told():
    uris = ["http://x/y", "s3://bucket", "s3://bucket/", "s3:///key", "s3://a:b@endpoint/bucket"]
    refused = [outcome(lambda uri=uri: module.S3Object(uri)) for uri in uris]
    missing = outcome(lambda: thing("tree", "nowhere").upload())
    mode = outcome(lambda: module.ProgressBar(1, mode="loud"))
    names = [
        getattr(module, name).__mro__[1].__name__
        for name in ("HashMismatchError", "SyncError", "S3ObjectError")
    ]
    return [refused, missing, mode, names]


def places_and_words():
    file = module.S3Object(f"s3://{BUCKET}/a/b.txt")
    place = Path(file.local_path).relative_to(os.environ["XDG_CACHE_HOME"]).as_posix()
    found = module.S3Object("s3://https://host:1/b/k/l")
    parts = [found.bucket, found.key]
    return [
        place,
        str(file),
        file.bucket,
        file.key,
        file.progress_mode,
        os.fspath(file) == file.local_path,
        parts,
    ]


def main():
    global module, folder
    name, place, *scenarios = sys.argv[1:]
    module = importlib.import_module(name)
    results = {}
    for scenario in scenarios:
        request("POST", "/moto-api/reset")
        request("PUT", f"/{BUCKET}")
        folder = Path(place) / scenario
        (folder / "local").mkdir(parents=True)
        os.chdir(folder)
        results[scenario] = globals()[scenario]()
    print(json.dumps(results))


main()
