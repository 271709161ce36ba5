"""An object of S3, or all objects below a key, used like a local file or folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from ftpsync import _s3_uri
from ftpsync._proxy import proxy_for
from ftpsync._s3_config import Config, get_logger
from ftpsync._s3_errors import MissingObjectError, S3lyncError, S3ObjectError, SyncError
from ftpsync._s3_progress import ProgressBar, mode_of
from ftpsync._s3_sync import (
    Excludes,
    Listed,
    below,
    is_same,
    local_files,
    raise_first,
    remove_others,
)

__all__ = ["S3Object"]

#: Hidden files, and what Python leaves behind.
_USUAL_EXCLUDES: Final = (r"/\.", r"__pycache__", r"\.egg-info")

#: How temporary files begin; the same as in runs, which clear away old ones.
_TEMP_PREFIX: Final = ".pyftpsync-tmp-"

#: Access key, secret key and token.
_Keys: TypeAlias = tuple[str | None, str | None, str | None]

_logger = get_logger("core")


class S3Object:
    """An object of S3, or all objects below a key, with a local copy.

    Args:
        s3_uri: `s3://bucket/key`; an endpoint and keys may be part of it (see `ftpsync.s3`).
        local_path: Where the local copy is; None for a place among the caches of the user.
        boto3_client: A client of boto3 whose keys, region and endpoint are used, or a region, as older scripts
            have it.
        excludes: Regular expressions for what takes no part, instead of hidden files and what Python leaves behind.
        progress_mode: `progress`, `compact` or `disabled`; None for what `Config` says.
        region_name: The region of the bucket.

    Raises:
        ValueError: The URI cannot be one, or its key would lead elsewhere.
    """

    def __init__(
        self,
        s3_uri: str,
        local_path: str | os.PathLike[str] | None = None,
        boto3_client: Any = None,
        excludes: str | list[str] | None = None,
        progress_mode: str | None = None,
        *,
        region_name: str | None = None,
    ) -> None:
        if isinstance(boto3_client, str):
            boto3_client, region_name = None, boto3_client
        self._uri = _s3_uri.parse(s3_uri)
        self.s3_uri = str(self._uri)
        self.bucket, self.key = self._uri.bucket, self._uri.key
        self.progress_mode = mode_of(progress_mode or Config.get_progress_mode())
        if local_path:
            self._local_path = os.path.normpath(os.path.expanduser(os.fspath(local_path)))
        else:
            self._local_path = str(_s3_uri.cache_dir() / self.bucket / self.key.rstrip("/"))
        self._excludes = _as_list(excludes) or list(_USUAL_EXCLUDES)
        self._region_name = region_name
        self._client = boto3_client
        self._keys = _keys_of(boto3_client)
        self._bucket = self._make_bucket()

    @property
    def _native(self) -> Any:
        """The bucket. A client may have got other keys since, as those of a role end."""
        keys = _keys_of(self._client)
        if keys != self._keys:
            self._keys = keys
            self._bucket = self._make_bucket()
        return self._bucket

    def _make_bucket(self) -> Any:
        return _target(self._uri, self._client, self._keys, self._region_name).bucket()

    @property
    def local_path(self) -> str:
        """The local copy: a file, or a folder."""
        return self._local_path

    # --- Whole transfers ---

    def download(
        self,
        use_checksum: bool = True,
        excludes: str | list[str] | bool | None = None,
        progress_mode: str | None = None,
        mirror: bool = False,
        *,
        check_hash: bool | None = None,
        exclude_pattern: str | list[str] | None = None,
        force_sync: bool | None = None,
    ) -> str:
        """Brings the local copy up to date; returns its path.

        Args:
            use_checksum: Compare contents by checksum, and check what has arrived. Without, sizes decide.
            excludes: Further regular expressions for what takes no part.
            progress_mode: How progress is shown this time.
            mirror: Fetch everything, and remove local files that are no objects. What is excluded stays.
            check_hash: `use_checksum` by its older name.
            exclude_pattern: `excludes` by its older name.
            force_sync: `mirror` by its older name.

        Raises:
            MissingObjectError: There is no such object, and none below it. Nothing was removed.
            HashMismatchError: What has arrived does not add up; the old file is still there.
            SyncError: A transfer has failed.
        """
        if isinstance(excludes, bool):  # `download(check_hash, force_sync)`, as older scripts call it.
            mirror, excludes = excludes, None
        use_checksum = use_checksum if check_hash is None else check_hash
        mirror = mirror if force_sync is None else force_sync
        rules = self._rules(excludes, exclude_pattern)
        with _worded("download"):
            itself = self._itself()
            if itself is not None:
                self._fetch_one(itself, use_checksum=use_checksum, mirror=mirror, progress_mode=progress_mode)
            else:
                self._fetch_all(rules, use_checksum, mirror, progress_mode)
        return self._local_path

    def upload(
        self,
        use_checksum: bool = True,
        excludes: str | list[str] | None = None,
        progress_mode: str | bool | None = None,
        mirror: bool = False,
        *,
        check_hash: bool | None = None,
        exclude_pattern: str | list[str] | None = None,
        force_sync: bool | None = None,
    ) -> str:
        """Brings the object up to date, or the objects below the key; returns the URI, without keys.

        Args:
            use_checksum: Compare contents by checksum. Without, sizes decide.
            excludes: Further regular expressions for what takes no part.
            progress_mode: How progress is shown this time.
            mirror: Send everything, and delete objects that are no local files. What is excluded stays, and what lies
                below a link to a folder, since that is not followed.
            check_hash: `use_checksum` by its older name.
            exclude_pattern: `excludes` by its older name.
            force_sync: `mirror` by its older name.

        Raises:
            S3ObjectError: There is no local file or folder; or the key is that of a folder, and there is a file.
            SyncError: A transfer has failed; a local folder cannot be read; or the local folder is empty, and all
                objects would be deleted.
        """
        if isinstance(progress_mode, bool):  # `upload(check_hash, exclude_pattern, force_sync)`.
            mirror, progress_mode = progress_mode, None
        use_checksum = use_checksum if check_hash is None else check_hash
        mirror = mirror if force_sync is None else force_sync
        local = Path(self._local_path)
        if not local.exists():
            raise S3ObjectError(f"there is no local file or folder {self._local_path!r}")
        rules = self._rules(excludes, exclude_pattern)
        with _worded("upload"):
            if local.is_file():
                self._must_be_file()
                listed = None if mirror else self._itself()
                is_current = listed is not None and is_same(
                    self._native, local, listed, use_checksum=use_checksum
                )
                if mirror or not is_current:
                    self._store(
                        [(local.name, self.key, None)], local.parent, local.stat().st_size, progress_mode
                    )
            else:
                self._store_all(local, rules, use_checksum, mirror, progress_mode)
        return self.s3_uri

    def _rules(self, *more: str | list[str] | None) -> Excludes:
        patterns = [*self._excludes]
        for each in more:
            patterns += _as_list(each)
        return Excludes(patterns)

    @property
    def _prefix(self) -> str:
        """What the keys of a folder begin with."""
        return self.key.rstrip("/") + "/"

    def _itself(self) -> Listed | None:
        """Returns the object of this very key, if there is one."""
        found = None if self.key.endswith("/") else self._native.find(self.key)
        return None if found is None else Listed(self.key, found[0], found[2])

    def _inside(self) -> list[Listed]:
        """Returns the objects below the key; a thousand for each question."""
        return [Listed(key, size, etag) for key, size, _, etag in self._native.list(self._prefix)]

    def _must_be_file(self) -> None:
        if self.key.endswith("/"):
            raise S3ObjectError(f"{self.s3_uri} is a folder, and cannot hold the content of a file")

    def _missing(self) -> MissingObjectError:
        return MissingObjectError(f"there is no object {self.s3_uri}, and none below it")

    def _fetch_one(
        self, listed: Listed, *, use_checksum: bool, mirror: bool, progress_mode: str | None
    ) -> None:
        local = Path(self._local_path)
        if local.is_dir():
            raise SyncError(f"{self._local_path!r} is a folder, and {self.s3_uri} is not")
        if not mirror and is_same(self._native, local, listed, use_checksum=use_checksum):
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        self._fetch([(listed.key, local.name)], local.parent, listed.size, use_checksum, progress_mode)

    def _fetch_all(
        self,
        rules: Excludes,
        use_checksum: bool,
        mirror: bool,
        progress_mode: str | None,
    ) -> None:
        listed = self._inside()
        if not listed:
            raise self._missing()
        local = Path(self._local_path)
        if local.is_file():
            raise SyncError(f"{self._local_path!r} is a file, and {self.s3_uri} is a folder")
        wanted = dict(below(self._prefix, listed, rules))
        local.mkdir(parents=True, exist_ok=True)
        jobs = [
            (each.key, path)
            for path, each in wanted.items()
            if mirror or not is_same(self._native, local / path, each, use_checksum=use_checksum)
        ]
        size = sum(wanted[path].size for _, path in jobs)
        _logger.info("download: %d of %d files, %d bytes", len(jobs), len(wanted), size)
        self._fetch(jobs, local, size, use_checksum, progress_mode)
        if mirror:
            # Last, and only if all of it has arrived.
            remove_others(local, wanted, rules)

    def _store_all(
        self, local: Path, rules: Excludes, use_checksum: bool, mirror: bool, progress_mode: str | None
    ) -> None:
        found = local_files(local, rules)
        files = found.sizes
        listed = dict(self._remote_files(rules))
        if mirror and listed and not files:
            raise SyncError(f"{self._local_path!r} holds no file; delete() removes all objects")
        jobs: list[tuple[str, str, str | None]] = [
            (path, f"{self._prefix}{path}", None)
            for path in files
            if mirror
            or path not in listed
            or not is_same(self._native, local / path, listed[path], use_checksum=use_checksum)
        ]
        size = sum(files[path] for path, _, _ in jobs)
        _logger.info("upload: %d of %d files, %d bytes", len(jobs), len(files), size)
        self._store(jobs, local, size, progress_mode)
        if mirror:
            self._remove([each.key for path, each in listed.items() if not found.may_hold(path)])

    def _remote_files(self, rules: Excludes) -> Iterator[tuple[str, Listed]]:
        """Yields what an upload is compared with. Keys that cannot be local paths are nobody's business here."""
        for each in self._inside():
            with contextlib.suppress(SyncError):
                yield from below(self._prefix, [each], rules)

    # --- Single steps ---

    def _fetch(
        self, jobs: list[tuple[str, str]], root: Path, size: int, use_checksum: bool, mode: str | None
    ) -> None:
        with self._progress(jobs, size, mode) as bar:
            outcomes = self._native.fetch(
                root, jobs, check=use_checksum, workers=_workers(), progress=bar.update
            )
        raise_first("download", outcomes)

    def _store(
        self, jobs: list[tuple[str, str, str | None]], root: Path, size: int, mode: str | bool | None
    ) -> None:
        with self._progress(jobs, size, mode) as bar:
            outcomes = self._native.store(root, jobs, workers=_workers(), progress=bar.update)
        raise_first("upload", outcomes)

    def _progress(self, jobs: list[Any], size: int, mode: str | bool | None) -> ProgressBar:
        shown = mode_of(mode if isinstance(mode, str) else self.progress_mode)
        name = self.key.rstrip("/").rpartition("/")[2]
        return ProgressBar(size, name, shown if jobs else "disabled")

    def _remove(self, keys: list[str]) -> None:
        for key, error in self._native.remove(keys):
            raise SyncError(f"could not delete {key!r}: {error}") from error

    # --- Like a file ---

    @contextmanager
    def open(self, mode: str = "r", encoding: str | None = "utf-8") -> Iterator[IO[Any]]:
        """Opens the object as a file.

        To read, it is downloaded first. What is written goes to a temporary file; at the end of the block that
        becomes the local copy and is uploaded. After an exception inside the block neither of them is touched. With
        `a` and `+` the object is fetched first, and not replaced if somebody has changed it meanwhile.

        Args:
            mode: As for the built-in function.
            encoding: Of a text; of no meaning with `b`.

        Raises:
            MissingObjectError: There is no such object to read.
            S3ObjectError: What is to be written has the key of a folder.
            SyncError: A transfer has failed, or somebody has changed the object meanwhile.
        """
        text = {} if "b" in mode else {"encoding": encoding}
        if not set(mode) & set("wax+"):
            self.download()
            with open(self._local_path, mode, **text) as file:  # type: ignore[call-overload]
                yield file
            return
        self._must_be_file()
        local = Path(self._local_path)
        expected = self._fetch_for(mode)
        local.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._temporary(local, copies="w" not in mode and "x" not in mode)
        try:
            with open(temporary, mode.replace("x", "w"), **text) as file:  # type: ignore[call-overload]
                yield file
            os.replace(temporary, local)
        finally:
            temporary.unlink(missing_ok=True)
        with _worded("upload"):
            self._store([(local.name, self.key, expected)], local.parent, local.stat().st_size, None)

    def _fetch_for(self, mode: str) -> str | None:
        """Fetches what is about to be changed; returns what must be there when it is replaced (see `Bucket.store`)."""
        if "w" in mode:
            return None
        with _worded("download"):
            found = self._native.find(self.key)
            if "x" in mode:
                if found is not None:
                    raise SyncError(f"{self.s3_uri} exists already")
                return ""
            if found is None:
                if "a" not in mode:
                    raise self._missing()
                return ""
            listed = Listed(self.key, found[0], found[2])
            self._fetch_one(listed, use_checksum=True, mirror=False, progress_mode=None)
            return str(found[2]) or None

    @staticmethod
    def _temporary(local: Path, *, copies: bool) -> Path:
        handle, name = tempfile.mkstemp(prefix=_TEMP_PREFIX, dir=local.parent)
        os.close(handle)
        temporary = Path(name)
        if copies and local.exists():
            shutil.copy(local, temporary)
        elif local.exists():
            shutil.copymode(local, temporary)
        else:
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
        return temporary

    def exists(self) -> bool:
        """Tells whether there is such an object, or one below the key.

        Raises:
            S3lyncError: The server cannot be asked.
        """
        with _worded("look for it"):
            return self._itself() is not None or bool(self._native.list(self._prefix, 1))

    def delete(self) -> bool:
        """Deletes the object, or all objects below the key; returns whether there was any.

        Raises:
            SyncError: The server keeps one of them.
        """
        with _worded("delete"):
            is_file = self._itself() is not None
            keys = [self.key] if is_file else [each.key for each in self._inside()]
            self._remove(keys)
        return bool(keys)

    # --- Excludes ---

    def add_exclude(self, pattern: str) -> S3Object:
        """Adds a regular expression for what takes no part."""
        return self.add_excludes([pattern])

    def add_excludes(self, patterns: list[str]) -> S3Object:
        """Adds regular expressions for what takes no part."""
        self._excludes += [pattern for pattern in dict.fromkeys(patterns) if pattern not in self._excludes]
        return self

    def remove_exclude(self, pattern: str) -> S3Object:
        """Takes a regular expression back."""
        self._excludes = [known for known in self._excludes if known != pattern]
        return self

    def clear_excludes(self) -> S3Object:
        """Lets everything take part."""
        self._excludes = []
        return self

    def get_excludes(self) -> list[str]:
        """Returns the regular expressions for what takes no part."""
        return list(self._excludes)

    def __fspath__(self) -> str:
        return self._local_path

    def __str__(self) -> str:
        return self.s3_uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}(s3_uri={self.s3_uri!r}, local_path={self._local_path!r})"


