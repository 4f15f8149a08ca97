"""Check the recording of a voice, and cut off the silence around its speech."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.audio.decoding import AudioFile
from gateway.audio.encoder import encoder
from gateway.audio.frames import Pcm
from gateway.audio.ref_audio import decode_ref_audio
from gateway.core.clustering import average_linkage
from gateway.core.speaker_encoder import ALIKE, SpeakerEmbedding, SpeakerEncoder
from tritone.contract import LISTEN_RATE, REFERENCE_SECONDS, SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.levels import local_gains
from tritone.voice_key import audio_digest
from tritone.windowing import FRAME, Samples, SpeechDetector

_LONGEST: Final = 120.0
"""Seconds of a recording with the silence around its speech."""
_SPEECH: Final = 0.5
"""The probability from which on a frame is speech."""
_LEAST_SPEECH: Final = 0.6
"""Seconds; less is noise that resembles speech, or a word."""
_PAD: Final = 0.2
"""Seconds that are kept on both sides of the speech, because detectors miss soft consonants."""
_PIECE: Final = 2.0
"""Seconds of speech in which one speaker is told from another."""
_HOP: Final = 1.0
_LEAST_PIECES: Final = 2
"""Pieces of 2 s, one second apart, that another speaker must fill: one alone may be laughter or a cough."""


@dataclass(frozen=True)
class Sample:
    """A recording that can be cloned."""

    samples: Pcm
    """Mono at `SPEECH_RATE`, -1 to 1, `REFERENCE_SECONDS` long."""
    embedding: SpeakerEmbedding | None
    """The embedding of its speaker; None where the network for it is missing."""

    @property
    def seconds(self) -> float:
        """The length."""
        return len(self.samples) / SPEECH_RATE

    def to_flac(self) -> bytes:
        """Return it as a file of 16 bits a sample."""
        writer = encoder("flac", SPEECH_RATE, whole=True)
        writer.write(np.round(self.samples * np.iinfo(np.int16).max).astype(np.int16))
        return writer.finish()


def read_sample(file: bytes, field: str, max_bytes: int, detector: SpeechDetector, speakers: SpeakerEncoder) -> Sample:
    """Return the speech of a recording in any container, without the silence around it.

    Raises `InvalidInput` for `field` with the reason, if it is not the clear speech of one speaker. It runs networks:
    call it in a thread.
    """
    if len(file) > max_bytes:
        raise InvalidInput(field, f"it holds {len(file)} bytes; at most {max_bytes} are allowed")
    samples = decode_ref_audio(file, field, _LONGEST)
    heard = np.concatenate(list(AudioFile(io.BytesIO(file), LISTEN_RATE, _LONGEST, field).clean_blocks()))
    is_speech = speech_frames(heard, detector)
    least, most = REFERENCE_SECONDS
    if (seconds := np.count_nonzero(is_speech) * FRAME / LISTEN_RATE) < _LEAST_SPEECH:
        raise InvalidInput(field, f"{seconds:.1f} s of speech are in it; give {least} to {most} s of clear speech")
    trimmed = _trimmed(samples, is_speech)
    if not least <= (seconds := len(trimmed) / SPEECH_RATE) <= most:
        raise InvalidInput(field, f"it is {seconds:.1f} s long without the silence around it; give {least} to {most} s")
    return Sample(trimmed, _one_speaker(speech_alone(heard, is_speech), speakers, field))


def decode_stored(file: bytes) -> Pcm:
    """Return the samples of a recording that `Sample.to_flac` wrote."""
    blocks = AudioFile(io.BytesIO(file), SPEECH_RATE, 2 * REFERENCE_SECONDS[1], "audio").blocks()
    return np.concatenate(list(blocks))


def to_stored(sample: Sample) -> tuple[bytes, str]:
    """Return a recording as it is stored, and the `audio_digest` of what `decode_stored` reads from it."""
    file = sample.to_flac()
    return file, audio_digest(decode_stored(file)).hex()


def stored_embedding(file: bytes, speakers: SpeakerEncoder) -> SpeakerEmbedding | None:
    """Return the embedding of the speaker of such a recording; None where the network for it is missing."""
    if speakers.missing:
        return None
    blocks = AudioFile(io.BytesIO(file), LISTEN_RATE, 2 * REFERENCE_SECONDS[1], "audio").clean_blocks()
    return speakers.encode(np.concatenate(list(blocks)))


def likeness(one: SpeakerEmbedding, other: SpeakerEmbedding) -> float:
    """Return the cosine of two embeddings; from `ALIKE` on they are of one speaker."""
    return float(one @ other)


def speech_frames(heard: Samples, detector: SpeechDetector) -> NDArray[np.bool_]:
    """Return whether each frame of `heard` is speech, [n / FRAME]."""
    frames = np.pad(heard, (0, -len(heard) % FRAME)).reshape(-1, FRAME)
    # The detector misses quiet speech.
    is_speech: NDArray[np.bool_] = detector(frames * local_gains(frames)[:, np.newaxis]) >= _SPEECH
    return is_speech


def _trimmed(samples: Pcm, is_speech: NDArray[np.bool_]) -> Pcm:
    found = np.flatnonzero(is_speech)
    frame = FRAME / LISTEN_RATE
    start = max(0.0, found[0] * frame - _PAD)
    end = (found[-1] + 1) * frame + _PAD
    return samples[int(start * SPEECH_RATE) : int(end * SPEECH_RATE)]


def speech_alone(heard: Samples, is_speech: NDArray[np.bool_]) -> Samples:
    """Return the whole frames of `heard` that are speech, joined."""
    whole = len(heard) // FRAME
    alone: Samples = heard[: whole * FRAME].reshape(-1, FRAME)[is_speech[:whole]].reshape(-1)
    return alone


def _one_speaker(speech: Samples, speakers: SpeakerEncoder, field: str) -> SpeakerEmbedding | None:
    """Return the embedding of the only speaker. Raises `InvalidInput` for several."""
    if speakers.missing:
        return None
    length, hop = int(_PIECE * LISTEN_RATE), int(_HOP * LISTEN_RATE)
    starts = range(0, max(1, len(speech) - length + 1), hop)
    pieces: Sequence[SpeakerEmbedding] = [speakers.encode(speech[start : start + length]) for start in starts]
    sizes = [len(group) for group in average_linkage(pieces, 1 - ALIKE)]
    found = sum(size >= _LEAST_PIECES for size in sizes)
    if found > 1:
        raise InvalidInput(field, f"{found} speakers are in it; give the speech of one")
    total = np.sum(pieces, axis=0)
    mean: SpeakerEmbedding = total / np.linalg.norm(total)
    return mean
