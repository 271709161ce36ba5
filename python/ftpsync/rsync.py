"""A client that makes one folder look like another, in the manner of rsync.

What is in the source comes to be in the destination, with or without a slash at the end. Either may be a URL.
Nothing is remembered, and no metadata is left behind, except for times that a server cannot keep.

    from ftpsync import rsync

    client = rsync.Client(delete=True)
    for result in client.sync("/srv/data", "sftp://joe@example.com/backup"):
        print(result)
"""

from __future__ import annotations

import os
from typing import Any

from ftpsync._base_target import _Target
from ftpsync._sync import SyncEntry, SyncResult, checked_options, known_options, sync

__all__ = ["Client", "SyncEntry", "SyncResult"]


class Client:
    """Makes folders look like others.

    Args:
        **options: Those of `ftpsync.sync()`. Each can also be set as an attribute later, and is then checked at once.

    Attributes:
        dry_run: Only tell what would be done. False unless set.
        delete: Remove from the destination what the source does not have. False unless set.
        checksum: Compare files of one size by content instead of by time. False unless set.
        exclude: Patterns of names to leave out: a list, or a text with commas. Empty unless set.

    Raises:
        TypeError: There is no such option, or its value is of a wrong type.
    """

    dry_run: bool
    delete: bool
    checksum: bool
    exclude: list[str] | str

    def __init__(self, **options: Any) -> None:
        self._options: dict[str, Any]
        object.__setattr__(
            self, "_options", {"dry_run": False, "delete": False, "checksum": False, "exclude": []}
        )
        for name, value in options.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        self._options[name] = checked_options("upload", {name: value})[name]

    def __getattr__(self, name: str) -> Any:
        options = object.__getattribute__(self, "__dict__").get("_options", {})
        if name in options:
            return options[name]
        if name in known_options():
            return None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def sync(
        self,
        source_dir: str | os.PathLike[str] | _Target,
        destination_dir: str | os.PathLike[str] | _Target,
        **options: Any,
    ) -> SyncResult:
        """Makes the destination look like the source: copies what differs in size or time, also over newer files.

        A destination that is missing is made. Nothing in the source is changed.

        Args:
            source_dir: A path, a URL (`ftp://`, `ftps://`, `sftp://`, `s3://`) or a target.
            destination_dir: The same.
            **options: For this call alone.

        Returns:
            One entry for each thing that was done, or would be in a dry run.

        Raises:
            TypeError: There is no such option, or its value is of a wrong type.
            ValueError: The source does not exist, both are the same, or one is inside the other.
            OSError: A server could not be reached; see `ftpsync.sync()` for the rest.
        """
        settings = {"stateless": True, "create_folder": True, **self._options, **options}
        return sync(source_dir, destination_dir, "upload", **settings)
