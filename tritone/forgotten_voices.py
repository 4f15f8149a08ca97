"""The voices that the models of a server must forget: a file that the `tritone` model writes and all stubs read.

Triton gives a request to any instance of a model, and no request reaches all of them. The file does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FILE: Final = "forgotten_voices"


def forget(run_folder: Path, key: str) -> None:
    """Have every stub of the server forget a voice: none of them uses it after this call."""
    line = f"{key}\n".encode()
    file = os.open(run_folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line)  # one write, so that lines of two writers do not mix
    finally:
        os.close(file)


class ForgottenVoices:
    """Reads the keys that were written since it was made. For one thread at a time."""

    def __init__(self, run_folder: Path | None) -> None:
        """None: a server without supervisor, whose voices nobody can have forgotten."""
        self._path = run_folder and run_folder / _FILE
        self._read_bytes = self._size()

    def new(self) -> list[str]:
        """Return the keys that were added since the last call."""
        size = self._size()
        if self._path is None or size == self._read_bytes:
            return []
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            added = file.read(size - self._read_bytes)
        whole = added[: added.rfind(b"\n") + 1]  # the rest is still being written
        self._read_bytes += len(whole)
        return whole.decode().split()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size if self._path else 0
        except FileNotFoundError:
            return 0
