"""What one run of the supervisor owns: a folder in the cache, and a prefix in shared memory."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lives on Linux
_LOCK = "lock"
_SERVING = "serving"


@contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, with the logs and the home of one Triton.

    It is locked while we live; what a run that was killed left behind is cleared away first. The folder of a run
    that is over stays, for its logs, until the next begins.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with (parent / _LOCK).open("w") as turn:  # else another start could take our new folder for an old one
            fcntl.flock(turn, fcntl.LOCK_EX)
            _clear_dead(parent)
            folder = Path(tempfile.mkdtemp(prefix="tritone-", dir=parent))
            alive = held.enter_context((folder / _LOCK).open("w"))
            fcntl.flock(alive, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            release_shared_memory(folder)


def _clear_dead(parent: Path) -> None:
    for old in parent.iterdir():
        with suppress(OSError), (old / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            release_shared_memory(old)
            shutil.rmtree(old, ignore_errors=True)


def write_serving(folder: Path, port: int, models: Sequence[str]) -> None:
    """Write down what a run serves, for `read_serving`: Triton's gRPC port and the models' ids."""
    (folder / _SERVING).write_text(" ".join([str(port), *models]), encoding="utf-8")


def read_serving(parent: Path, port: int) -> list[str]:
    """The models of the run below `parent` whose Triton has this gRPC port, the newest; [] where there is none."""
    runs = sorted(parent.glob(f"*/{_SERVING}"), key=lambda path: path.stat().st_mtime)
    told = [path.read_text(encoding="utf-8").split() for path in runs]
    return next((models for told_port, *models in reversed(told) if int(told_port) == port), [])


def shared_memory_prefix(folder: Path) -> str:
    """What the names of a run's shared memory regions begin with."""
    return f"{folder.name}_"


def release_shared_memory(folder: Path) -> None:
    """Remove the regions that a run's Triton did not, because it was killed."""
    for region in SHARED_MEMORY.glob(f"{shared_memory_prefix(folder)}*"):
        region.unlink(missing_ok=True)
