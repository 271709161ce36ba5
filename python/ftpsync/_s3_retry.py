"""Trying again, for functions of the user's own. Transfers of objects do so by themselves."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

__all__ = ["RetryConfig", "async_retry", "retry"]

_T = TypeVar("_T")

#: What servers say when they are busy.
_PASSING: Final = {
    "BandwidthLimitExceeded",
    "InternalError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}

#: Exceptions of botocore and others, by name: none of them has to be installed.
_LOST: Final = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "ReadTimeoutError",
}


class RetryConfig:
    """How often something is tried, and how long the pauses are."""

    def __init__(
        self, max_attempts: int = 3, base_delay: float = 0.5, max_delay: float = 30.0, jitter: bool = True
    ) -> None:
        self.max_attempts = max_attempts
        self.base_delay = base_delay
        self.max_delay = max_delay
        self.jitter = jitter

    def get_delay(self, attempt: int) -> float:
        """Returns the pause after an attempt (the first is 0), in seconds: twice as long each time, and spread."""
        delay = min(self.max_delay, self.base_delay * 2**attempt)
        return random.uniform(0, delay) if self.jitter else delay


def _may_pass(error: BaseException) -> bool:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("Error", {}).get("Code") in _PASSING
    return isinstance(error, (ConnectionError, TimeoutError)) or type(error).__name__ in _LOST


class _Attempts:
    """Judges failures: another attempt, after a pause, or the end."""

    def __init__(
        self,
        config: RetryConfig,
        kinds: tuple[type[Exception], ...],
        listener: Callable[[Exception, int], None] | None,
    ) -> None:
        self.config, self.kinds, self.listener = config, kinds, listener

    def pause_after(self, error: Exception, attempt: int) -> float:
        """Returns the pause, or raises the error."""
        if attempt + 1 >= self.config.max_attempts or not _may_pass(error):
            raise error
        if self.listener is not None:
            self.listener(error, attempt)
        return self.config.get_delay(attempt)


def retry(
    max_attempts: int = 3,
    base_delay: float = 0.5,
    max_delay: float = 30.0,
    retryable_exceptions: tuple[type[Exception], ...] | None = None,
    on_retry: Callable[[Exception, int], None] | None = None,
) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Decorates a function that is called again when it fails in a way that may pass.

    Args:
        max_attempts: Calls in all.
        base_delay: The longest first pause, in seconds; later ones double.
        max_delay: The longest of all.
        retryable_exceptions: What is looked at; by default every exception.
        on_retry: Called before each pause, with the exception and the number of the attempt, from 0.
    """
    attempts = _Attempts(
        RetryConfig(max_attempts, base_delay, max_delay), retryable_exceptions or (Exception,), on_retry
    )

    def decorate(function: Callable[..., _T]) -> Callable[..., _T]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> _T:
            attempt = 0
            while True:
                try:
                    return function(*args, **kwargs)
                except attempts.kinds as error:
                    time.sleep(attempts.pause_after(error, attempt))
                attempt += 1

        return wrapper

    return decorate


def async_retry(
    max_attempts: int = 3,
    base_delay: float = 0.5,
    max_delay: float = 30.0,
    retryable_exceptions: tuple[type[Exception], ...] | None = None,
    on_retry: Callable[[Exception, int], None] | None = None,
) -> Callable[[Callable[..., Awaitable[_T]]], Callable[..., Awaitable[_T]]]:
    """As `retry`, for coroutines."""
    attempts = _Attempts(
        RetryConfig(max_attempts, base_delay, max_delay), retryable_exceptions or (Exception,), on_retry
    )

    def decorate(function: Callable[..., Awaitable[_T]]) -> Callable[..., Awaitable[_T]]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> _T:
            attempt = 0
            while True:
                try:
                    return await function(*args, **kwargs)
                except attempts.kinds as error:
                    await asyncio.sleep(attempts.pause_after(error, attempt))
                attempt += 1

        return wrapper

    return decorate
