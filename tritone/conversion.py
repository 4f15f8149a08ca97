"""Checkpoints that a family can only load after a conversion: how to recognize them, and where the result lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CACHE: Final = "cache"
"""The folder of all conversions, below MODEL_DIR."""


@dataclass(frozen=True)
class Conversion:
    """The table `[conversion]` of a `family.toml`."""

    source: str
    """Name of the checkpoint's format, for messages."""
    target: str
    """Name of the format that the family loads, for messages."""
    recognized_by: Mapping[str, Any]
    """Fields of a checkpoint's config.json and their values."""
    weights: tuple[str, ...]
    """Patterns of the checkpoint's weight files, of which at least one matches."""
    content: tuple[str, ...]
    """Patterns of the other files that determine the result."""
    result: str
    """The file that shows a finished conversion; a folder that has it needs none."""
    cache: str
    """The folder of the results, below MODEL_DIR/cache."""
    version: str
    """Conversions of the same files by another version lie in another folder."""
    module: str
    """The family's module that converts: `python -m <family>.<module> FOLDER TARGET`."""
    environment: str
    """The environment that the module runs in."""

    def applies_to(self, folder: Path) -> bool:
        """Return whether `folder` holds a checkpoint that must be converted."""
        if (folder / self.result).exists() or not any(any(folder.glob(pattern)) for pattern in self.weights):
            return False
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(config, dict) and all(config.get(key) == value for key, value in self.recognized_by.items())

    def folder_of(self, checkpoint: Path, model_dir: Path) -> Path:
        """Return the folder of the converted checkpoint, whether it exists or not.

        Its name is a hash of the checkpoint's content: this reads the weights, some seconds for each GB.
        """
        digest = hashlib.sha256(self.version.encode())
        files = (path for pattern in (*self.content, *self.weights) for path in checkpoint.glob(pattern))
        for path in sorted(files):
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return model_dir / _CACHE / self.cache / digest.hexdigest()[:32]
