"""Silero's speech detector, with its real weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from gateway.audio.decoding import AudioFile
from tests.unit.gateway.recordings import RATE, tone
from tritone.vad import MissingWeightsError, Vad, load
from tritone.windowing import FRAME, Samples


@pytest.fixture(scope="module")
def session(weights: Path) -> Any:
    return load(weights)


@pytest.fixture(scope="module")
def published(weights: Path) -> Any:
    """The network as its file has it."""
    file = weights / "silero-vad" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def vowels(seconds: float) -> Samples:
    """Make a synthetic voice: a pulse train at a voice's pitch, through the resonances of the vowel `a`."""
    n = round(seconds * RATE)
    time = np.arange(n) / RATE
    voice = np.diff(np.floor(np.cumsum(120 * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / RATE), prepend=0)
    for hertz, width in ((700, 90), (1200, 110), (2600, 160)):
        ring = np.exp(-np.pi * width * time[:800]) * np.sin(2 * np.pi * hertz * time[:800])
        voice = np.convolve(voice, ring)[:n]
    return (voice / np.abs(voice).max() * 0.5).astype(np.float32)


def framed(pcm: Samples) -> Samples:
    return pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME)


def test_voice_has_a_high_probability_and_silence_noise_and_tones_a_low_one(session: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    for other in (np.zeros(2 * RATE, np.float32), noise, tone(2)):
        assert Vad(session)(framed(other)).max() < 0.35
    silence = np.zeros(RATE, np.float32)
    probability = Vad(session)(framed(np.concatenate([silence, vowels(1), silence])))
    assert probability[31:62].max() > 0.8
    assert probability[:28].max() < 0.1
    assert probability[-15:].max() < 0.35


def readings(weights: Path) -> Samples:
    """Return half a minute of speech by several readers."""
    parts = []
    for path in sorted((weights / "test-recordings" / "librivox").glob("*.wav"))[:6]:
        with path.open("rb") as file:
            parts += list(AudioFile(file, RATE, 60, "file").clean_blocks())
    return np.concatenate(parts)


def test_probabilities_are_those_of_the_published_network(weights: Path, session: Any, published: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
    quiet, silence = 0.001 * vowels(5), np.zeros(5 * RATE, np.float32)
    frames = framed(np.concatenate([readings(weights), silence, noise, quiet, np.sign(noise)]))
    ours, theirs = Vad(session), Vad(published)
    for some in np.array_split(frames, 7):
        np.testing.assert_allclose(ours(some), theirs(some), rtol=0, atol=1e-5)


def test_detector_gives_the_same_for_frames_one_by_one(session: Any) -> None:
    frames = framed(vowels(1))
    together, one_by_one = Vad(session), Vad(session)
    singly = np.concatenate([one_by_one(frame[None]) for frame in frames])
    # On some processors a product with one row is rounded otherwise than one with many.
    np.testing.assert_allclose(together(frames), singly, rtol=0, atol=1e-5)


def test_detectors_of_one_network_do_not_affect_each_other(session: Any) -> None:
    frames = framed(vowels(1))
    alone, one, other = Vad(session), Vad(session), Vad(session)
    for frame in frames:
        other(framed(np.ones(FRAME, np.float32)))
        assert one(frame[None]).item() == alone(frame[None]).item()


def test_missing_network_is_reported_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(
        MissingWeightsError,
        match=r"silero_vad_16k_sequence\.onnx is missing; fetch it with: scripts/fetch_models silero",
    ):
        load(tmp_path)
