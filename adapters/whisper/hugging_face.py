"""Whisper checkpoints in Hugging Face's format: how to recognize them, and where their conversions lie."""

from __future__ import annotations

from pathlib import Path

from tritone.conversion import Conversion
from tritone.families import Family


def is_checkpoint(folder: Path) -> bool:
    """Return whether `folder` holds a Whisper as `save_pretrained` writes it, and no conversion of it."""
    return _conversion().applies_to(folder)


def converted(folder: Path, model_dir: Path) -> Path:
    """Return the folder of the converted checkpoint, whether it exists or not. Reads the weights: seconds per GB."""
    return _conversion().folder_of(folder, model_dir)


def _conversion() -> Conversion:
    conversion = Family.load(Path(__file__).parent).conversion
    assert conversion
    return conversion
