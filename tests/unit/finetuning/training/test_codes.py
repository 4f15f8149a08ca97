"""Clips become a data set: codes of the published encoder, cached by content, and one embedding for each speaker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.qwen3_tts.package import Qwen3TTSModel
from finetuning import clip_table
from finetuning.clip_table import Row
from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.project import Project
from finetuning.steps import codes as step
from finetuning.training.encoder import Encoder
from finetuning.wav import read_wav
from tests.unit.finetuning.recordings import speech, write
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_checkpoint(folder, "base", SHAPES["tiny"]["0.6B"])
    return folder


@pytest.fixture
def project(tmp_path: Path, base: Path) -> Project:
    """Two clips of one speaker and one of another."""
    project = Project.begin(tmp_path / "minsu", tmp_path / "models", {"start": str(base)})
    rows = []
    for number, (speaker, language) in enumerate([("minsu", "ko"), ("minsu", ""), ("zoe", "de")]):
        write(project.clips / f"{number}.wav", speech(1 + number / 4, hertz=150 + 60 * number))
        rows.append(Row(f"clips/{number}.wav", f"Clip  {number}.", speaker, language, seconds=1.0))
    clip_table.write(project.table, rows)
    return project


def test_codes_and_embeddings_are_those_of_the_published_package(project: Project, base: Path) -> None:
    step.codes(project)
    dataset = Dataset.read(project.dataset)
    package = Qwen3TTSModel.from_pretrained(
        str(base), device_map="cpu", dtype=torch.float32, attn_implementation="sdpa"
    ).model
    vectors = []
    for clip in dataset.clips:
        samples = read_wav(Path(clip.audio))
        expected = package.speech_tokenizer.encode([samples], sr=24_000).audio_codes[0]
        assert np.array_equal(dataset.codes[clip.id], expected.numpy())
        vectors.append(package.extract_speaker_embedding(audio=samples, sr=24_000).numpy())
    np.testing.assert_allclose(dataset.speakers["zoe"], vectors[2], rtol=1e-4, atol=1e-6)
    mean = (vectors[0] + vectors[1]) / 2
    length = (np.linalg.norm(vectors[0]) + np.linalg.norm(vectors[1])) / 2
    np.testing.assert_allclose(dataset.speakers["minsu"], mean / np.linalg.norm(mean) * length, rtol=1e-4, atol=1e-6)
    assert [(clip.text, clip.language) for clip in dataset.clips] == [
        ("Clip 0.", "korean"),
        ("Clip 1.", "auto"),
        ("Clip 2.", "german"),
    ]


def test_reference_alone_gives_the_embedding_where_all_clips_name_it(project: Project, base: Path) -> None:
    write(project.clips / "ref.wav", speech(2, hertz=400))
    rows = [replace(row, ref_audio="clips/ref.wav") for row in clip_table.read(project.table)]
    clip_table.write(project.table, rows)
    step.codes(project)
    expected = Encoder(base, "cpu").embedding(read_wav(project.clips / "ref.wav"))
    np.testing.assert_allclose(Dataset.read(project.dataset).speakers["minsu"], expected, rtol=1e-5)


def test_known_clips_are_not_encoded_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    step.codes(project)
    encoded: list[int] = []
    codes = Encoder.codes

    def count(self: Encoder, samples: np.ndarray) -> np.ndarray:
        encoded.append(len(samples))
        return codes(self, samples)

    monkeypatch.setattr(Encoder, "codes", count)
    write(project.clips / "1.wav", speech(0.8))
    step.codes(project)
    assert encoded == [19_200]


def test_half_written_entry_of_the_cache_is_made_again(project: Project) -> None:
    step.codes(project)
    before = Dataset.read(project.dataset)
    for path in (project.folder / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    step.codes(project)
    assert Dataset.read(project.dataset).hash() == before.hash()


def test_language_that_the_checkpoint_lacks_is_rejected_before_the_work(project: Project) -> None:
    clip_table.write(project.table, [replace(row, language="sw") for row in clip_table.read(project.table)])
    with pytest.raises(FineTuningError, match="clip 0 is in 'sw', which the checkpoint does not speak: choose from zh"):
        step.codes(project)
    assert not (project.folder / "cache").exists()


def test_checkpoint_without_weights_is_rejected(tmp_path: Path, base: Path) -> None:
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    with pytest.raises(FineTuningError, match="is no Base checkpoint"):
        Encoder(tmp_path, "cpu")
