"""Runs one server for a program that is not written in Python: ``python -m servers KIND FOLDER``.

Writes a line of JSON (host, port, user, password, secrets) when it answers, or one with the reason why it
cannot run here, and ends with its input.
"""

import json
import sys
from pathlib import Path

from . import ALL, OPENSSH, Unavailable, openssh, s3


def main() -> None:
    name, root = sys.argv[1:]
    kinds = {kind.name: kind for kind in (*ALL, OPENSSH, *s3.BOTH)} | {
        "openssh-certified": openssh.CERTIFIED,
        "openssh-strict": openssh.STRICT,
        "openssh-aged": openssh.AGED,
        "openssh-ancient": openssh.ANCIENT,
    }
    kind = kinds[name]
    try:
        server = kind.start(Path(root))
    except Unavailable as reason:
        print(json.dumps({"unavailable": str(reason)}), flush=True)
        return
    with server:
        facts = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
            "secrets": str(openssh.secrets(server)),
        }
        print(json.dumps(facts), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
