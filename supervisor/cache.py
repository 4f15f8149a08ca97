"""The folder that all clones on the machine share, and the locks of what is built there.

Like supervisor.environments, this module needs only the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from supervisor import console


class BuildError(Exception):
    """An environment cannot be built; the message gives the reason and the remedy."""


def cache_folder() -> Path:
    """Return the folder of the environments, downloads and run folders of all clones."""
    if explicit := os.environ.get("TRITONE_CACHE"):
        return Path(explicit).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "tritone"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of `folder`, a part of the cache, for a change. Raises `BuildError`."""
    path = Path(f"{folder}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise BuildError(f"environment {folder.name}: {error}: set TRITONE_CACHE to a writable folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.info(f"environment {folder.name}: waiting for another process to build it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
