"""Loading a Whisper checkpoint in CTranslate2's format."""

from __future__ import annotations

import os
from pathlib import Path

from faster_whisper import WhisperModel

from adapters.triton.instance import Instance

_FILES: tuple[tuple[str, ...], ...] = (
    ("model.bin",),
    ("config.json",),
    ("tokenizer.json",),
    ("vocabulary.json", "vocabulary.txt"),
)
"""What a folder must hold; one of each. faster-whisper would ask a model hub for a missing tokenizer."""

_COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
"""On a CPU int8 hears as well as float32, in 15 % less time and a quarter of the memory."""


def load(instance: Instance) -> WhisperModel:
    """The model of the instance's folder, on its device; WHISPER_COMPUTE_TYPE overrides how it computes.

    Raises `FileNotFoundError`, naming the file and the folder, for a checkpoint that is not whole.
    """
    for names in _FILES:
        _require(instance.folder, *names)
    whisper = WhisperModel(
        str(instance.folder),
        device=instance.device,
        device_index=instance.device_index,
        compute_type=os.environ.get("WHISPER_COMPUTE_TYPE") or _COMPUTE_TYPES[instance.device],
        cpu_threads=instance.threads,
        local_files_only=True,
    )
    if whisper.model.n_mels != whisper.feature_extractor.mel_filters.shape[0]:
        _require(instance.folder, "preprocessor_config.json")  # its default suits the models of 80 mels alone
    return whisper


def _require(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"{' or '.join(names)} is missing in {folder}; run scripts/fetch_models")
