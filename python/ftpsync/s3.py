"""Objects of S3, used like local files.

    from ftpsync.s3 import S3Object

    report = S3Object("s3://bucket/reports/may.txt")
    with report.open("w") as file:
        file.write("...")

An object has a local copy; `download()` and `upload()` bring one side up to date with the other, and compare by
checksum first. A key that others continue with a slash is a folder. Keys and endpoint may be part of the URI:
`s3://https://endpoint/bucket/key`, `s3://endpoint@bucket/key`, `s3://secret_key:access_key@endpoint/bucket/key`
(keys percent-encoded; those that AWS makes are known in any order, slashes included); else they are found as the
tools of AWS find them.
"""

from __future__ import annotations

from ftpsync._s3_async import AsyncS3Object
from ftpsync._s3_config import Config, configure_logging, get_logger
from ftpsync._s3_errors import HashMismatchError, MissingObjectError, S3lyncError, S3ObjectError, SyncError
from ftpsync._s3_object import S3Object
from ftpsync._s3_progress import ProgressBar, chain_callbacks
from ftpsync._s3_retry import RetryConfig, async_retry, retry

__all__ = [
    "AsyncS3Object",
    "Config",
    "HashMismatchError",
    "MissingObjectError",
    "ProgressBar",
    "RetryConfig",
    "S3Object",
    "S3ObjectError",
    "S3lyncError",
    "SyncError",
    "async_retry",
    "chain_callbacks",
    "configure_logging",
    "get_logger",
    "retry",
]
