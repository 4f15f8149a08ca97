"""Checkpoints that a family can load only after a conversion: their recognition, and the folder of the result."""

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
    """The file that a finished conversion writes; a folder with this file needs no conversion."""
    cache: str
    """The folder of the results, below MODEL_DIR/cache."""
    version: str
    """The version of the conversion; part of the name of the result's folder."""
    module: str
    """The family's module that converts: `python -m <family>.<module> FOLDER TARGET`."""
    environment: str
    """The environment that the module runs in."""

    def applies_to(self, folder: Path) -> bool:
        """Return True if `folder` holds a checkpoint that must be converted."""
        if (folder / self.result).exists() or not any(any(folder.glob(pattern)) for pattern in self.weights):
            return False
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(config, dict) and all(config.get(key) == value for key, value in self.recognized_by.items())

    def folder_of(self, checkpoint: Path, model_dir: Path) -> Path:
        """Return the folder of the converted checkpoint, which may not exist yet.

        Its name is a hash of the checkpoint's content. Reading the weights takes some seconds for each GB.
        """
        digest = hashlib.sha256(self.version.encode())
        files = (path for pattern in (*self.content, *self.weights) for path in checkpoint.glob(pattern))
        for path in sorted(files):
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return model_dir / _CACHE / self.cache / digest.hexdigest()[:32]
