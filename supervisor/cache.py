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

_CLONE = Path(__file__).resolve().parents[1]


class BuildError(Exception):
    """An environment cannot be built; the message gives the reason and the remedy."""


def cache_folder() -> Path:
    """Return the folder of the environments, downloads and run folders of all clones.

    For a user whose home is missing or cannot be written, it is a folder of the clone.
    """
    if explicit := os.environ.get("TRITONE_CACHE"):
        return Path(explicit).expanduser().resolve()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache").resolve() / "tritone"
    return folder if _is_writable(folder) else _CLONE / ".cache" / "tritone"


def home() -> Path:
    """Return the home of this user; for one without an entry in the user database, a folder that does not exist."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _is_writable(folder: Path) -> bool:
    """Return whether `folder` can be written, or made if it is missing."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder != folder.parent and os.access(folder, os.W_OK | os.X_OK)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of `folder`, a part of the cache, for a change. Raises `BuildError`."""
    path = Path(f"{folder}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise BuildError(f"{folder.name}: {error}: set TRITONE_CACHE to a writable folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.info(f"{folder.name}: waiting for another process that makes it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
