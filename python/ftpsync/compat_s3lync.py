"""The names of s3lync, for its scripts: `from ftpsync.compat_s3lync import ...`, not `from s3lync import ...`."""

from __future__ import annotations

from ftpsync.s3 import (
    AsyncS3Object,
    Config,
    HashMismatchError,
    ProgressBar,
    RetryConfig,
    S3lyncError,
    S3Object,
    S3ObjectError,
    SyncError,
    async_retry,
    chain_callbacks,
    configure_logging,
    get_logger,
    retry,
)

__all__ = [
    "AsyncS3Object",
    "Config",
    "HashMismatchError",
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
