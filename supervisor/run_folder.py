"""What one run of the supervisor owns: a folder in the cache, and a prefix in shared memory."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lives on Linux
_LOCK = "lock"


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, with the logs and the home of one Triton.

    It is locked while we live; what a run that was killed left behind is cleared away first. The folder of a run
    that is over stays, for its logs, until the next begins.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        with contextlib.suppress(OSError), (old / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            release_shared_memory(old)
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="tritone-", dir=parent))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            release_shared_memory(folder)


def shared_memory_prefix(folder: Path) -> str:
    """What the names of a run's shared memory regions begin with."""
    return f"{folder.name}_"


def release_shared_memory(folder: Path) -> None:
    """Remove the regions that a run's Triton did not, because it was killed."""
    for region in SHARED_MEMORY.glob(f"{shared_memory_prefix(folder)}*"):
        region.unlink(missing_ok=True)
