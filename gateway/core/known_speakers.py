"""The speakers that the client names, each with a reference recording."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np

from gateway.audio.decoding import AudioFile
from gateway.audio.inline import from_data_url
from gateway.core.errors import PayloadTooLarge
from gateway.core.speaker_encoder import SpeakerEmbedding, SpeakerEncoder
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput

FIELD: Final = "known_speaker_references"

_SECONDS: Final = 2, 10
_TOLERANCE: Final = 0.1
"""Seconds; encoders pad."""
_LENGTH: Final = "each must be {} to {} s long".format(*_SECONDS)


def encode_known_speakers(
    names: Sequence[str], references: Sequence[str], encoder: SpeakerEncoder
) -> dict[str, SpeakerEmbedding]:
    """Return the embedding of each name; a reference is a data URL of 2 to 10 s of audio in base64.

    Raises `InvalidInput`. It decodes audio and runs a network: call it in a thread.
    """
    if len(names) != len(references):
        raise _error("send one for each of known_speaker_names[]")
    return {name: _embedding(reference, encoder) for name, reference in zip(names, references, strict=True)}


def _embedding(reference: str, encoder: SpeakerEncoder) -> SpeakerEmbedding:
    try:
        content = from_data_url(reference)
    except ValueError:
        raise _error("send data URLs in base64, as `data:audio/wav;base64,...`") from None
    file = AudioFile(io.BytesIO(content), LISTEN_RATE, _SECONDS[1] + _TOLERANCE, FIELD)
    try:
        samples = np.concatenate(list(file.clean_blocks()))
    except PayloadTooLarge:
        raise _error(_LENGTH) from None
    if file.seconds < _SECONDS[0] - _TOLERANCE:
        raise _error(_LENGTH)
    if not samples.any():
        raise _error("one of them is silent")
    return encoder.encode(samples)


def _error(problem: str) -> InvalidInput:
    return InvalidInput(FIELD, problem)
