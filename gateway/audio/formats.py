"""The audio formats of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: Mapping[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)


def rates_of(audio_format: AudioFormat) -> tuple[int, ...]:
    """Return the sample rates that a file of this format can have, in Hz."""
    return _OPUS_RATES if audio_format == "opus" else _RATES
