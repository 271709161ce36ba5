"""Runs a program at a terminal and answers what it asks."""

from __future__ import annotations

import os
import pty
import re
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: An answer that is a key press.
CTRL_C = "^C"
DEADLINE = 180.0

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONFLICT = re.compile(r"CONFLICT: '([^']*)'")
#: The last words before an answer is awaited -> what it is about; a conflict is about its path.
_QUESTIONS = {
    re.compile(r"Help \? $"): "conflict",
    re.compile(r"(?i)password[^\n]*: ?$"): "password",
    re.compile(r"(?i)user[^\n]*: ?$"): "user",
}


def converse(
    command: Sequence[str], where: Path, variables: Mapping[str, str], answers: Mapping[str, Sequence[str]]
) -> tuple[int, str, str]:
    """Returns the exit code and all that was shown, as if every answer were followed by a new line.

    The answers are told by what is asked about: `user`, `password`, or the path of a conflict, since the order of
    conflicts is free. A question without an answer is answered with Ctrl+C.
    """
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.ONLCR
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    child = subprocess.Popen(
        command, cwd=where, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    waiting = {about: list(replies) for about, replies in answers.items()}
    try:
        shown = _talk(child, ours, waiting)
    finally:
        os.close(ours)
        if child.poll() is None:
            child.kill()
        code = child.wait()
    return code, shown, ""


def _talk(child: subprocess.Popen[bytes], terminal: int, answers: dict[str, list[str]]) -> str:
    shown = b""
    answered = 0
    give_up = time.monotonic() + DEADLINE
    with selectors.DefaultSelector() as ready:
        ready.register(terminal, selectors.EVENT_READ)
        while time.monotonic() < give_up:
            if not ready.select(0.5):
                continue
            try:
                said = os.read(terminal, 65536)
            except OSError:  # The child has closed its end.
                said = b""
            if not said:
                child.wait(DEADLINE)
                break
            shown += said
            about = _asked(_plain(shown[answered:]), _plain(shown))
            if about is None:
                continue
            replies = answers.get(about, [])
            reply = replies.pop(0) if replies else CTRL_C
            shown += b"\n"
            answered = len(shown)
            if reply == CTRL_C:
                _await_reading(child)
                child.send_signal(signal.SIGINT)
            else:
                os.write(terminal, reply.encode() + b"\n")
    return shown.decode("utf-8", "replace")


def _await_reading(child: subprocess.Popen[bytes]) -> None:
    """Waits until the child sleeps: Python looks for signals before it reads a line and after, but not in between, so
    a signal within the microseconds after a prompt is heard with the next key only."""
    status = Path(f"/proc/{child.pid}/stat")
    give_up = time.monotonic() + DEADLINE
    while status.exists() and time.monotonic() < give_up:
        if status.read_text().rpartition(")")[2].split()[0] == "S":
            return
        time.sleep(0.01)


def _plain(shown: bytes) -> str:
    return _ESCAPE.sub("", shown.decode("utf-8", "replace"))


def _asked(new: str, everything: str) -> str | None:
    """What the program asks about, if it waits for an answer."""
    for question, about in _QUESTIONS.items():
        if question.search(new):
            return _CONFLICT.findall(everything)[-1] if about == "conflict" else about
    return None