def _as_list(patterns: str | list[str] | None) -> list[str]:
    if not patterns:
        return []
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _workers() -> int:
    """Returns how many files travel at a time: `S3LYNC_MAX_WORKERS`, or 8."""
    try:
        return max(1, int(os.environ.get("S3LYNC_MAX_WORKERS") or 8))
    except ValueError:
        return 8


@contextmanager
def _worded(what: str) -> Iterator[None]:
    """Turns what the core raises into an exception of this module."""
    try:
        yield
    except (S3lyncError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise SyncError(f"{what} failed: {error}") from error


def _target(uri: _s3_uri.ObjectUri, client: Any, keys: _Keys, region: str | None) -> Any:
    """Makes the native target for a bucket."""
    from ftpsync._server_target import native_maker

    options: dict[str, Any] = {}
    user, password = uri.access_key, uri.secret_key
    region = region or Config.get_aws_region()
    endpoint = uri.endpoint_url
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if client is not None:
        user, password, token = keys
        endpoint = endpoint or client.meta.endpoint_url
        region = region or client.meta.region_name
        if token:
            options["token"] = token
    if endpoint is not None and not _is_aws(endpoint):
        options["endpoint_url"] = endpoint
    if region:
        options["region"] = region
    host = (endpoint or "").partition("://")[2].partition("/")[0].partition(":")[0]
    options["proxy"] = proxy_for(host or "s3.amazonaws.com", None)
    home = os.path.expanduser("~")
    return native_maker("s3")(
        bucket=uri.bucket,
        root="",
        query="",
        user=user,
        password=password,
        options=options,
        variables=variables,
        home=None if home == "~" else home,
    )


def _keys_of(client: Any) -> _Keys:
    """Returns access key, secret key and token of a client of boto3, or of a session. It renews them if it is time."""
    if client is None:
        return None, None, None
    credentials = getattr(client, "_get_credentials", None) or getattr(client, "get_credentials", None)
    found = credentials() if credentials is not None else client._request_signer._credentials
    if found is None:
        return None, None, None
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


def _is_aws(endpoint: str) -> bool:
    """Tells whether an endpoint is the usual one of a region. Others of AWS (VPC, FIPS, IPv6) are meant as they are."""
    usual = r"https?://s3([.-][a-z]+(-[a-z]+)+-\d+)?\.amazonaws\.com(\.cn)?/?"
    return re.fullmatch(usual, endpoint) is not None
