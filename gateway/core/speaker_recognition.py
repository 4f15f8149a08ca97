"""The use cases `speaker_of` and `identify`: whose speech a recording holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np

from gateway.audio.decoding import AudioFile
from gateway.core.errors import ModelUnavailable
from gateway.core.services import Services
from gateway.core.speaker_encoder import ALIKE, SHORTEST, SpeakerEmbedding, SpeakerEncoder
from gateway.core.voices.sample import likeness, speech_alone, speech_frames, stored_embedding
from gateway.core.voices.voice import Voice
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples, SpeechDetector

MODEL: Final = "speaker-embedding"
SAME_SPEAKER: Final = 1 - ALIKE
"""The largest distance of two recordings of one speaker, measured where `ALIKE` is."""
_LONGEST: Final = 120.0
"""Seconds of a recording."""
_PIECE: Final = 6 * LISTEN_RATE
"""Samples that have one embedding; that of a recording is their mean."""


@dataclass(frozen=True)
class Match:
    """A registered voice, and its distance to a recording."""

    voice: Voice
    distance: float


async def speaker_of(services: Services, file: BinaryIO, field: str) -> tuple[SpeakerEmbedding, float]:
    """Return the embedding of the speech in a recording, a unit vector [256], and the recording's seconds.

    Raises `InvalidInput` for `field` if it holds too little speech, `PayloadTooLarge` over two minutes, and
    `ModelUnavailable` without the networks' files.
    """
    if problem := services.speaker_encoder.missing:
        raise ModelUnavailable(problem)
    await services.detectors.load()
    work = services.detectors.new(), services.speaker_encoder
    return await run_in(services.workers.voices, _embedding, file, field, *work)


async def identify(services: Services, owner: str, speaker: SpeakerEmbedding) -> list[Match]:
    """Return the owner's registered voices, the nearest first."""
    matches = []
    for voice in await services.voices.voices(owner):
        file = await services.voices.audio(owner, voice)
        if file is None:
            continue  # it was deleted meanwhile
        known = await run_in(services.workers.voices, stored_embedding, file, services.speaker_encoder)
        if known is not None:
            matches.append(Match(voice, distance(known, speaker)))
    return sorted(matches, key=lambda match: match.distance)


def distance(one: SpeakerEmbedding, other: SpeakerEmbedding) -> float:
    """Return the cosine distance: 0 for equal embeddings, about 1 for strangers, at most 2."""
    return max(0.0, 1 - likeness(one, other))


def _embedding(
    file: BinaryIO, field: str, detector: SpeechDetector, encoder: SpeakerEncoder
) -> tuple[SpeakerEmbedding, float]:
    audio = AudioFile(file, LISTEN_RATE, _LONGEST, field)
    pcm: Samples = np.concatenate(list(audio.clean_blocks()))
    speech = speech_alone(pcm, speech_frames(pcm, detector))
    if len(speech) < SHORTEST * LISTEN_RATE:
        problem = f"{len(speech) / LISTEN_RATE:.1f} s of speech are in it; give {SHORTEST} s or more of one speaker"
        raise InvalidInput(field, problem)
    pieces = np.array_split(speech, max(1, round(len(speech) / _PIECE)))
    total = np.sum([encoder.encode(piece) for piece in pieces], axis=0)
    mean: SpeakerEmbedding = total / np.linalg.norm(total)
    return mean, audio.seconds
