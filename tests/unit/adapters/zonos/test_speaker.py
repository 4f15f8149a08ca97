"""The embedding of a voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.zonos.loading import SPEAKER_FOLDER
from adapters.zonos.speaker import SpeakerEncoder
from tritone.contract import SPEECH_RATE


@pytest.fixture(scope="module")
def encoder(models: Path) -> SpeakerEncoder:
    return SpeakerEncoder.load(models / SPEAKER_FOLDER, torch.device("cpu"))


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    angles = np.arange(int(seconds * SPEECH_RATE)) * (2 * np.pi * hertz / SPEECH_RATE)
    return (0.1 * np.sin(angles) + 0.02 * np.sin(3 * angles)).astype(np.float32)


def test_a_recording_of_any_length_has_an_embedding(encoder: SpeakerEncoder) -> None:
    for seconds in (1.0, 1.37, 3.0):
        embedding = encoder(tone(200, seconds))
        assert embedding.shape == (128,)
        assert torch.isfinite(embedding).all()


def test_different_voices_have_different_embeddings(encoder: SpeakerEncoder) -> None:
    low, high = encoder(tone(120)), encoder(tone(900))
    assert torch.equal(low, encoder(tone(120)))
    assert float((low - high).abs().max()) > 0.01


def test_the_band_of_a_tone_has_the_most_power(encoder: SpeakerEncoder) -> None:
    """The bands are in mels of HTK's formula: 80 triangles from 0 to 8 kHz."""
    angles = torch.arange(16_000) * (2 * torch.pi * 1000 / 16_000)
    tone_then_silence = torch.cat([torch.sin(angles), torch.zeros(16_000)])
    bands = encoder.bands(tone_then_silence)
    assert bands.shape == (80, 201)
    highest = 2595 * np.log10(1 + 8000 / 700)
    expected = 2595 * np.log10(1 + 1000 / 700) / highest * 81 - 1
    assert int((bands[:, 50] - bands[:, 150]).argmax()) == pytest.approx(expected, abs=1)
    assert bands.mean(1).abs().max() < 1e-4
