"""OpenAI's Realtime transcription sessions: their configuration, and the events of both sides."""

from __future__ import annotations

import uuid
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.errors import ApiError, BadRequest
from gateway.transcription.forms import MOST_KEYWORDS, PROMPT_CHARS, Words, known_code
from tritone.contract import TranscriptionOptions

MESSAGE_BYTES: Final = 16 * 2**20
"""What one event of a client may hold; OpenAI takes 15 MiB of audio."""
Event = dict[str, Any]
LOGPROBS = "item.input_audio_transcription.logprobs"


class AudioFormat(BaseModel):
    """How the audio of the client is encoded: PCM of 16 bits, little-endian, at 24 kHz, or G.711 at 8 kHz; mono."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Literal[24000] | None = None


class Transcription(BaseModel):
    """Which model writes down what is said, and what it is told."""

    model: str
    language: str | None = None
    languages: list[str] = Field(default=[], max_length=20)
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
        """What the model is asked, but for the prompt."""
        return TranscriptionOptions(
            language=self.language or ",".join(self.languages) or "auto",
            hotwords=", ".join(self.keywords),
            logprobs=logprobs,
        )


class TurnDetection(BaseModel):
    """When a turn begins and ends."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int = Field(default=500, ge=50, le=10_000)


class AudioInput(BaseModel):
    """What is done with the audio of the client."""

    format: AudioFormat = AudioFormat()
    transcription: Transcription | None
    """None: turns are found, but not written down."""
    turn_detection: TurnDetection | None = TurnDetection()
    """None: the client commits each turn."""
    noise_reduction: None = None


class Audio(BaseModel):
    """OpenAI's place for output too, which a transcription has none of."""

    input: AudioInput


class Session(BaseModel):
    """The configuration of a session; `updated` makes another of it."""

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
        """What is done with the audio."""
        return self.audio.input

    def updated(self, changes: Any) -> Session:
        """With the fields of a `session.update` in place of ours. Raises `BadRequest` with the field's path."""
        if not isinstance(changes, dict) or changes.get("type", "transcription") != "transcription":
            raise BadRequest("session: only sessions of type transcription are served", param="session.type")
        fixed = {"id": self.id, "object": self.object, "expires_at": self.expires_at}
        try:
            return Session.model_validate(_merged(self.model_dump(), {**_followed(changes), **fixed}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(("session", *map(str, first["loc"])))
            raise BadRequest(f"{path}: {first['msg'].removeprefix('Value error, ')}", param=path) from None


def event(type_: str, **fields: Any) -> Event:
    """An event of ours."""
    return {"type": type_, "event_id": new_id("event"), **fields}


def error_event(error: ApiError, client_event: str | None) -> Event:
    """What is told of an error, with the client's own id of the event that caused it."""
    return event("error", error={**error.body()["error"], "event_id": client_event})


def new_id(kind: str) -> str:
    """An id as OpenAI writes them, such as `item_...`."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"


def _merged(old: Any, new: Any) -> Any:
    """`new`, with what it does not mention taken from `old`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def _followed(changes: dict[str, Any]) -> dict[str, Any]:
    """Less `noise_reduction`, which we leave to the client: models hear noisy speech well, and cleaned speech worse."""
    audio = changes.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("input"), dict):
        kept = {name: value for name, value in audio["input"].items() if name != "noise_reduction"}
        return {**changes, "audio": {**audio, "input": kept}}
    return changes
