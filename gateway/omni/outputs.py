"""The folder in which the service kept its results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tritone.whole_file import write_text


def store_once(folder: Path | None, content: str, job_id: str, finished: float) -> str:
    """Return the name of the file of a job that ended at `finished` (Unix seconds); write it if it is not there yet.

    Raises OSError.
    """
    name = f"{_stem(datetime.fromtimestamp(finished).astimezone())}-{job_id[-8:]}.txt"
    if folder is not None and not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, content)
    return name


def store(folder: Path | None, content: str, suffix: str) -> str:
    """Return the name of a new file, such as `20261129071500.txt`, with the time of the server.

    With a `folder`, the file is written there, beside and then renamed; without one only its name is made. Raises
    OSError.
    """
    stem = _stem(datetime.now().astimezone())
    if folder is None:
        return stem + suffix
    folder.mkdir(parents=True, exist_ok=True)
    for name in _names(stem, suffix):
        try:
            (folder / name).touch(exist_ok=False)  # the name is ours from now on
        except FileExistsError:
            continue
        try:
            write_text(folder / name, content)
        except OSError:
            (folder / name).unlink(missing_ok=True)
            raise
        return name
    raise AssertionError("there is always another name")


def _names(stem: str, suffix: str) -> Iterator[str]:
    yield stem + suffix
    yield from (f"{stem}-{number}{suffix}" for number in itertools.count(2))


def _stem(time: datetime) -> str:
    return time.strftime("%Y%m%d%H%M%S")
