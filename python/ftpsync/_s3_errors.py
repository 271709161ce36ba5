"""What objects raise."""

from __future__ import annotations

__all__ = ["HashMismatchError", "MissingObjectError", "S3ObjectError", "S3lyncError", "SyncError"]


class S3lyncError(Exception):
    """The base of all of them."""


class HashMismatchError(S3lyncError):
    """What has arrived does not add up to what the server tells; the old file is still there."""


class SyncError(S3lyncError):
    """A transfer has failed."""


class S3ObjectError(S3lyncError):
    """There is nothing to work with: the local file, or the object, is missing."""


class MissingObjectError(SyncError, S3ObjectError):
    """There is no such object, and none below it."""
