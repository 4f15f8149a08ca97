"""Messages to the terminal, one line at a time."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def info(message: str) -> None:
    """Write a message to standard output."""
    _write(message, sys.stdout)


def error(message: str) -> None:
    """Write a message to standard error."""
    _write(message, sys.stderr)


def _write(message: str, stream: TextIO) -> None:
    """Write and flush; a closed terminal or pipe must not prevent a clean stop."""
    try:
        stream.write(f"{message}\n")  # one write: lines of parallel processes do not mix
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
