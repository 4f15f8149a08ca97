"""The configuration of a translation session, and its changes by the client."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, field_validator

from gateway.core.services import Services
from gateway.core.synthesize import SynthesisRequest
from gateway.openai.conversation.config import SpokenVoice
from gateway.openai.language_fields import optional_code
from gateway.openai.realtime.changes import changed
from gateway.openai.realtime.protocol import ClientWarning, new_id
from gateway.openai.realtime.session_config import (
    DEFAULT_MODEL,
    AudioInput,
    Settings,
    TranscriptionSettings,
    TurnDetection,
)
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput

TRANSLATION: Final = "translation"
TRANSLATION_MODEL: Final = "gpt-realtime-translate"
"""OpenAI's name; it stands for the default transcription model."""
_SILENCE_MS: Final = 300
"""Silence that ends a part of the speech: a translation goes on, so that a short pause is no harm."""


class TranslatedInput(Settings):
    """The settings of the client's audio, which is PCM."""

    transcription: TranscriptionSettings | None = None
    """None: the client gets no text in the language that is spoken."""
    noise_reduction: None = None


class TranslatedOutput(SpokenVoice):
    """The settings of the translation's speech. Only `language` is in OpenAI's API."""

    language: str = "en"

    @field_validator("language")
    @classmethod
    def _can_be_translated_to(cls, language: str) -> str:
        if optional_code(language) != "en":
            raise ValueError(f"{language[:64]!r}; Whisper translates into English only: `en`")
        return "en"


class TranslationAudio(Settings):
    """The settings of both directions."""

    input: TranslatedInput = TranslatedInput()
    output: TranslatedOutput = TranslatedOutput()


class TranslationConfig(Settings):
    """The configuration; `updated` returns a changed one."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"audio.input.noise_reduction"})

    type: Literal["translation"] = "translation"
    id: str
    model: str = Field(min_length=1, max_length=256)
    expires_at: int
    """Unix time."""
    audio: TranslationAudio = TranslationAudio()

    @classmethod
    def new(cls, services: Services, given: dict[str, Any], model: str) -> tuple[Self, list[ClientWarning]]:
        """Return the configuration of a new session of `model`, and the warnings of `updated`, with its errors."""
        expires_at = int(time.time() + services.settings.realtime_session_timeout)
        chosen = given.get("model") or model or TRANSLATION_MODEL
        return cls(id=new_id("sess"), model=chosen, expires_at=expires_at).updated(given)

    def updated(self, changes: Any) -> tuple[Self, list[ClientWarning]]:
        """Return the configuration after a `session.update`, and a warning for each setting that is not as asked.

        Raises `InvalidInput` with the path of a wrong value.
        """
        if not isinstance(changes, dict):
            raise InvalidInput("session", "send an object with the changes")
        for name in ("type", "model"):
            if (changes.get(name) or getattr(self, name)) != getattr(self, name):
                raise InvalidInput(f"session.{name}", f"this session's is {getattr(self, name)!r}, and cannot change")
        fixed = {"id": self.id, "expires_at": self.expires_at}
        return changed(self, {**changes, **fixed}, without_effect=self.without_effect)

    @property
    def translated_input(self) -> AudioInput:
        """The settings of the audio that is translated."""
        name = DEFAULT_MODEL if self.model.startswith(TRANSLATION_MODEL) else self.model
        return _input(TranscriptionSettings(model=name))

    @property
    def source_input(self) -> AudioInput | None:
        """The settings for the text in the language that is spoken; None: the client gets no such text."""
        return _input(self.audio.input.transcription) if self.audio.input.transcription else None

    @property
    def speech(self) -> SynthesisRequest:
        """The request of the translation's voice."""
        voice = self.audio.output
        return SynthesisRequest(
            "", voice.model, voice.voice_name, speed=voice.speed, audio_format="pcm", sample_rate=SPEECH_RATE
        )


def _input(settings: TranscriptionSettings) -> AudioInput:
    return AudioInput(transcription=settings, turn_detection=TurnDetection(silence_duration_ms=_SILENCE_MS))
