"""Faster and slower speech: the exact length, and the same pitch."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.tempo import Tempo

RATE = 24_000


def changed(samples: np.ndarray, factor: float, chunk: int) -> list[np.ndarray]:
    tempo = Tempo(factor, RATE)
    pieces = [tempo.write(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    return [*pieces, tempo.finish()]


@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5, 0.9, 1.1, 2.0, 3.0, 4.0])
def test_the_length_is_divided_by_the_factor(factor: float) -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 3 * RATE + 77, dtype=np.int16)
    assert len(np.concatenate(changed(samples, factor, 5000))) == pytest.approx(len(samples) / factor, abs=1)


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.7, 4.0])
def test_the_pitch_stays(factor: float) -> None:
    tone = (9000 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE) / RATE)).astype(np.int16)
    result = np.concatenate(changed(tone, factor, 12_000))
    spectrum = np.abs(np.fft.rfft(result * np.hanning(len(result))))
    assert np.argmax(spectrum) * RATE / len(result) == pytest.approx(300, rel=0.02)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
def test_the_end_of_the_speech_is_kept(factor: float) -> None:
    samples = np.zeros(2 * RATE, np.int16)
    samples[-RATE // 4 :] = 9000 * np.sin(2 * np.pi * 300 * np.arange(RATE // 4) / RATE)
    result = np.concatenate(changed(samples, factor, 12_000)).astype(float)
    tail = result[-round(0.2 * RATE / factor) :]
    assert np.sqrt(np.mean(tail**2)) > 5000


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
def test_audio_is_ready_after_the_first_half_second(factor: float) -> None:
    samples = np.full(RATE, 1000, np.int16)
    assert len(changed(samples, factor, RATE // 2)[0]) > 0


def test_no_samples_give_no_samples() -> None:
    assert len(Tempo(1.5, RATE).finish()) == 0
