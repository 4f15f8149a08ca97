"""What the supervisor tells the person at the terminal, one line at a time."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(message: str) -> None:
    """Tell how it goes."""
    _write(message, sys.stdout)


def complain(message: str) -> None:
    """Tell why it cannot go on."""
    _write(message, sys.stderr)


def _write(message: str, stream: TextIO) -> None:
    """Print at once; a terminal or pipe that is gone must not keep us from stopping cleanly."""
    try:
        stream.write(f"{message}\n")  # at one stroke: lines of processes that run side by side do not mix
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
