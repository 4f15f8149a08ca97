"""Progress messages of a fetch."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_MB = 1e6
_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.1


class Progress:
    """Writes lines to `stream`. On a terminal, a download's progress overwrites its own line; otherwise it is a line
    every ten seconds.
    """

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._drawn = 0
        self._last = time.monotonic()

    def info(self, line: str) -> None:
        """Write a line that stays."""
        self._stream.write(self._wiped() + line + "\n")
        self._stream.flush()

    def bytes(self, what: str, done: int, total: int) -> None:
        """Report that `done` bytes of `what` have arrived; a `total` of 0 is unknown."""
        now = time.monotonic()
        if now - self._last < (_TERMINAL_EVERY_S if self._terminal else _PLAIN_EVERY_S):
            return
        self._last = now
        line = f"{what}: {done / _MB:.1f}" + (f" of {total / _MB:.1f} MB" if total else " MB")
        if self._terminal:
            self._stream.write(self._wiped() + line)
            self._stream.flush()
            self._drawn = len(line)
        else:
            self.info(line)

    def _wiped(self) -> str:
        wiped = "\r" + " " * self._drawn + "\r" if self._drawn else ""
        self._drawn = 0
        return wiped
