"""The figures of `scripts/bench kokoro`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from benchmarks.kokoro import Timing, _transcript, compare, log_mel_distance
from benchmarks.spoken_sentences import SENTENCES, VOICES
from tritone.contract import LISTEN_RATE, SPEECH_RATE


def taking(*seconds: float) -> Callable[[], Timing]:
    """Return a contestant that takes so many seconds for two of audio, one time after the other."""
    runs = iter(seconds)

    def measure() -> Timing:
        whole = next(runs)
        return Timing(first_audio_s=whole / 2, whole_s=whole, cpu_s=2 * whole, audio_s=2.0)

    return measure


def test_ratios_are_those_of_each_round() -> None:
    figures = compare({"published": taking(9, 4, 8, 2), "ours": taking(9, 2, 2, 2)}, rounds=3)
    assert figures["published"]["published_to_this"] == {"first_audio": 1, "real_time_factor": 1, "cpu": 1}
    assert figures["ours"] == {
        "first_audio_s": 1,
        "real_time_factor": 1,
        "cpu_s_per_s_of_audio": 2,
        "published_to_this": {"first_audio": 2, "real_time_factor": 2, "cpu": 2},
    }


@pytest.mark.parametrize(("factor", "decibels"), [(1.0, 0.0), (10**0.1, 2.0)])
def test_log_mel_distance_of_louder_samples_is_their_gain(factor: float, decibels: float) -> None:
    samples = np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    assert log_mel_distance(samples, samples * np.float32(factor)) == pytest.approx(decibels, abs=1e-3)


def test_whisper_gets_no_tone_that_its_rate_cannot_hold() -> None:
    heard: list[NDArray[np.float32]] = []

    class Whisper:
        def transcribe(self, samples: NDArray[np.float32], language: str) -> tuple[list[Any], None]:
            heard.append(samples)
            return [], None

    seconds = np.arange(SPEECH_RATE) / SPEECH_RATE
    for hertz in (1_000, 10_000):
        _transcript(cast(WhisperModel, Whisper()), (0.5 * np.sin(2 * np.pi * hertz * seconds)).astype(np.float32), "en")
    levels = [float(np.sqrt(np.mean(samples**2))) for samples in heard]
    assert [len(samples) for samples in heard] == pytest.approx([LISTEN_RATE] * 2, abs=64)
    assert levels == pytest.approx([0.5 / 2**0.5, 0], abs=0.01)


def test_every_language_has_ten_sentences_and_voices() -> None:
    assert {language: len(texts) for language, texts in SENTENCES.items()} == dict.fromkeys(VOICES, 10)
