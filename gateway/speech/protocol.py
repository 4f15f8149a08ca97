"""The speech request and the events of its SSE answer, in the order of OpenAI's reference."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from gateway.audio.formats import AudioFormat


def _utf8(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair, which is no character") from None
    return value


Text = Annotated[str, AfterValidator(_utf8)]
"""Text that can be sent on: JSON may spell out what UTF-8 cannot."""


class VoiceId(BaseModel):
    """A voice as an object."""

    id: Text


class SpeechRequest(BaseModel):
    """OpenAI's speech request; fields beyond it are passed over, and named in the answer's `x-tritone-ignored`."""

    model_config = ConfigDict(extra="allow")

    input: Text = Field(description="The text to speak, at most MAX_INPUT_CHARS characters.")
    model: Text = Field(description="A speech model's id or alias; `GET /v1/models` lists the ids.")
    voice: Text | VoiceId | None = Field(
        None, description="A voice of the model, or one of OpenAI's names. None: the model's default."
    )
    instructions: Text | None = Field(
        None,
        max_length=4096,
        validation_alias=AliasChoices("instructions", "instruct"),
        description="How to speak. Models that cannot follow it say so in `x-tritone-ignored`.",
    )
    response_format: AudioFormat | None = Field(None, description="None: DEFAULT_RESPONSE_FORMAT.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the voice's own speed.")
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool | None = Field(None, description="Accepted for other servers' clients: every answer is streamed.")
    language: Text | None = Field(None, description="ISO 639-1 code or English name. None: the voice's own.")

    @property
    def voice_name(self) -> str:
        """The voice that was named, or nothing."""
        return (self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or ""

    @property
    def unknown_fields(self) -> list[str]:
        """The names of the fields that we do not know."""
        return sorted(self.model_extra or {})


class AudioDelta(BaseModel):
    """The next bytes of the audio file, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str

    @classmethod
    def of(cls, encoded: bytes) -> AudioDelta:
        """The event that carries `encoded`."""
        return cls(audio=base64.b64encode(encoded).decode("ascii"))


class Usage(BaseModel):
    """Tokens of the text, and frames of the audio in the model's own count."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class AudioDone(BaseModel):
    """The end of the audio; `finish_reason` is ours, and says whether it is whole (`stop`)."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage
    finish_reason: str
