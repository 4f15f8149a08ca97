"""A Whisper checkpoint in Hugging Face's format in the place of a model's own weights."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from faster_whisper import WhisperModel

from adapters.whisper.hugging_face import converted
from supervisor.environments import Environment
from tests.e2e.server import ROOT

PUBLISHED = Path(os.environ.get("MODEL_DIR") or ROOT / "models") / "whisper-base"
PROMPT = [50258, 50259, 50359, 50363]
"""The prompt of tools/tiny_models/whisper.py, which can be imported only in another environment."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random whisper-small in Hugging Face's format, and its conversion by `scripts/fetch_models`."""
    folder = tmp_path_factory.mktemp("models")
    python = Environment("qwen").python
    maker: list[str | Path] = [
        python,
        "-m",
        "tools.tiny_models.whisper",
        folder / "whisper-small",
        PUBLISHED / "tokenizer.json",
    ]
    subprocess.run(maker, cwd=ROOT, check=True)
    subprocess.run([ROOT / "scripts/fetch_models", "--model-dir", folder, "whisper-small"], check=True)
    return folder


@pytest.fixture(scope="module")
def whisper(model_dir: Path) -> WhisperModel:
    """The converted model."""
    folder = converted(model_dir / "whisper-small", model_dir)
    return WhisperModel(str(folder), device="cpu", compute_type="float32", local_files_only=True)


def test_converted_model_generates_the_tokens_of_the_original(model_dir: Path, whisper: WhisperModel) -> None:
    features = np.load(model_dir / "whisper-small" / "features.npy")
    expected = np.load(model_dir / "whisper-small" / "tokens.npy").tolist()
    [result] = whisper.model.generate(
        ctranslate2.StorageView.from_array(features),
        [PROMPT],
        beam_size=1,
        max_length=2 * len(expected),  # half of it is for the prompt
        suppress_blank=False,
        suppress_tokens=[],
    )
    assert len(set(expected)) > 4
    assert result.sequences_ids[0] == expected


def test_converted_model_has_the_tokenizer_and_the_languages_of_the_original(whisper: WhisperModel) -> None:
    assert whisper.model.is_multilingual
    assert whisper.hf_tokenizer.encode(" naïve 🦊", add_special_tokens=False).ids == (
        WhisperModel(str(PUBLISHED), device="cpu").hf_tokenizer.encode(" naïve 🦊", add_special_tokens=False).ids
    )
    segments, info = whisper.transcribe(np.zeros(16_000, np.float32), beam_size=1, temperature=0.0, max_new_tokens=4)
    assert info.language in whisper.supported_languages
    list(segments)


def test_converted_model_is_not_converted_again(model_dir: Path) -> None:
    model = converted(model_dir / "whisper-small", model_dir) / "model.bin"
    before = model.stat()
    again = subprocess.run(
        [ROOT / "scripts/fetch_models", "--model-dir", model_dir, "whisper-small"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "converting" not in again.stderr
    assert (model.stat().st_ino, model.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
