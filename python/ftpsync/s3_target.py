"""A folder of an S3 bucket, on AWS or a server that is like it.

The conversation with the server is native (`ftpsync._core`), signatures, regions and the search for credentials
included; this class tells the core what the environment says, and offers the verbs for use by hand.
"""

from __future__ import annotations

import os
import re
from typing import Any

from ftpsync._errors import harmless
from ftpsync._proxy import proxy_for
from ftpsync._s3_url import split_login
from ftpsync._server_target import ServerTarget, native_maker
from ftpsync.util import write

__all__ = ["S3Target"]

#: Options that the native target reads.
_NATIVE_OPTIONS = (
    "connect_timeout",
    "connections",
    "endpoint_url",
    "no_sign_request",
    "no_verify_tls",
    "profile",
    "region",
    "tls_ca",
    "tls_pin",
    "tls_verify",
)

#: What may follow the path of a URL.
_QUERY = re.compile(r"(?:.*&)?(?:endpoint_url|region|region_name|profile|addressing_style)=.*", re.DOTALL)


class S3Target(ServerTarget):
    """A folder of a bucket.

    Args:
        path: What the keys begin with; empty or `/` for the whole bucket.
        bucket: Its name.
        username: An access key; None for what the environment, the shared files of AWS, the container or the
            machine offer.
        password: The secret key that belongs to it.
        timeout: Seconds; None for the option `timeout`, else `socket.getdefaulttimeout()`.
        extra_opts: Options of this target alone.
        query: What followed the path in a URL: `endpoint_url=...&region=...&profile=...`.

    Attributes:
        bucket, query: As given.
        username, password, timeout: As given; may be set until `open()`.
        lock_data, lock_write_time: The lock file that a run holds in the folder, if any.
        ftp_socket_connected: A session with the server is open.
    """

    _SECRET = "secret key"
    _SAFER = "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws/credentials"

    def __init__(
        self,
        path: str | None,
        bucket: str,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
        extra_opts: dict[str, Any] | None = None,
        query: str = "",
    ) -> None:
        if not isinstance(bucket, str) or not bucket:
            raise ValueError(f"expected s3://bucket/path, but the bucket is {bucket!r}")
        path = "/" + (path or "").strip("/")
        super().__init__(path, bucket, extra_opts)
        self.bucket = bucket
        self.username = username
        self.password = password
        self.timeout = timeout
        self.query = query
        self.encoding = "utf-8"

    @classmethod
    def from_url(cls, url: str, extra_opts: dict[str, Any] | None = None) -> S3Target:
        """Makes a target from `s3://bucket/path?endpoint_url=...&region=...&profile=...`.

        Access key and secret key may stand in front of the bucket, as `key:secret@`, percent-encoded; slashes in the
        secret may stay as they are.

        Raises:
            ValueError: There is no bucket in it, or it is not clear where the keys end.
        """
        scheme, _, rest = url.strip().partition("://")
        user, password, place = split_login(rest if scheme.lower() == "s3" else "")
        has_login = place != rest
        path, mark, query = place.rpartition("?")
        if not mark or not _QUERY.fullmatch(query):
            # A question mark may be part of a name. What is unknown beside something known is told by the core.
            path, query = place, ""
        bucket, _, path = path.partition("/")
        return cls(
            path,
            bucket,
            username=user if has_login else None,
            password=password if has_login else None,
            extra_opts=extra_opts,
            query=query,
        )

    def _uses_tls(self) -> bool:
        return True

    def _asked_host(self) -> str:
        return self._endpoint_host(self.get_options_dict())

    def get_base_name(self) -> str:
        """Returns the URL without keys and endpoint."""
        return f"s3://{self.bucket}{self.root_dir.rstrip('/')}"

    # --- Life ---

    def open(self) -> None:
        """Looks whether the folder is there, which needs credentials.

        Raises:
            CliSilentRuntimeError: Nothing is there.
            PermissionError: There are no credentials, or they do not suffice.
            ValueError: The options cannot be.
            OSError: The server could not be reached, or refused something.
        """
        super().open()
        try:
            self._prepare()
            self._look_who_sees_the_password()
            self._session = self._enter()
            self.ftp_socket_connected = True
            self.cur_dir = self.root_dir
            for level, line in self._with_warning(self._session.greeting):
                if self._verbose() >= level:
                    write(harmless(line))
            self._have_it_locked()
        except BaseException:
            self.close()
            raise

    def _enter(self) -> Any:
        create_folder = False
        if self._verbose() >= 4:
            write(f"Connecting to {self.get_base_name()}")
        while True:
            self._native = self._make_native(create_folder=create_folder)
            try:
                return self._native.open()
            except FileNotFoundError as exc:
                if create_folder or "nothing is there" not in str(exc):
                    raise
                imagined = self._on_missing_root(exc, "nothing is there")
                if imagined is not None:
                    return imagined
                create_folder = True

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]]:
        return ("s3", self.bucket, self._asked_host()), self._way()

    def _make_native(self, *, create_folder: bool) -> Any:
        make = native_maker("s3")
        given = self.get_options_dict()
        options = self._native_options(_NATIVE_OPTIONS)
        options["create_folder"] = create_folder
        options["proxy"] = proxy_for(self._endpoint_host(given), given.get("proxy"))
        timeout = self._seconds()
        if timeout is not None:
            options["timeout"] = timeout
        home = os.path.expanduser("~")
        return make(
            bucket=self.bucket,
            root=self.root_dir,
            query=self.query,
            user=self.username,
            password=self.password,
            options=options,
            variables={name: value for name, value in os.environ.items() if name.startswith("AWS_")},
            home=None if home == "~" else home,
        )

    def _endpoint_host(self, options: dict[str, Any]) -> str:
        """Returns the host that `NO_PROXY` may name."""
        from urllib.parse import parse_qs, urlsplit

        in_url = parse_qs(self.query).get("endpoint_url", [None])[0]
        in_environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        url = in_url or options.get("endpoint_url") or in_environment
        return (urlsplit(url).hostname if url else None) or "s3.amazonaws.com"
