"""Quiet speech, whispering and sounds that are no speech, with the real detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from tests.unit.gateway.recordings import RATE
from tests.unit.tritone.non_speech import non_speech
from tritone.vad import Vad, load
from tritone.windowing import Samples, Window, split_at_silence

SILENCE = np.zeros(RATE, np.float32)
LIKE_VOWELS = {"mains hum", "strings"}
"""Sounds that the detector may take for a vowel at any level; no words are heard in them (tests/e2e)."""


@pytest.fixture(scope="module")
def session(weights: Path) -> Any:
    return load(weights)


@pytest.fixture(scope="module")
def sentence(weights: Path) -> Samples:
    """A sentence of three seconds, read aloud."""
    path = weights / "test-recordings" / "librivox" / "sense_and_sensibility_01_austen_64kb-0880.wav"
    with path.open("rb") as file:
        return np.concatenate(list(AudioFile(file, RATE, 60, "file").clean_blocks()))


def at(sound: Samples, decibels: float) -> Samples:
    """Return `sound` with an RMS of `decibels`, as a recording of 16 bits holds it."""
    scaled = sound / np.sqrt(np.mean(sound**2)) * 10 ** (decibels / 20)
    return (np.round(np.clip(scaled, -1, 1) * 32767) / 32768).astype(np.float32)


def whispered(speech: Samples) -> Samples:
    """Return speech with noise in place of the voice: the outline of its spectrum, with random phases."""
    size, step = 512, 128
    window = np.hanning(size)
    padded = np.pad(speech, size)
    noise = np.random.default_rng(0).standard_normal(len(padded))
    found = np.zeros(len(padded))
    for start in range(0, len(padded) - size, step):
        part = slice(start, start + size)
        cepstrum = np.fft.irfft(np.log(np.abs(np.fft.rfft(padded[part] * window)) + 1e-7))
        cepstrum[25:-25] = 0  # the pitch
        outline = np.exp(np.fft.rfft(cepstrum).real)
        found[part] += np.fft.irfft(outline * np.fft.rfft(noise[part] * window)) * window
    return found[size:-size].astype(np.float32)


def windows(session: Any, *parts: Samples) -> list[Window]:
    recording = np.concatenate(parts)
    blocks = [recording[start : start + RATE] for start in range(0, len(recording), RATE)]
    return list(split_at_silence(blocks, Vad(session)))


@pytest.mark.parametrize("decibels", [-20, -50, -60, -70])
@pytest.mark.parametrize("whisper", [False, True])
def test_speech_of_any_level_is_found_whole_and_raised(
    session: Any, sentence: Samples, decibels: float, whisper: bool
) -> None:
    (loud,) = windows(session, SILENCE, at(sentence, -20), SILENCE)
    (found,) = windows(session, SILENCE, at(whispered(sentence) if whisper else sentence, decibels), SILENCE)
    assert found.start_seconds <= loud.start_seconds + 0.1
    assert found.start_seconds + found.seconds >= loud.start_seconds + loud.seconds - 0.2
    assert np.sqrt(np.mean(found.samples**2)) > 0.01
    assert np.abs(found.samples).max() <= 1


@pytest.mark.parametrize("decibels", [-45, -63])
def test_quiet_beginning_or_end_of_a_loud_recording_is_kept(session: Any, sentence: Samples, decibels: float) -> None:
    quiet, loud = at(sentence, decibels), at(sentence, -20)
    for parts in ((quiet, SILENCE, loud), (loud, SILENCE, quiet)):
        (found,) = windows(session, *parts)
        assert found.seconds > 2 * len(sentence) / RATE + 0.6


def test_quiet_recording_longer_than_a_window_is_found_whole(session: Any, sentence: Samples) -> None:
    quiet = np.concatenate([at(sentence, -63), SILENCE])
    found = windows(session, *[quiet] * 12)
    assert sum(window.seconds for window in found) > 12 * len(sentence) / RATE


@pytest.mark.parametrize("decibels", [-20, -40, -50, -60, -70])
def test_sound_without_speech_is_left_out_at_any_level(session: Any, decibels: float) -> None:
    found = {name for name, sound in non_speech().items() if windows(session, at(sound, decibels))}
    assert found <= LIKE_VOWELS


def test_sound_without_speech_before_a_loud_sentence_is_left_out(session: Any, sentence: Samples) -> None:
    for name in ("white noise", "typing", "breathing", "a fan"):
        (found,) = windows(session, at(non_speech()[name], -55), at(sentence, -20))
        assert found.start_seconds > 4, name


def test_silence_of_any_kind_gives_no_window(session: Any) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 5 * RATE).astype(np.float32) / 32768
    for silence in (np.zeros(5 * RATE, np.float32), dither, dither + np.float32(0.01)):
        assert windows(session, silence) == []


def level(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2))))


@pytest.mark.parametrize("decibels", [-50, -60])
def test_quiet_part_of_a_window_is_raised_and_the_loud_part_stays(
    session: Any, sentence: Samples, decibels: float
) -> None:
    quiet, loud = at(sentence, decibels), at(sentence, -20)
    for parts in ((quiet, SILENCE, loud), (loud, SILENCE, quiet)):
        (found,) = windows(session, *parts)
        recording = np.concatenate(parts)[found.start : found.start + len(found.samples)]
        first, last = slice(RATE // 2, 2 * RATE), slice(len(recording) - 2 * RATE, len(recording) - RATE // 2)
        of_quiet, of_loud = (first, last) if parts[0] is quiet else (last, first)
        assert level(found.samples[of_quiet]) > -45 > level(recording[of_quiet])
        assert np.array_equal(found.samples[of_loud], recording[of_loud])


def test_parts_of_an_ordinary_recording_stay_as_they_are(session: Any, sentence: Samples) -> None:
    recording = np.concatenate([at(sentence, -20), SILENCE, at(sentence, -26)])
    (found,) = windows(session, recording)
    assert np.allclose(found.samples, recording[found.start : found.start + len(found.samples)], rtol=0.01, atol=0)
