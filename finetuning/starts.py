"""The checkpoint that a fine-tuning starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.qwen3_tts.settings import FAMILY
from finetuning.errors import FineTuningError
from finetuning.project import Options
from tritone.checkpoints import UnusableCheckpointError, by_setting, template_of
from tritone.families import ROOT, Mode, Model

_BASE: Final = "voice_clone"
_CUSTOM: Final = "custom_voice"
_SMALL, _LARGE = "0.6b", "1.7b"


@dataclass(frozen=True)
class Start:
    """A checkpoint, and the Base checkpoint of its size, whose encoders make codes and embeddings."""

    folder: Path
    base: Path
    weights: tuple[str, ...] = ()
    """The names of the weights that must be in MODEL_DIR."""


def choose(options: Options, model_dir: Path, *, gpu: bool, environ: Mapping[str, str] = os.environ) -> Start:
    """Return the start that the options name; by default Base in 1.7B on a GPU, and in 0.6B on a CPU.

    Raises `FineTuningError` for a name or a folder that is no Base or CustomVoice checkpoint.
    """
    folder: Path | None = None
    if options.start:
        model, folder = _named(options.start)
    else:
        model = _of(_BASE, _LARGE if gpu else _SMALL)
    if model.mode not in (_BASE, _CUSTOM):
        raise FineTuningError(f"{options.start} is a checkpoint for {model.mode}: start from Base or CustomVoice")
    if options.keep_voices and model.mode == _BASE:
        model, folder = _of(_CUSTOM, model.size), None
    base = _of(_BASE, model.size)
    needed: list[str] = []

    def place(model: Model) -> Path:
        try:
            own = by_setting(model, FAMILY, environ)
        except UnusableCheckpointError as error:
            raise FineTuningError(str(error)) from None
        if own is None:
            needed.append(model.weights)
        return own or model_dir / model.weights

    start = folder or place(model)
    return Start(start, start if model.mode == _BASE else place(base), tuple(dict.fromkeys(needed)))


def _named(name: str) -> tuple[Model, Path | None]:
    """Return the model that a name or a folder stands for, and the folder."""
    folder = ROOT / Path(name).expanduser()
    for model in FAMILY.models.values():
        if name in (model.id, *model.names, *model.aliases, model.weights) and not folder.is_dir():
            return model, None
    if not folder.is_dir():
        known = ", ".join(model.id for model in FAMILY.models.values() if model.mode in (_BASE, _CUSTOM))
        raise FineTuningError(f"--base {name}: there is no such folder, and no such model; choose from {known}")
    try:
        return template_of(folder, FAMILY), folder
    except UnusableCheckpointError as error:
        raise FineTuningError(f"--base {name}: {error}; start from Base or CustomVoice of Qwen3-TTS") from None


def _of(mode: Mode, size: str) -> Model:
    return next(model for model in FAMILY.models.values() if (model.mode, model.size) == (mode, size))
