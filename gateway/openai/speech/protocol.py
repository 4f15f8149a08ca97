"""The speech request and the events of its SSE answer, in the order of OpenAI's reference."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from gateway.audio.formats import AudioFormat
from tritone.contract import SpeechOptions


def _utf8(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair, which is no character") from None
    return value


Text = Annotated[str, AfterValidator(_utf8)]
"""Text that can be sent on: JSON may spell out what UTF-8 cannot."""


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Given = Annotated[Text | None, BeforeValidator(_none_if_blank)]
"""Text that clients may leave empty where they mean none."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What a request to Triton can carry; which numbers make sense is the contract's."""


class VoiceId(BaseModel):
    """A voice as an object."""

    id: Text


class SpeechRequest(BaseModel):
    """OpenAI's speech request, and what other servers' clients send.

    Fields that are not known, or not followed by the model, are named in the answer's `x-tritone-ignored`.
    """

    model_config = ConfigDict(extra="allow")

    input: Text = Field(description="The text to speak, at most MAX_INPUT_CHARS characters.")
    model: Text = Field(max_length=256, description="A speech model's id or alias; `GET /v1/models` lists the ids.")
    voice: Given | VoiceId = Field(
        None, description="A voice of the model, or one of OpenAI's names. None: the model's default."
    )
    instructions: Given = Field(
        None, max_length=4096, description="How to speak; for VoiceDesign models, whose voice it is."
    )
    response_format: AudioFormat | None = Field(None, description="None: DEFAULT_RESPONSE_FORMAT.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the voice's own speed.")
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool | None = Field(
        None,
        description="`false`: the whole file at once, with its length, and with how the speech ended in its headers.",
    )
    instruct: Given = Field(None, max_length=4096, description="The same as `instructions`.")
    language: Given = Field(None, max_length=64, description="ISO 639-1 code, BCP-47 tag or English name. None: Auto.")
    ref_audio: Given = Field(
        None,
        description="The voice to clone, 1 to 30 s of speech: base64, a data URL, a file below REF_AUDIO_DIR, "
        "or where ALLOW_REF_AUDIO_URLS is set its address.",
    )
    ref_text: Given = Field(None, max_length=4096, description="The words of `ref_audio`.")
    x_vector_only: bool | None = Field(
        None,
        validation_alias=AliasChoices("x_vector_only", "x_vector_only_mode"),
        description="Take the voice's colour alone from `ref_audio`; no `ref_text` is then needed.",
    )
    temperature: float | None = Field(None, description="Of the sampling, 0 to 2.")
    top_k: Int64 | None = Field(None, description="Sample from so many; 0: from all.")
    top_p: float | None = Field(None, description="Sample from the likeliest of this probability together.")
    subtalker_temperature: float | None = Field(
        None, description="As `temperature`, for the other 15 codes of a frame: how it sounds."
    )
    subtalker_top_k: Int64 | None = Field(None, description="As `top_k`, for those.")
    subtalker_top_p: float | None = Field(None, description="As `top_p`, for those.")
    repetition_penalty: float | None = Field(None, description="0.5 to 2; above 1 against repetition.")
    max_new_tokens: Int64 | None = Field(None, description="Cut the speech after so many tokens (80 ms each).")
    streaming_text: bool | None = Field(
        None, description="Read the text while speaking, which sounds sooner, or all of it before."
    )
    seed: Int64 | None = Field(None, description="The same seed and request give the same audio.")

    @field_validator("stream")
    @classmethod
    def _not_against_events(cls, stream: bool | None, info: ValidationInfo) -> bool | None:
        if stream is False and info.data.get("stream_format") == "sse":
            raise ValueError("stream_format sse is a stream; leave one of the two out")
        return stream

    @field_validator("instruct")
    @classmethod
    def _instead_of_instructions(cls, instruct: str | None, info: ValidationInfo) -> str | None:
        if instruct is not None and info.data.get("instructions") is not None:
            raise ValueError("instructions was sent as well, and they mean the same; send one of them")
        return instruct

    @property
    def voice_name(self) -> str:
        """The voice that was named, or nothing."""
        return (self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or ""

    @property
    def wishes(self) -> dict[str, Any]:
        """What was asked for by the contract's names, less what is the default of every model; not the speed."""
        sent = {name: getattr(self, name) for name in SpeechOptions.types() if name in type(self).model_fields}
        sent |= {"voice": self.voice_name or None, "instruct": self.instruct or self.instructions, "speed": None}
        if self.language is not None and self.language.strip().lower() == "auto":
            sent["language"] = None
        default = SpeechOptions()
        return {name: value for name, value in sent.items() if value not in (None, getattr(default, name))}

    def spelling(self, wish: str) -> str:
        """The field that a wish came in."""
        return "instructions" if wish == "instruct" and self.instructions else wish

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
