"""Runs one command and writes what it took as JSON: ``timed.py RESULT TIMEOUT OUTPUT COMMAND [ARGUMENT...]``.

It runs inside the emulated network, next to the command, so that neither the network's set-up nor its relay
is counted. It imports little: on Linux the peak memory of a command is never less than that of its parent.
"""

import contextlib
import os
import signal
import sys
import time


def main() -> None:
    result, timeout, output, *command = sys.argv[1:]
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\n".encode())
            os._exit(127)

    late = False

    def end(number: int, _frame: object) -> None:
        nonlocal late
        late = late or number == signal.SIGALRM
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.setitimer(signal.ITIMER_REAL, float(timeout))
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - begin
    code = os.waitstatus_to_exitcode(status)
    with open(f"{result}.new", "w") as file:
        file.write(
            f'{{"wall": {wall:.4f}, "cpu": {usage.ru_utime + usage.ru_stime:.4f}, '
            f'"memory": {usage.ru_maxrss * 1024}, "code": {code}, "late": {str(late).lower()}}}'
        )
    os.rename(f"{result}.new", result)


if __name__ == "__main__":
    main()
