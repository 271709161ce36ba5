"""What the environment says about objects, and what a program sets for all of them."""

from __future__ import annotations

import logging
import os
import sys
from typing import ClassVar, TextIO

from ftpsync._s3_progress import mode_of

__all__ = ["Config", "configure_logging", "get_logger"]

_LOGGER = logging.getLogger("s3lync")
_LOGGER.addHandler(logging.NullHandler())


class Config:
    """Settings of the process. The environment comes first, then what was set here, then the usual."""

    _region: ClassVar[str | None] = None
    _debug: ClassVar[bool | None] = None
    _log_level: ClassVar[str | None] = None
    _progress_mode: ClassVar[str | None] = None

    @classmethod
    def get_aws_region(cls) -> str | None:
        """Returns the region: `AWS_REGION`, `AWS_DEFAULT_REGION`, what was set, or None."""
        return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or cls._region

    @classmethod
    def set_aws_region(cls, region: str | None) -> None:
        """Sets the region for objects that are made from now on."""
        cls._region = region

    get_region = get_aws_region
    set_region = set_aws_region

    @classmethod
    def is_debug_enabled(cls) -> bool:
        """Tells whether debugging is wanted: `S3LYNC_DEBUG` is 1, true or yes, or it was set."""
        given = os.environ.get("S3LYNC_DEBUG")
        return given.lower() in ("1", "true", "yes") if given is not None else bool(cls._debug)

    @classmethod
    def set_debug_enabled(cls, enabled: bool | None) -> None:
        """Sets whether debugging is wanted."""
        cls._debug = enabled

    @classmethod
    def get_log_level(cls) -> str:
        """Returns the name of the log level: `S3LYNC_LOG_LEVEL`, what was set, or `INFO`."""
        return os.environ.get("S3LYNC_LOG_LEVEL") or cls._log_level or "INFO"

    @classmethod
    def set_log_level(cls, level: str | None) -> None:
        """Sets the name of the log level."""
        cls._log_level = level

    @classmethod
    def get_progress_mode(cls) -> str:
        """Returns how objects show progress unless they are told otherwise: what was set, or `progress`."""
        return cls._progress_mode or "progress"

    @classmethod
    def set_progress_mode(cls, mode: str | None) -> None:
        """Sets how objects show progress.

        Raises:
            ValueError: There is no such mode.
        """
        cls._progress_mode = None if mode is None else mode_of(mode)


def configure_logging(
    level: int = logging.INFO, format_string: str | None = None, stream: TextIO | None = None
) -> logging.Logger:
    """Sends what objects log to a stream (stderr), in place of where it went before; returns the logger."""
    _LOGGER.handlers.clear()
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(
        logging.Formatter(format_string or "%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    )
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(level)
    return _LOGGER


def get_logger(name: str | None = None) -> logging.Logger:
    """Returns the logger of all objects, or one below it."""
    return _LOGGER.getChild(name) if name else _LOGGER
