"""The choice between audio and JSON, from a request's `Accept` header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.audio.formats import MEDIA_TYPES, AudioFormat

JSON: Final = "application/json"
_DEFAULT: Final[AudioFormat] = "wav"
_FORMATS: Final[dict[str, AudioFormat]] = {
    **{media: name for name, media in MEDIA_TYPES.items()},
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/opus": "opus",
    "audio/x-flac": "flac",
    "audio/l16": "pcm",
}


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
    ranges = sorted(map(_weighted, header.split(",")), key=lambda weighted: -weighted[1])
    names = [name for name, weight in ranges if weight > 0]
    usable = [name for name in names if name in (JSON, "application/*", "*/*") or name.startswith("audio/")]
    audio_format = next((_FORMATS[name] for name in usable if name in _FORMATS), _DEFAULT)
    return Accepted(usable[:1] == [JSON] or usable[:1] == ["application/*"], audio_format)


def _weighted(media_range: str) -> tuple[str, float]:
    """Return the type of one range of the header, and its weight, 0 to 1."""
    name, *parameters = media_range.split(";")
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 1.0
    return name.strip().lower(), weight
