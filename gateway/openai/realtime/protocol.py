"""OpenAI's Realtime transcription sessions: their configuration, and the events in both directions."""

from __future__ import annotations

import uuid
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.errors import HttpError
from gateway.openai.realtime.audio import Encoding
from gateway.openai.transcription.requests import MOST_KEYWORDS, MOST_LANGUAGES, Words, known_code
from tritone.contract import PROMPT_CHARS, TranscriptionOptions
from tritone.errors import InvalidInput

MESSAGE_BYTES: Final = 16 * 2**20
"""The largest event of a client; OpenAI accepts 15 MiB of audio."""
Event = dict[str, Any]
LOGPROBS = "item.input_audio_transcription.logprobs"


class InputFormat(BaseModel):
    """The encoding of the client's audio: PCM of 16 bits, little-endian, at 24 kHz, or G.711 at 8 kHz; mono."""

    type: Encoding = "audio/pcm"
    rate: Literal[24000] | None = None


class TranscriptionSettings(BaseModel):
    """The model that transcribes the turns, and its options."""

    model: str
    language: str | None = None
    languages: list[str] = Field(default=[], max_length=MOST_LANGUAGES)
    keywords: list[Words] = Field(default=[], max_length=MOST_KEYWORDS)
    prompt: str = Field(default="", max_length=PROMPT_CHARS)

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        return None if language in (None, "", "auto") else known_code(language or "")

    @field_validator("languages")
    @classmethod
    def _codes(cls, candidates: list[str]) -> list[str]:
        return list(dict.fromkeys(map(known_code, candidates)))

    def options(self, *, logprobs: bool) -> TranscriptionOptions:
        """Return the options of the model."""
        return TranscriptionOptions(
            language=self.language or ",".join(self.languages) or "auto",
            prompt=self.prompt,
            hotwords=", ".join(self.keywords),
            logprobs=logprobs,
        )


class TurnDetection(BaseModel):
    """The detection of a turn's begin and end."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int = Field(default=500, ge=50, le=10_000)


class AudioInput(BaseModel):
    """The settings of the client's audio."""

    format: InputFormat = InputFormat()
    transcription: TranscriptionSettings | None
    """None: turns are detected, but not transcribed."""
    turn_detection: TurnDetection | None = TurnDetection()
    """None: the client commits each turn."""
    noise_reduction: None = None


class Audio(BaseModel):
    """The settings of audio; a transcription session has no output."""

    input: AudioInput


class SessionConfig(BaseModel):
    """The configuration of a session; `updated` returns a changed one."""

    model_config = ConfigDict(frozen=True)

    type: Literal["transcription"] = "transcription"
    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    expires_at: int
    """Unix time."""
    audio: Audio
    include: list[Literal["item.input_audio_transcription.logprobs"]] = []

    @property
    def input(self) -> AudioInput:
        """The settings of the client's audio."""
        return self.audio.input

    def updated(self, changes: Any) -> SessionConfig:
        """Return the configuration after a `session.update`. Raises `InvalidInput` with the field's path."""
        if not isinstance(changes, dict) or changes.get("type", "transcription") != "transcription":
            raise InvalidInput("session.type", "only sessions of type transcription are served")
        fixed = {"id": self.id, "object": self.object, "expires_at": self.expires_at}
        try:
            return SessionConfig.model_validate(_merged(self.model_dump(), {**_supported(changes), **fixed}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(("session", *map(str, first["loc"])))
            raise InvalidInput(path, first["msg"].removeprefix("Value error, ")) from None


def event(type_: str, **fields: Any) -> Event:
    """Return an event of the server."""
    return {"type": type_, "event_id": new_id("event"), **fields}


def error_event(error: HttpError, client_event: str | None) -> Event:
    """Return the event of an error, with the client's own id of the event that caused it."""
    return event("error", error={**error.body()["error"], "event_id": client_event})


def new_id(kind: str) -> str:
    """Return a new id in OpenAI's form, such as `item_...`."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"


def _merged(old: Any, new: Any) -> Any:
    """Return `new`, with the keys that it lacks taken from `old`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def _supported(changes: dict[str, Any]) -> dict[str, Any]:
    """Return `changes` without `noise_reduction`: models transcribe noisy speech better than cleaned speech."""
    audio = changes.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("input"), dict):
        kept = {name: value for name, value in audio["input"].items() if name != "noise_reduction"}
        return {**changes, "audio": {**audio, "input": kept}}
    return changes
