"""The start of a fine-tuning: by default Base of the right size, or what the user names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetuning.errors import FineTuningError
from finetuning.project import Options
from finetuning.starts import Start, choose

SMALL, LARGE = "Qwen3-TTS-12Hz-0.6B-Base", "Qwen3-TTS-12Hz-1.7B-Base"
CUSTOM = "Qwen3-TTS-12Hz-1.7B-CustomVoice"
MODELS = Path("/models")


def start(*, gpu: bool = True, **options: object) -> Start:
    return choose(Options(**options), MODELS, gpu=gpu, environ={})  # type: ignore[arg-type]


def checkpoint(folder: Path, kind: str, size: str = "1b7") -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"tts_model_type": kind, "tts_model_size": size}))
    return str(folder)


def test_default_is_base_large_on_a_gpu_and_small_on_a_cpu() -> None:
    assert start() == Start(MODELS / LARGE, MODELS / LARGE, (LARGE,))
    assert start(gpu=False) == Start(MODELS / SMALL, MODELS / SMALL, (SMALL,))


@pytest.mark.parametrize("name", ["qwen3-tts-0.6b-clone", "Qwen/Qwen3-TTS-12Hz-0.6B-Base", SMALL])
def test_start_is_named_by_an_id_an_alias_or_the_weights(name: str) -> None:
    assert start(start=name).folder == MODELS / SMALL


def test_kept_voices_start_from_custom_voice_and_take_the_encoders_of_base() -> None:
    assert start(keep_voices=True) == Start(MODELS / CUSTOM, MODELS / LARGE, (CUSTOM, LARGE))
    assert start(start="qwen3-tts-1.7b") == Start(MODELS / CUSTOM, MODELS / LARGE, (CUSTOM, LARGE))


def test_folder_of_base_is_its_own_encoder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "base")
    assert start(start=folder) == Start(tmp_path, tmp_path)


def test_setting_of_the_models_path_is_followed(tmp_path: Path) -> None:
    environ = {"VOICE_CLONE_MODEL_PATH": checkpoint(tmp_path, "base")}
    assert choose(Options(), MODELS, gpu=True, environ=environ) == Start(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("voice_design", "is a checkpoint for voice_design: start from Base or CustomVoice"),
        ("whisper", "no known model is like it; start from Base or CustomVoice"),
    ],
)
def test_checkpoint_of_another_kind_is_rejected(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(FineTuningError, match=message):
        start(start=checkpoint(tmp_path, kind))


def test_unknown_name_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match=r"no such model; choose from qwen3-tts-0\.6b, "):
        start(start="qwen9")
