"""Whisper checkpoints of Hugging Face's format, converted once for what the models load: CTranslate2's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from adapters.whisper.hugging_face import converted, is_checkpoint
from supervisor.environments import ROOT, BuildError, Environment, clean_environment
from supervisor.weights.errors import FetchError
from supervisor.weights.progress import Progress

_ENVIRONMENT = "qwen"
"""It has torch and transformers, which the converter reads checkpoints with."""


def unconverted(folder: Path, model_dir: Path) -> list[Path]:
    """The file that is missing for `folder` to be served; none where it needs no conversion, or has one."""
    if not is_checkpoint(folder):
        return []
    model = converted(folder, model_dir) / "model.bin"
    return [] if model.exists() else [model]


def convert(folder: Path, model_dir: Path, progress: Progress) -> None:
    """Convert the checkpoint in `folder` into MODEL_DIR's cache, where that is not done yet.

    Raises `FetchError` for a folder without such a checkpoint, and with the converter's last words.
    """
    if not is_checkpoint(folder):
        raise FetchError(f"{folder} holds no Whisper checkpoint in Hugging Face's format")
    target = converted(folder, model_dir)
    if (target / "model.bin").exists():
        return
    progress.say(f"{folder}: converting to CTranslate2's format (some minutes for a large one)")
    try:
        environment = Environment(_ENVIRONMENT)
        environment.ensure()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
            whole = Path(scratch) / "whole"
            command = [str(environment.python), "-m", "adapters.whisper.conversion", str(folder.absolute()), str(whole)]
            done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, check=False)
            if done.returncode:
                lines = done.stderr.decode(errors="replace").splitlines()
                words = [line.strip() for line in lines if line.strip()]
                raise FetchError(f"{folder} cannot be converted: {words[-1] if words else f'status {done.returncode}'}")
            shutil.rmtree(target, ignore_errors=True)
            whole.replace(target)
    except (BuildError, OSError) as error:
        raise FetchError(f"{folder} cannot be converted: {error}") from error
    progress.say(f"{folder}: converted, in {target}")
