"""A keyring in a file, for processes that are given `PYTHON_KEYRING_BACKEND=file_keyring.Keyring`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Keyring(KeyringBackend):
    """Keeps everything in the file that `FILE_KEYRING` names: service to key to value."""

    priority = 1  # type: ignore[assignment]

    def _read(self) -> dict[str, dict[str, str]]:
        path = Path(os.environ["FILE_KEYRING"])
        stored: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
        return stored

    def _write(self, stored: dict[str, dict[str, str]]) -> None:
        Path(os.environ["FILE_KEYRING"]).write_text(json.dumps(stored))

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        stored = self._read()
        stored.setdefault(service, {})[username] = password
        self._write(stored)

    def delete_password(self, service: str, username: str) -> None:
        stored = self._read()
        if stored.get(service, {}).pop(username, None) is None:
            raise PasswordDeleteError("not found")
        self._write(stored)
