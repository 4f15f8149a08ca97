"""Folders that look like fine-tuned checkpoints."""

from __future__ import annotations

import json
from pathlib import Path


def write_checkpoint(model_dir: Path, name: str, kind: str = "custom_voice") -> Path:
    """Write a checkpoint without real weights below MODEL_DIR/finetuned, and return its folder."""
    folder = model_dir / "finetuned" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"tts_model_type": kind, "tts_model_size": "0b6"}))
    return folder
