"""Checkpoints below MODEL_DIR/finetuned: each is a model under its folder's name, while the server runs too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = "finetuned"
"""The folder of the checkpoints, below MODEL_DIR."""
_POLL: Final = 1.0
"""Seconds between two looks at the folder; a checkpoint counts once two of them in a row see the same files."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Identity = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, and its files as they were at one moment."""

    folder: Path
    identity: Identity = field(repr=False)
    """Name, inode, time and size of each file at its top."""


def scan(model_dir: Path) -> dict[str, Checkpoint]:
    """Return the checkpoints by their ids, the names of their folders.

    A folder without config.json is none, nor is one with a name that no model may have, such as a hidden one.
    """
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted((model_dir / FOLDER).iterdir()):
            if _ID.fullmatch(folder.name) and (folder / "config.json").is_file():
                with suppress(OSError):  # removed meanwhile
                    found[folder.name] = Checkpoint(folder, _identity(folder))
    return found


@dataclass(frozen=True)
class Changes:
    """What happened to the folder: ids whose checkpoints are gone or replaced, and the new checkpoints."""

    gone: tuple[str, ...]
    new: Mapping[str, Checkpoint]


async def changes(model_dir: Path, known: Mapping[str, Checkpoint], poll: float = _POLL) -> AsyncGenerator[Changes]:
    """Yield each difference between the folder and the checkpoints in `known`, for ever.

    A checkpoint that was replaced is gone and new. The caller is expected to bring `known` up to date.
    """
    last = scan(model_dir)
    while True:
        await asyncio.sleep(poll)
        present = scan(model_dir)
        settled = {id_: checkpoint for id_, checkpoint in present.items() if last.get(id_) == checkpoint}
        last = present
        gone = tuple(id_ for id_ in known if id_ not in present or settled.get(id_, known[id_]) != known[id_])
        new = {id_: checkpoint for id_, checkpoint in settled.items() if known.get(id_) != checkpoint}
        if gone or new:
            yield Changes(gone, new)


def _identity(folder: Path) -> Identity:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple(
        (path.name, status.st_ino, status.st_mtime_ns, status.st_size) for path in files if (status := path.stat())
    )
