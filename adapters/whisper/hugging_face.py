"""Whisper checkpoints in Hugging Face's format: what they are known by, and where they lie once they are converted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

CACHE: Final = Path("cache", "ctranslate2")
"""Below MODEL_DIR."""
_FORM: Final = b"ctranslate2 float16, 1"
"""Another conversion of the same files would lie in another folder."""
_WEIGHTS: Final = ("*.safetensors", "pytorch_model*.bin")


def is_checkpoint(folder: Path) -> bool:
    """Whether `folder` holds a Whisper as `save_pretrained` writes it, and none in CTranslate2's format."""
    if (folder / "model.bin").exists() or not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "whisper"


def converted(folder: Path, model_dir: Path) -> Path:
    """Where the conversion of the checkpoint in `folder` lies, or would lie. Reads the weights: some seconds a GB."""
    content = hashlib.sha256(_FORM)
    for path in sorted(path for pattern in ("*.json", "*.txt", *_WEIGHTS) for path in folder.glob(pattern)):
        with path.open("rb") as file:
            content.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return model_dir / CACHE / content.hexdigest()[:32]
