"""Lowering the level of audio above full scale."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.limiter import Limiter
from tests.unit.gateway.recordings import RATE, tone
from tritone.windowing import Samples


def limited(samples: Samples, block: int = RATE) -> Samples:
    limiter = Limiter(RATE)
    blocks = [limiter.write(samples[start : start + block]) for start in range(0, len(samples), block)]
    return np.concatenate([*blocks, limiter.finish()])


def test_audio_within_full_scale_stays_as_it_is() -> None:
    for samples in (2 * tone(2.5), np.empty(0, np.float32), np.ones(7, np.float32)):
        np.testing.assert_array_equal(limited(samples), samples)


@pytest.mark.parametrize("gain", [2.5, 8.0, 1e6])
def test_loud_audio_is_lowered_without_distortion(gain: float) -> None:
    loud = limited((gain * tone(3)).astype(np.float32))
    assert np.abs(loud).max() <= 1
    spectrum = np.abs(np.fft.rfft(loud))
    assert spectrum.argmax() * RATE / len(loud) == pytest.approx(440, abs=1)
    assert np.sort(spectrum)[-20:].sum() > 0.95 * spectrum.sum()  # clipping makes odd harmonics


def test_no_value_is_too_large() -> None:
    assert np.abs(limited((1e38 * tone(1)).astype(np.float32))).max() <= 1


def test_single_peak_lowers_only_what_is_close_to_it() -> None:
    samples = tone(3)
    samples[RATE] = 7.0
    changed = np.flatnonzero(limited(samples) != samples)
    assert changed.min() > 0.97 * RATE
    assert changed.max() < 1.03 * RATE


def test_result_does_not_depend_on_the_blocks() -> None:
    samples = tone(2) * np.linspace(0, 5, 2 * RATE, dtype=np.float32)
    for block in (1000, 4801, 3 * RATE):
        np.testing.assert_allclose(limited(samples, block), limited(samples), atol=1e-6)
