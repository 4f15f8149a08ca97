"""The property of one run of the supervisor: a folder in the cache, and a prefix in shared memory."""

from __future__ import annotations

import fcntl
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tritone.whole_file import write_text

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the file system of POSIX shared memory on Linux
NETWORK = Path("/proc/self/ns/net")
_LOCK = "lock"
_PORT = "grpc_port"


@contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Create a folder below `parent` for the logs and the home of one Triton.

    It is locked while this process lives; the remains of killed runs are removed first. The folder of a finished run
    stays, for its logs, until the next run begins.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with (parent / _LOCK).open("w") as turn:  # else another start could remove the new folder
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


def record_port(folder: Path, port: int) -> None:
    """Record the gRPC port of a run's Triton, for `find_run`: once, because a restart may find the disk full."""
    if not (folder / _PORT).exists():
        write_text(folder / _PORT, _endpoint(port))


def find_run(parent: Path, port: int) -> Path | None:
    """Return the folder of the newest run below `parent` with a Triton on this gRPC port of this network, or None."""
    recorded = sorted(parent.glob(f"*/{_PORT}"), key=lambda path: path.stat().st_mtime)
    wanted = _endpoint(port)
    return next((path.parent for path in reversed(recorded) if path.read_text(encoding="utf-8") == wanted), None)


def _endpoint(port: int) -> str:
    """Return a name of the port that no other container has: several may share the cache, each with a Triton."""
    return f"{port} {socket.gethostname()} {NETWORK.stat().st_ino}"


def shared_memory_prefix(folder: Path) -> str:
    """Return the prefix of the names of a run's shared memory regions."""
    return f"{folder.name}_"


def release_shared_memory(folder: Path) -> None:
    """Remove the regions that a killed Triton left."""
    for region in SHARED_MEMORY.glob(f"{shared_memory_prefix(folder)}*"):
        region.unlink(missing_ok=True)
