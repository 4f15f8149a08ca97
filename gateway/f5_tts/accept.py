"""The choice between audio and JSON, from a request's `Accept` header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.accept import choose
from gateway.audio.formats import MEDIA_TYPES, AudioFormat
from gateway.speech_json import JSON

_FORMATS: Final[dict[str, AudioFormat]] = {"audio/wav": "wav", **{media: name for name, media in MEDIA_TYPES.items()}}
"""The first one is the default."""


@dataclass(frozen=True)
class Accepted:
    """The response that a client wants."""

    as_json: bool
    """Whether the audio is a field of a JSON object, in base64, instead of the body."""
    audio_format: AudioFormat
    """The format of the first audio type that the client accepts; wav if it names none."""


def accepted(header: str) -> Accepted:
    """Return the response that the value of an `Accept` header asks for.

    JSON is sent if it comes before any audio type and `*/*`, by weight and then by order; every other header, and an
    empty one, gets audio.
    """
    audio = choose(header, [*_FORMATS]) or "audio/wav"
    return Accepted(choose(header, [*_FORMATS, JSON]) == JSON, _FORMATS[audio])
