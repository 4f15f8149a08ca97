"""What the rehearsal prints, and the commands that it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_STARTED = time.monotonic()


class Failure(Exception):
    """A check or a command failed; the message says which, and how."""


def info(message: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - _STARTED:6.1f} s  {message}", flush=True)


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
) -> str:
    """Run a command to its end and return its output, which is also kept in `log`. Raises `Failure`."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        check=False,
    )
    if log:
        log.write_text(done.stdout)
    if done.returncode:
        output = (done.stderr or done.stdout).splitlines()[-15:]
        raise Failure(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n" + "\n".join(output))
    return done.stdout


def warn(message: str) -> None:
    """Print a line to standard error."""
    print(message, file=sys.stderr, flush=True)
