"""The files of the jobs: one folder for each job in JOBS_DIR, each file written beside and renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from gateway.core.errors import InternalError, StorageFull
from tritone.whole_file import writing_whole

RESULT: Final = "result"
WORDS: Final = "words"
"""The words of a speech with their times, as JSON."""
_STARTS: Final = "starts"
_PIECE: Final = 1 << 20
_ID: Final = re.compile(r"job_[0-9a-f]{32}")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def new_id() -> str:
    """Return an id for a job; later ids are greater, because SQLite's times are in seconds."""
    return f"job_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def is_id(name: str) -> bool:
    """Return whether `name` has the form of a job's id."""
    return _ID.fullmatch(name) is not None


class JobFiles:
    """The files of all jobs below `root`. The methods block; a full disk raises `StorageFull`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, job_id: str) -> Path:
        """Return the folder of a job, which may not exist."""
        assert is_id(job_id)
        return self.root / job_id

    def add(self, job_id: str) -> None:
        """Make the job's folder, if it does not exist."""
        with _full_disk_reported():
            self.folder(job_id).mkdir(parents=True, exist_ok=True)

    def add_upload(self, job_id: str, pieces: Iterable[bytes]) -> str:
        """Write a new file into the job's folder, which is made if it does not exist, and return the file's name."""
        name = f"upload-{uuid.uuid4().hex}"
        self.add(job_id)
        try:
            self.write(job_id, name, pieces)
        except BaseException:
            self.discard(job_id, name)
            raise
        return name

    def write(self, job_id: str, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file that appears whole or not at all."""
        with self.writing(job_id, name) as file:
            for piece in pieces:
                file.write(piece)

    @contextmanager
    def writing(self, job_id: str, name: str) -> Iterator[BinaryIO]:
        """Open a file that takes its name at the end of the block, on the disk, and vanishes if the block fails."""
        with _full_disk_reported(), writing_whole(self.folder(job_id) / name) as file:
            yield file

    def path(self, job_id: str, name: str) -> Path:
        """Return the path of a file that must exist. Raises `InternalError`."""
        path = self.folder(job_id) / name
        if not path.is_file():
            raise InternalError(f"{path} does not exist")
        return path

    def discard(self, job_id: str, name: str) -> None:
        """Remove a file, if it exists, and the job's folder, if it is then empty."""
        folder = self.folder(job_id)
        if name:
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def tidy(self, job_id: str) -> None:
        """Remove the parts of files that a killed worker was writing."""
        for path in self.folder(job_id).glob(".*"):
            path.unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove all files of a job. Its worker, which may be writing one, cannot write into the folder any more."""
        folder = self.folder(job_id)
        gone = folder.with_name(new_id())  # of no job: what is left of it expires
        with suppress(OSError):
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def count_start(self, job_id: str) -> int:
        """Record a start of the job, and return the number of starts since its last finished step."""
        with _full_disk_reported(), (self.folder(job_id) / _STARTS).open("ab") as file:
            file.write(b".")
            return file.tell()

    def forget_starts(self, job_id: str) -> None:
        """Record that the job has finished a step."""
        (self.folder(job_id) / _STARTS).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> list[str]:
        """Return the ids of the jobs whose folder was last changed so long ago."""
        limit = time.time() - seconds
        if not self.root.is_dir():
            return []
        old = []
        with os.scandir(self.root) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another worker removes it
                    if is_id(entry.name) and entry.stat().st_mtime < limit:
                        old.append(entry.name)
        return old


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of `file` in pieces of a megabyte."""
    while piece := file.read(_PIECE):
        yield piece


@contextmanager
def _full_disk_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(str(error)) from error
        raise
