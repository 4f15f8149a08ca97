"""What the supervisor tells the person at the terminal, one line at a time."""

from __future__ import annotations

import os
import sys


def say(message: str) -> None:
    """Print a line at once; a terminal or pipe that is gone must not keep us from stopping cleanly."""
    try:
        print(message, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
