"""Loading of Whisper checkpoints in CTranslate2's format, or converted to it."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from adapters.triton.instance import Instance
from adapters.whisper import hugging_face
from adapters.whisper.settings import WHISPER_COMPUTE_TYPE

_FILES: tuple[tuple[str, ...], ...] = (
    ("model.bin",),
    ("config.json",),
    ("tokenizer.json",),
    ("vocabulary.json", "vocabulary.txt"),
)
"""The files of a checkpoint, one of each row. faster-whisper would request a missing tokenizer from a model hub."""

_PREFERRED = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8_float16", "int8", "float32")}
"""On a CPU int8 is as accurate as float32, in 15 % less time and a quarter of the memory."""


def load(instance: Instance, model_dir: Path) -> WhisperModel:
    """Load the checkpoint of the instance's folder on its device; WHISPER_COMPUTE_TYPE overrides the precision.

    For a checkpoint in Hugging Face's format, its conversion below `model_dir` is loaded. Raises `FileNotFoundError`
    with the file and the folder for a checkpoint that is incomplete or not converted.
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
    instance = usable(instance)
    whisper = WhisperModel(
        str(instance.folder),
        device=instance.device,
        device_index=instance.device_index,
        compute_type=WHISPER_COMPUTE_TYPE.read() or preferred(instance.device, instance.device_index),
        cpu_threads=instance.threads,
        num_workers=parallel_calls(instance.device) + 1,  # one more for background batches
        local_files_only=True,
    )
    if whisper.model.n_mels != whisper.feature_extractor.mel_filters.shape[0]:
        _require(instance.folder, "preprocessor_config.json")  # its default is only right for models of 80 mels
    return whisper


def usable(instance: Instance) -> Instance:
    """Return the instance on the CPU if CTranslate2 has no CUDA, as in its wheels for aarch64."""
    if instance.device == "cuda" and platform.machine() == "aarch64" and not ctranslate2.get_cuda_device_count():
        return replace(instance, device="cpu", device_index=0)
    return instance


def preferred(device: str, index: int = 0) -> str:
    """Return the default precision: the first of the preferred ones that the device supports natively."""
    native = ctranslate2.get_supported_compute_types(device, index)
    return next(compute_type for compute_type in _PREFERRED[device] if compute_type in native)


def parallel_calls(device: str) -> int:
    """Return the number of parts of a batch that are best decoded side by side.

    On a CPU two: the steps of a decoder are too small to keep more than one or two cores busy, so two halves take three
    fifths of the time. A GPU is fastest with the whole batch.
    """
    return 2 if device == "cpu" else 1


def _require(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"{' or '.join(names)} is missing in {folder}; run scripts/fetch_models")
