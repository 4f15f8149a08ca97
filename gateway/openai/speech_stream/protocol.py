"""The messages of `/v1/audio/speech/stream`, in the shape of vLLM-Omni and SGLang-Omni."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.core.spoken_text import Split
from gateway.errors import BadRequest, HttpError
from gateway.framework_errors import field_error
from gateway.openai.speech.protocol import SpeechBody

MESSAGE_BYTES: Final = 16 * 2**20
"""The largest message of a client: a configuration with `ref_audio`."""


class Configure(BaseModel):
    """The configuration of the utterances that follow: the fields of `POST /v1/audio/speech`, and two more."""

    model_config = ConfigDict(extra="allow")

    type: Literal["session.config"]
    stream_audio: bool = Field(
        default=False, description="Send audio as it is made, as `pcm` by default; else one file for each part."
    )
    split_granularity: Split = Field(default="clause", description="Where the text is cut into parts.")


class AddText(BaseModel):
    """The next piece of the text, of any length."""

    type: Literal["input.text"]
    text: str


class EndText(BaseModel):
    """The end of an utterance: what is left of the text is spoken, and the connection stays open."""

    type: Literal["input.done"]


class Cancel(BaseModel):
    """Stop speaking, and forget the text that was not spoken."""

    type: Literal["input.cancel"]


class Close(BaseModel):
    """The end of the text, and of the connection once it is spoken."""

    type: Literal["session.close"]


ClientMessage = Annotated[Configure | AddText | EndText | Cancel | Close, Field(discriminator="type")]
_MESSAGES: Final[TypeAdapter[ClientMessage]] = TypeAdapter(ClientMessage)


@dataclass(frozen=True)
class SpeechConfig:
    """A checked configuration."""

    body: SpeechBody = field(default_factory=lambda: SpeechBody.model_validate({"input": "."}))
    stream_audio: bool = False
    split: Split = "clause"

    @classmethod
    def of(cls, message: Configure) -> SpeechConfig:
        """Return the configuration of a message. Raises `HttpError` for a bad field."""
        fields: dict[str, Any] = {**(message.model_extra or {}), "input": "."}
        if message.stream_audio:
            fields.setdefault("response_format", "pcm")
        try:
            body = SpeechBody.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise field_error(first, first["loc"]) from None
        if body.subtitle_format:
            raise BadRequest(
                "there are no subtitles of a stream; ask for timestamp_granularities", param="subtitle_format"
            )
        return cls(body, message.stream_audio, message.split_granularity)


def client_message(content: Any) -> ClientMessage:
    """Return the message of a client. Raises `HttpError` if it is none."""
    try:
        return _MESSAGES.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        # The path begins with the type that was chosen.
        raise field_error(first, first["loc"][1:] or ("type",)) from None


def error_message(error: HttpError) -> dict[str, Any]:
    """Return the message of an error; the connection stays open."""
    return {"type": "error", "message": error.message, "error": error.body()["error"]}
