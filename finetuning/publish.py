"""A voice below MODEL_DIR/finetuned, where a server finds it without a restart."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from finetuning.errors import FineTuningError
from supervisor.finetuned import FOLDER
from tritone.folder_swap import finish_removals, put_in_place, remove_at_once

_MARK: Final = "finetuning.json"
"""The file of an exported checkpoint that says how it was made."""


def publish(checkpoint: Path, model_dir: Path, name: str) -> Path:
    """Make an exported checkpoint the served model `name`, in place of an earlier one; return its folder.

    Whenever this is interrupted, a whole voice is served: the new one or the earlier one. The files are linked where
    possible, so that they take no space twice. Raises `FineTuningError` if the folder is not there, or if another
    checkpoint has the name.
    """
    if not (checkpoint / "config.json").exists():
        raise FineTuningError(f"{checkpoint} is missing: run scripts/finetune export {name} first")
    place = model_dir / FOLDER / name
    if place.exists() and not (place / _MARK).exists():
        raise FineTuningError(f"{place} was not made by this command: move it away, or choose another name")
    fresh = place.with_name(f".{name}.new")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        shutil.copytree(checkpoint, fresh, copy_function=_link_or_copy)
        put_in_place(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def remove(model_dir: Path, name: str) -> None:
    """Remove a served voice; raises `FineTuningError` if there is none."""
    place = model_dir / FOLDER / name
    if not place.exists():
        raise FineTuningError(f"there is no voice in {place}")
    if not (place / _MARK).exists():
        raise FineTuningError(f"{place} was not made by this command: remove it yourself")
    remove_at_once(place)


def finish_removed(model_dir: Path) -> None:
    """Free the space of voices that a killed command had begun to remove."""
    finish_removals(model_dir / FOLDER)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)
