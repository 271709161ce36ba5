"""The keys that may stand in the URL of a bucket. What is refused here is never repeated: it may be a secret."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ADVICE", "KEY_ID", "SECRET", "split_login"]

#: What AWS makes: an access key, and the secret key that belongs to it.
KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,}")
SECRET: Final = re.compile(r"[A-Za-z0-9+/]{40}")

#: The name of a bucket, with what may come after it.
_BUCKET: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?=[/?]|$)")
_END_OF_LOGIN: Final = re.compile(rf"@(?={_BUCKET.pattern})")

#: What to do where keys and bucket cannot be told apart.
ADVICE: Final = (
    "'/', '?', '@' and '%' in keys are written %2F, %3F, %40 and %25, or the keys are left to the variables "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or to ~/.aws/credentials"
)


def split_login(place: str) -> tuple[str, str, str]:
    """Splits `key:secret@bucket/path?query` into access key, secret key and what comes after the `@`, percent-decoded.

    A secret key may hold slashes as they are, as most of those that AWS makes do.

    Args:
        place: What comes after `s3://`. Without keys it is returned as it is, after two empty texts.

    Raises:
        ValueError: There are keys, and it is not clear where they end.
    """
    from urllib.parse import unquote

    if _BUCKET.match(place) or not any(mark in place for mark in ":@"):
        return "", "", place
    logins = [
        (user, unquote(secret), place[found.end() :])
        for found in _END_OF_LOGIN.finditer(place)
        for user, _, secret in [place[: found.start()].partition(":")]
        if user and "/" not in user
    ]
    # The path may hold an @ as well; where the secret is one of AWS, there is no doubt about where it ends.
    sure = [login for login in logins if SECRET.fullmatch(login[1])] if len(logins) > 1 else logins
    if len(sure) != 1:
        problem = "it is not clear where the keys end" if logins else "there is no bucket in it"
        raise ValueError(f"expected s3://bucket/path or s3://key:secret@bucket/path, but {problem}; {ADVICE}")
    user, secret, rest = sure[0]
    return unquote(user), secret, rest
