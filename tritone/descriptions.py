"""The abilities of a model, as its `description` output reports them: JSON in a tensor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WINDOW_SECONDS: Final = 30
"""The longest audio of one transcription request, for a model whose description names no other."""
AUDIO_TOKEN_RATE: Final = 50
"""Positions of the audio a second, for a model whose description names no other number: those of Whisper's encoder."""


@dataclass(frozen=True)
class Voice:
    """A voice of a speech model; `language` is its ISO 639-1 code, or `auto` for a voice of any language."""

    id: str
    name: str
    language: str = "auto"


@dataclass(frozen=True)
class SpeechDescription:
    """The abilities of a speech model."""

    voices: tuple[Voice, ...]
    languages: tuple[str, ...]
    default_voice: str
    speed_range: tuple[float, float]
    """The least and the greatest speed that the model supports by itself; the gateway covers the rest."""
    options: tuple[str, ...] = ("voice", "language", "speed")
    """The request options that the model supports; it rejects a request that sets another."""
    mixes_voices: bool = False
    """Whether `voice` may be a mix: see `tritone.voice_mix`."""
    pronounces: bool = False
    """Whether the text may give pronunciations: see `tritone.pronunciation`."""

    def to_json(self) -> str:
        """Return the text of the `description` tensor."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SpeechDescription:
        """Undo `to_json`."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpeechDescription:
        """Build it from parsed JSON."""
        low, high = data["speed_range"]
        return cls(
            voices=tuple(Voice(**voice) for voice in data["voices"]),
            languages=tuple(data["languages"]),
            default_voice=data["default_voice"],
            speed_range=(low, high),
            options=tuple(data["options"]),
            mixes_voices=data.get("mixes_voices", False),
            pronounces=data.get("pronounces", False),
        )


@dataclass(frozen=True)
class TranscriptionDescription:
    """The abilities of a transcription model."""

    languages: tuple[str, ...]
    """ISO 639-1 codes."""
    tasks: tuple[str, ...]
    """`transcribe`, `translate`."""
    options: tuple[str, ...]
    """The request options that the model supports; it rejects a request that sets another."""
    window_seconds: int = WINDOW_SECONDS
    """The longest audio of one request."""
    audio_token_rate: int = AUDIO_TOKEN_RATE
    """The model's positions for a second of audio, which count as tokens in a request's usage."""

    def to_json(self) -> str:
        """Return the text of the `description` tensor."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> TranscriptionDescription:
        """Undo `to_json`."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TranscriptionDescription:
        """Build it from parsed JSON."""
        return cls(
            languages=tuple(data["languages"]),
            tasks=tuple(data["tasks"]),
            options=tuple(data["options"]),
            window_seconds=data.get("window_seconds", WINDOW_SECONDS),
            audio_token_rate=data.get("audio_token_rate", AUDIO_TOKEN_RATE),
        )
