"""Runs a program for each connection, with the connection as its standard input and output, as inetd(8) does.

Started by `InetutilsFtpd`, not imported: ``inetd.py HOST PORT COMMAND...``.
"""

from __future__ import annotations

import socket
import subprocess
import sys


def main() -> None:
    host, port, *command = sys.argv[1:]
    children: list[subprocess.Popen[bytes]] = []
    with socket.create_server((host, int(port))) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                children.append(subprocess.Popen(command, stdin=connection, stdout=connection))
            # Those that have ended are collected.
            children = [child for child in children if child.poll() is None]


if __name__ == "__main__":
    main()
