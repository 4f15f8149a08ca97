"""Messages to the terminal, one line at a time."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final, TextIO

DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""A disk that is full, read-only or broken."""


def info(message: str) -> None:
    """Write a message to standard output."""
    _write(message, sys.stdout)


def error(message: str) -> None:
    """Write a message to standard error."""
    _write(message, sys.stderr)


def _write(message: str, stream: TextIO) -> None:
    """Write and flush; a closed terminal or pipe must not prevent a clean stop, and a full disk may have room later."""
    try:
        stream.write(f"{message}\n")  # one write: lines of parallel processes do not mix
        stream.flush()
    except OSError as error:
        if error.errno in DISK_ERRORS:
            return
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
