"""The same objects for programs with an event loop: every step that waits does so on a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from ftpsync._s3_object import S3Object

__all__ = ["AsyncS3Object"]


class AsyncS3Object:
    """An `S3Object` whose transfers are awaited.

    Args:
        s3_uri, local_path, boto3_client, excludes, progress_mode, region_name: As for `S3Object`.
        aioboto3_session: A session whose keys are used, if it has them at hand.

    Raises:
        ValueError: The URI cannot be one.
    """

    def __init__(
        self,
        s3_uri: str,
        local_path: str | os.PathLike[str] | None = None,
        boto3_client: Any = None,
        aioboto3_session: Any = None,
        excludes: str | list[str] | None = None,
        progress_mode: str | None = None,
        *,
        region_name: str | None = None,
    ) -> None:
        if boto3_client is None and aioboto3_session is not None:
            boto3_client = _SessionAsClient(aioboto3_session)
        self._object = S3Object(
            s3_uri, local_path, boto3_client, excludes, progress_mode, region_name=region_name
        )

    @property
    def s3_uri(self) -> str:
        """The URI, without keys."""
        return self._object.s3_uri

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._object.bucket

    @property
    def key(self) -> str:
        """The key of the object."""
        return self._object.key

    @property
    def progress_mode(self) -> str:
        """How progress is shown."""
        return self._object.progress_mode

    @property
    def local_path(self) -> str:
        """The local copy: a file, or a folder."""
        return self._object.local_path

    async def download(self, *args: Any, **kwargs: Any) -> str:
        """As `S3Object.download()`."""
        return await asyncio.to_thread(self._object.download, *args, **kwargs)

    async def upload(self, *args: Any, **kwargs: Any) -> str:
        """As `S3Object.upload()`."""
        return await asyncio.to_thread(self._object.upload, *args, **kwargs)

    @asynccontextmanager
    async def open(self, mode: str = "r", encoding: str | None = "utf-8") -> AsyncIterator[IO[Any]]:
        """As `S3Object.open()`; what it gives is an ordinary file."""
        opened = self._object.open(mode, encoding)
        file = await asyncio.to_thread(opened.__enter__)
        try:
            yield file
        except BaseException as error:
            if not await asyncio.to_thread(opened.__exit__, type(error), error, error.__traceback__):
                raise
        else:
            await asyncio.to_thread(opened.__exit__, None, None, None)

    async def exists(self) -> bool:
        """As `S3Object.exists()`."""
        return await asyncio.to_thread(self._object.exists)

    async def delete(self) -> bool:
        """As `S3Object.delete()`."""
        return await asyncio.to_thread(self._object.delete)

    def add_exclude(self, pattern: str) -> AsyncS3Object:
        """Adds a regular expression for what takes no part."""
        self._object.add_exclude(pattern)
        return self

    def add_excludes(self, patterns: list[str]) -> AsyncS3Object:
        """Adds regular expressions for what takes no part."""
        self._object.add_excludes(patterns)
        return self

    def remove_exclude(self, pattern: str) -> AsyncS3Object:
        """Takes a regular expression back."""
        self._object.remove_exclude(pattern)
        return self

    def clear_excludes(self) -> AsyncS3Object:
        """Lets everything take part."""
        self._object.clear_excludes()
        return self

    def get_excludes(self) -> list[str]:
        """Returns the regular expressions for what takes no part."""
        return self._object.get_excludes()

    def __fspath__(self) -> str:
        return self._object.local_path

    def __str__(self) -> str:
        return self._object.s3_uri

    def __repr__(self) -> str:
        return repr(self._object).replace("S3Object", type(self).__name__, 1)


class _SessionAsClient:
    """What a session says, where a client is expected."""

    def __init__(self, session: Any) -> None:
        self.meta = self
        self.endpoint_url: str | None = None
        self.region_name: str | None = getattr(session, "region_name", None)
        self._session = session

    def get_credentials(self) -> Any:
        import inspect

        found = self._session.get_credentials()
        if not inspect.isawaitable(found):
            return found
        if inspect.iscoroutine(found):
            found.close()
        # What has to be awaited is looked for where the tools of AWS look as well.
        return None
