"""Loading a Whisper checkpoint in CTranslate2's format, or one that was converted to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from adapters.settings import WHISPER_COMPUTE_TYPE
from adapters.triton.instance import Instance
from adapters.whisper import hugging_face

_FILES: tuple[tuple[str, ...], ...] = (
    ("model.bin",),
    ("config.json",),
    ("tokenizer.json",),
    ("vocabulary.json", "vocabulary.txt"),
)
"""What a folder must hold; one of each. faster-whisper would ask a model hub for a missing tokenizer."""

_PREFERRED = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8_float16", "int8", "float32")}
"""On a CPU int8 hears as well as float32, in 15 % less time and a quarter of the memory."""


def load(instance: Instance, model_dir: Path) -> WhisperModel:
    """The model of the instance's folder, on its device; WHISPER_COMPUTE_TYPE overrides how it computes.

    A checkpoint in Hugging Face's format is taken from where its conversion lies below `model_dir`. Raises
    `FileNotFoundError`, naming the file and the folder, for one that is not whole, or not converted.
    """
    if hugging_face.is_checkpoint(instance.folder):
        folder = hugging_face.converted(instance.folder, model_dir)
        if not folder.exists():
            raise FileNotFoundError(
                f"{instance.folder} is in Hugging Face's format; run scripts/fetch_models --convert {instance.folder}"
            )
        instance = replace(instance, folder=folder)
    for names in _FILES:
        _require(instance.folder, *names)
    whisper = WhisperModel(
        str(instance.folder),
        device=instance.device,
        device_index=instance.device_index,
        compute_type=WHISPER_COMPUTE_TYPE.read() or preferred(instance.device, instance.device_index),
        cpu_threads=instance.threads,
        num_workers=streams(instance.device) + 1,  # the last one is for what goes on beside
        local_files_only=True,
    )
    if whisper.model.n_mels != whisper.feature_extractor.mel_filters.shape[0]:
        _require(instance.folder, "preprocessor_config.json")  # its default suits the models of 80 mels alone
    return whisper


def preferred(device: str, index: int = 0) -> str:
    """How Whisper computes where nothing is said: the first that the device does natively."""
    native = ctranslate2.get_supported_compute_types(device, index)
    return next(compute_type for compute_type in _PREFERRED[device] if compute_type in native)


def streams(device: str) -> int:
    """How many parts of a batch are best decoded side by side.

    On a CPU two: a decoder's steps are too small to keep more than a core or two busy, so that two halves are done in
    three fifths of the time. A GPU wants the batch whole.
    """
    return 2 if device == "cpu" else 1


def _require(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"{' or '.join(names)} is missing in {folder}; run scripts/fetch_models")
