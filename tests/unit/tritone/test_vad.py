"""Silero's detector, with its real weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.gateway.recordings import RATE, tone
from tritone.vad import MissingWeightsError, Vad, load
from tritone.windows import FRAME, Samples


@pytest.fixture(scope="module")
def session(weights: Path) -> Any:
    return load(weights)


def vowels(seconds: float) -> Samples:
    """A pulse train of a voice's pitch through the resonances of `a`: a robot's voice."""
    n = round(seconds * RATE)
    time = np.arange(n) / RATE
    voice = np.diff(np.floor(np.cumsum(120 * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / RATE), prepend=0)
    for hertz, width in ((700, 90), (1200, 110), (2600, 160)):
        ring = np.exp(-np.pi * width * time[:800]) * np.sin(2 * np.pi * hertz * time[:800])
        voice = np.convolve(voice, ring)[:n]
    return (voice / np.abs(voice).max() * 0.5).astype(np.float32)


def framed(pcm: Samples) -> Samples:
    return pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME)


def test_a_voice_is_told_from_silence_noise_and_tones(session: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    for other in (np.zeros(2 * RATE, np.float32), noise, tone(2)):
        assert Vad(session)(framed(other)).max() < 0.35
    heard = Vad(session)(framed(np.concatenate([np.zeros(RATE, np.float32), vowels(1), np.zeros(RATE, np.float32)])))
    assert heard[31:62].max() > 0.8
    assert heard[:28].max() < 0.1
    assert heard[-15:].max() < 0.35


def test_frames_may_come_one_by_one(session: Any) -> None:
    frames = framed(vowels(1))
    together, one_by_one = Vad(session), Vad(session)
    np.testing.assert_array_equal(together(frames), np.concatenate([one_by_one(frame[None]) for frame in frames]))


def test_recordings_keep_apart(session: Any) -> None:
    frames = framed(vowels(1))
    alone = Vad(session)(frames)
    one, other = Vad(session), Vad(session)
    for frame, expected in zip(frames, alone, strict=True):
        other(framed(np.ones(FRAME, np.float32)))
        assert one(frame[None]).item() == expected


def test_a_missing_network_is_told_with_what_brings_it(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"silero_vad_16k_sequence\.onnx is missing; scripts/fetch_models"):
        load(tmp_path)
