"""The URIs of objects, and where their local copies are kept."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ftpsync._s3_url import ADVICE, KEY_ID, SECRET

__all__ = ["ObjectUri", "cache_dir", "parse"]

_FORMS = (
    "expected s3://bucket/key, s3://https://endpoint/bucket/key, s3://endpoint@bucket/key or "
    "s3://secret_key:access_key@endpoint/bucket/key"
)

#: How keys may stand in front of an `@`. Those that AWS makes are known by their looks, in any order; the secret one
#: may hold slashes then.
_LOGINS = (
    re.compile(rf"(?P<access>{KEY_ID.pattern}):(?P<secret>[^@]+)@"),
    re.compile(rf"(?P<secret>.+?):(?P<access>{KEY_ID.pattern})@"),
    re.compile(rf"(?P<secret>{SECRET.pattern}|[^@:/]*):(?P<access>[^@/]*)@"),
)


@dataclass(frozen=True)
class ObjectUri:
    """What a URI says about an object."""

    bucket: str
    key: str
    access_key: str | None = None
    secret_key: str | None = None
    endpoint: str | None = None

    @property
    def endpoint_url(self) -> str | None:
        """The endpoint with its scheme."""
        if self.endpoint is None or "://" in self.endpoint:
            return self.endpoint
        return f"https://{self.endpoint}"

    def __str__(self) -> str:
        """Returns a URI that names the same object, without the keys."""
        if self.endpoint is None:
            return f"s3://{self.bucket}/{self.key}"
        return f"s3://{self.endpoint_url}/{self.bucket}/{self.key}"

    def __repr__(self) -> str:
        return f"ObjectUri({str(self)!r})"


def parse(uri: str) -> ObjectUri:
    """Reads a URI.

    Raises:
        ValueError: It is none, or its key would lead out of the folder for local copies.
    """
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        raise ValueError(f"not the URI of an object: {_FORMS}")
    access_key, secret_key, endpoint, after = _split_login(uri[len("s3://") :])
    bucket, _, key = after.partition("/")
    if not bucket or not key.strip("/"):
        # The text may hold a secret key.
        raise ValueError(f"bucket or key are missing in the URI of an object: {_FORMS}")
    if ":" in bucket or "@" in bucket or re.match(r"[^/@]*:[^/@]*@", key):
        raise ValueError(f"it is not clear where the keys end in the URI of an object: {_FORMS}; {ADVICE}")
    if (
        any(part in (".", "..") for part in key.split("/"))
        or "//" in key
        or key.startswith("/")
        or "\0" in key
    ):
        # A part of a secret key may have got into it.
        shown = "the key" if "@" in key else f"the key {key!r}"
        raise ValueError(f"{shown} cannot be the path of a local file")
    if bucket in (".", ".."):
        raise ValueError(f"{bucket!r} is not the name of a bucket")
    return ObjectUri(bucket, key, access_key or None, secret_key or None, endpoint or None)


def _split_login(rest: str) -> tuple[str | None, str | None, str | None, str]:
    """Splits access key, secret key and endpoint, as far as there are any, from bucket and key."""
    from urllib.parse import unquote

    login, at, after = rest.partition("@")
    if rest.startswith(("http://", "https://")):
        if at and "/" not in login.partition("://")[2]:
            return None, None, login, after
        return None, None, *_split_endpoint(rest)
    for form in _LOGINS:
        if found := form.match(rest):
            return unquote(found["access"]), unquote(found["secret"]), *_split_endpoint(rest[found.end() :])
    if at and "/" not in login:
        return None, None, login, after
    return None, None, None, rest


def _split_endpoint(text: str) -> tuple[str, str]:
    """Splits an endpoint, with or without scheme, from what comes after it."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    host, _, after = rest.partition("/")
    return f"{scheme}{mark}{host}", after


def cache_dir() -> Path:
    """Returns the folder for local copies: `s3lync` in `XDG_CACHE_HOME`, in `~/.cache`, or among temporary files."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "s3lync"
    home = os.environ.get("HOME")
    return Path(home) / ".cache" / "s3lync" if home else Path(tempfile.gettempdir()) / "s3lync"
