"""Recordings of people, checked by the real networks for speech and speakers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.core.speaker_encoder import ALIKE, SpeakerEncoder
from gateway.core.voices.sample import Sample, decode_stored, likeness, read_sample, stored_embedding, to_stored
from tests.unit.gateway.recordings import RATE, encoded, tone
from tritone import vad
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.voice_key import audio_digest
from tritone.windowing import Samples

READER = [f"librivox/sense_and_sensibility_01_austen_64kb-{n}.wav" for n in ("0870", "0890", "0920")]
OTHER = "f5-tts/basic_ref_en.wav"
Read = Callable[[Samples], Sample]
Person = Callable[[str], Samples]


@pytest.fixture(scope="module")
def person(weights: Path) -> Person:
    """A function that returns a test recording."""

    def person(name: str) -> Samples:
        with (weights / "test-recordings" / name).open("rb") as file:
            return np.concatenate(list(AudioFile(file, RATE, 60, "file").clean_blocks()))

    return person


@pytest.fixture(scope="module")
def speakers(weights: Path) -> SpeakerEncoder:
    return SpeakerEncoder(weights)


@pytest.fixture(scope="module")
def read(weights: Path, speakers: SpeakerEncoder) -> Read:
    """A function that reads a recording as a client's file."""
    session = vad.load(weights)

    def read(samples: Samples) -> Sample:
        return read_sample(encoded(samples, "flac", "flac"), "audio_sample", 10**8, vad.Vad(session), speakers)

    return read


def problem_of(read: Read, samples: Samples) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(samples)
    assert caught.value.field == "audio_sample"
    return caught.value.problem


@pytest.mark.parametrize("name", [*READER, OTHER])
def test_speech_of_one_person_is_accepted_whole(read: Read, person: Person, name: str) -> None:
    samples = person(name)
    assert read(samples).seconds == pytest.approx(len(samples) / RATE, abs=1.0)


def test_silence_around_the_speech_is_cut_off(read: Read, person: Person) -> None:
    silence = np.zeros(20 * RATE, np.float32)
    alone, within = (read(samples) for samples in (person(OTHER), np.concatenate([silence, person(OTHER), silence])))
    assert within.seconds == pytest.approx(alone.seconds, abs=0.5)


def test_two_speakers_are_rejected(read: Read, person: Person) -> None:
    dialogue = np.concatenate([person(READER[0]), person(OTHER)])
    assert problem_of(read, dialogue).startswith("2 speakers are in it")


def test_one_speaker_in_three_recordings_stays_one(read: Read, person: Person) -> None:
    assert read(np.concatenate([person(name) for name in READER])).seconds > 15


def test_noise_and_tones_are_no_speech(read: Read) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(5 * RATE)).astype(np.float32)
    for sound in (noise, tone(5.0)):
        assert problem_of(read, sound).startswith("0.0 s of speech are in it")


def test_likeness_tells_one_speaker_from_two(read: Read, person: Person, speakers: SpeakerEncoder) -> None:
    consent = stored_embedding(to_stored(read(person(READER[2])))[0], speakers)
    same, other = read(person(READER[1])).embedding, read(person(OTHER)).embedding
    assert consent is not None
    assert same is not None
    assert other is not None
    assert likeness(consent, same) > ALIKE > likeness(consent, other)


def test_a_stored_recording_is_read_as_its_digest_says(read: Read, person: Person) -> None:
    sample = read(person(OTHER))
    file, digest = to_stored(sample)
    samples = decode_stored(file)
    assert audio_digest(samples).hex() == digest
    assert len(samples) == len(sample.samples) == round(sample.seconds * SPEECH_RATE)
    assert np.abs(samples - sample.samples).max() < 2 / 32768
