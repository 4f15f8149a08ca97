"""Mixing channels to mono."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.mixdown import Mixdown
from tests.unit.gateway.recordings import RATE
from tritone.windowing import Samples


def band(seed: int, seconds: float = 3.0) -> Samples:
    """Return noise in the band of speech, 100 to 4000 Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE)))
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    noise = np.fft.irfft(spectrum * ((hertz > 100) & (hertz < 4000)))
    return (0.3 * noise / np.abs(noise).max()).astype(np.float32)


VOICE, OTHER = band(1), band(2)
NONE = np.zeros_like(VOICE)
ONE_VOICE = {
    "in phase": [VOICE, VOICE],
    "opposite": [VOICE, -VOICE],
    "opposite and quieter": [VOICE, -0.7 * VOICE],
    "on the left only": [VOICE, NONE],
    "on the right only": [NONE, VOICE],
    "three channels, one opposite": [VOICE, VOICE, -VOICE],
    "four channels in pairs": [VOICE, -VOICE, -VOICE, VOICE],
    "5.1 with opposite fronts": [VOICE, -VOICE, NONE, NONE, NONE, NONE],
    "5.1 with an opposite centre": [VOICE, VOICE, -VOICE, NONE, NONE, NONE],
    "5.1 with the centre only": [NONE, NONE, VOICE, NONE, NONE, NONE],
    "eight channels, alternating": [VOICE, -VOICE] * 4,
    "ten channels, in pairs": [VOICE, VOICE, -VOICE, -VOICE] * 2 + [VOICE, -VOICE],
}


def mixed(*channels: Samples, block: int = RATE) -> Samples:
    recording = np.stack(channels, axis=1)
    mixdown = Mixdown(len(channels), RATE)
    blocks = [mixdown.write(recording[start : start + block]) for start in range(0, len(recording), block)]
    return np.concatenate([*blocks, mixdown.finish()])


def decibels(found: Samples, wanted: Samples) -> float:
    return float(20 * np.log10(np.linalg.norm(found) / np.linalg.norm(wanted)))


def share_of(voice: Samples, mix: Samples) -> float:
    """Return the correlation of two recordings' spectra over short times, whatever their phases are."""
    spectra = [np.abs(np.fft.rfft(pcm.reshape(-1, RATE // 10))).ravel() for pcm in (voice, mix)]
    return float(np.corrcoef(np.stack(spectra))[0, 1])


@pytest.mark.parametrize("channels", ONE_VOICE.values(), ids=ONE_VOICE)
def test_voice_is_kept_whatever_the_phases_of_its_channels_are(channels: list[Samples]) -> None:
    mix = mixed(*channels)
    assert len(mix) == len(VOICE)
    assert decibels(mix, VOICE) > -8
    assert share_of(VOICE, mix) > 0.9


def test_mono_in_two_channels_stays_as_it_is() -> None:
    np.testing.assert_array_equal(mixed(VOICE, VOICE), VOICE)


def test_both_of_two_speakers_are_kept_where_one_is_in_opposite_phase() -> None:
    mix = mixed(VOICE + OTHER, VOICE - OTHER)
    assert share_of(VOICE, mix) > 0.5
    assert share_of(OTHER, mix) > 0.5


def test_voice_in_opposite_phase_is_kept_beside_a_louder_hum_in_phase() -> None:
    hum = np.sin(2 * np.pi * 50 * np.arange(len(VOICE)) / RATE).astype(np.float32)
    mix = mixed(0.15 * VOICE + hum, -0.15 * VOICE + hum)
    without_hum = np.fft.irfft(np.fft.rfft(mix) * (np.fft.rfftfreq(len(mix), 1 / RATE) > 90)).astype(np.float32)
    assert decibels(without_hum, 0.15 * VOICE) == pytest.approx(0, abs=1)


def test_level_stays_where_the_phase_changes_within_a_recording() -> None:
    flipped = np.where(np.arange(len(VOICE)) < 1.3 * RATE, VOICE, -VOICE).astype(np.float32)
    mix = mixed(VOICE, flipped)
    for start in range(0, len(VOICE), RATE // 4):
        part = slice(start, start + RATE // 4)
        assert decibels(mix[part], VOICE[part]) == pytest.approx(0, abs=1)


def test_blocks_of_any_size_give_as_many_samples() -> None:
    for block in (1, 160, 4801):
        assert len(mixed(VOICE[:5000], -VOICE[:5000], block=block)) == 5000


def test_values_that_are_no_numbers_do_not_spread() -> None:
    broken = VOICE.copy()
    broken[RATE : RATE + 100] = np.nan
    broken[RATE + 100 : RATE + 200] = np.inf
    mix = mixed(broken, -broken)
    assert np.isfinite(mix).all()
    assert share_of(VOICE[2 * RATE :], mix[2 * RATE :]) > 0.9
