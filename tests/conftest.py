"""What all tests need."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Lets programs that tests start hear Ctrl+C, also where a shell has started the tests in the background: what it
    starts so is deaf to it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
