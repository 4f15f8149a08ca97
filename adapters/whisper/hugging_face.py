"""Whisper checkpoints in Hugging Face's format: recognition, and the folders of their conversions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

CACHE: Final = Path("cache", "ctranslate2")
"""The folder of the conversions, below MODEL_DIR."""
_FORMAT: Final = b"ctranslate2 float16, 1"
"""Part of the key, so that a conversion to another format gets another folder."""
_WEIGHTS: Final = ("*.safetensors", "pytorch_model*.bin")


def is_checkpoint(folder: Path) -> bool:
    """Return whether `folder` holds a Whisper as `save_pretrained` writes it, and none in CTranslate2's format."""
    if (folder / "model.bin").exists() or not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "whisper"


def converted(folder: Path, model_dir: Path) -> Path:
    """Return the folder for the conversion of the checkpoint in `folder`. Reads the weights: some seconds a GB."""
    content = hashlib.sha256(_FORMAT)
    for path in sorted(path for pattern in ("*.json", "*.txt", *_WEIGHTS) for path in folder.glob(pattern)):
        with path.open("rb") as file:
            content.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return model_dir / CACHE / content.hexdigest()[:32]
