"""Names that release 3.1 offered for code shared by Python 2 and 3; kept so that old scripts import."""

from __future__ import annotations

import configparser
import queue
from base64 import decodebytes as base64_decodebytes
from base64 import encodebytes as base64_encodebytes
from html import escape as html_escape
from io import BytesIO, StringIO
from typing import Final
from urllib.parse import quote, unquote, urlparse

from ftpsync.util import is_native, to_bytes, to_native, to_unicode

__all__ = [
    "PY2",
    "PY3",
    "BytesIO",
    "CompatConnectionError",
    "CompatFileNotFoundError",
    "StringIO",
    "b_empty",
    "b_slash",
    "base64_decodebytes",
    "base64_encodebytes",
    "configparser",
    "console_input",
    "html_escape",
    "is_basestring",
    "is_bytes",
    "is_native",
    "is_unicode",
    "queue",
    "quote",
    "to_bytes",
    "to_native",
    "to_unicode",
    "unquote",
    "urlparse",
    "xrange",
]

PY2: Final = False
PY3: Final = True

b_empty: Final = b""
b_slash: Final = b"/"

console_input = input
xrange = range

CompatFileNotFoundError = FileNotFoundError
CompatConnectionError = ConnectionError


def is_basestring(s: object) -> bool:
    """Tells whether `s` is a str or bytes."""
    return isinstance(s, (str, bytes))


def is_bytes(s: object) -> bool:
    """Tells whether `s` is bytes."""
    return isinstance(s, bytes)


def is_unicode(s: object) -> bool:
    """Tells whether `s` is a str."""
    return isinstance(s, str)
