"""The cache of weights: files by their content, shared by all clones of a user.

weights/blobs/<sha256>     complete and verified
weights/partial/<sha256>   an interrupted download, to be resumed
weights/scratch/           for unpacking packages; emptied by the next holder of the lock
weights/lock
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from supervisor.weights.manifest import Blob


class WrongContentError(Exception):
    """A file's content differs from the manifest."""


class Store:
    """Content by its sha256, below one cache folder. Only the holder of `lock` may write."""

    def __init__(self, cache_dir: Path) -> None:
        self.root = cache_dir / "weights"
        self.ending = threading.Event()
        """Set when the downloads are to end."""

    @contextmanager
    def lock(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Lock the cache; `waiting` is called once if another process holds the lock."""
        for folder in ("blobs", "partial"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            shutil.rmtree(self.root / "scratch", ignore_errors=True)
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Create an empty folder on the cache's file system, and remove it afterwards."""
        parent = self.root / "scratch"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)

    def blob(self, blob: Blob) -> Path:
        """Return the path of this content, whether it exists or not."""
        return self.root / "blobs" / blob.sha256

    def partial(self, blob: Blob) -> Path:
        """Return the path of an unfinished download of this content."""
        return self.root / "partial" / blob.sha256

    def has(self, blob: Blob) -> bool:
        """Return whether this content is in the cache, by name and size."""
        return _size(self.blob(blob)) == blob.size

    def admit(self, blob: Blob, path: Path) -> None:
        """Move the file at `path`, on the same file system, into the cache; raises `WrongContentError`."""
        check(path, blob)
        path.chmod(0o444)  # MODEL_DIR gets a hard link, and a write through it would change the cache
        _sync(path)
        path.replace(self.blob(blob))

    def place(self, blob: Blob, target: Path) -> None:
        """Put this content at `target` atomically: a hard link if possible, else a copy."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            try:
                os.link(self.blob(blob), beside)
            except OSError:  # another file system, or one without links
                shutil.copyfile(self.blob(blob), beside)
                _sync(beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


def check(path: Path, blob: Blob) -> None:
    """Raise `WrongContentError` unless the file has this content."""
    if (size := path.stat().st_size) != blob.size:
        raise WrongContentError(f"{size} bytes, not {blob.size}")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != blob.sha256:
        raise WrongContentError(f"sha256 {sha256}, not {blob.sha256}")


def drop_damaged(path: Path, blobs: tuple[Blob, ...]) -> bool:
    """Remove the file if it exists and has none of these contents; return whether it was removed."""
    if not path.exists():
        return False
    for blob in blobs:
        with suppress(WrongContentError):
            check(path, blob)
            return False
    path.unlink()
    return True


def has_size(path: Path, blobs: tuple[Blob, ...]) -> bool:
    """Return whether the file exists in the size of one of these contents."""
    return _size(path) in {blob.size for blob in blobs}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
