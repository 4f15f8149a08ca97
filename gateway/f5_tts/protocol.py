"""The request and the answers of `/tts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.audio.formats import AudioFormat
from gateway.core.speech_options import SPEEDS, SynthesisRequest
from gateway.errors import HttpError
from gateway.openai.speech.option_fields import OptionalText, Text, given_options, is_blank, with_option_fields


class _OwnFields(BaseModel):
    """The fields that are no options of the models."""

    model_config = ConfigDict(extra="allow")

    text: Text = Field(description="The text to synthesize, at most MAX_INPUT_CHARS characters.")
    ref_audio: OptionalText = Field(
        None,
        description="The voice, 1 to 30 s of speech: base64, a data URL, a file below REF_AUDIO_DIR, or its address if "
        "ALLOW_REF_AUDIO_URLS is set. None: the model's own reference.",
    )
    model: OptionalText = Field(
        None, max_length=256, description="A speech model's id or alias. None: the first of F5_MODELS that is served."
    )
    voice: OptionalText = Field(None, description="A voice of the model, in place of `ref_audio`.")
    response_format: AudioFormat | None = Field(
        None, description="None: the audio type that the `Accept` header names, else wav."
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="Times the voice's own speed.")
    stream: bool = Field(
        False, description="`true`: send the audio as it is synthesized; a wav file then has no length in its header."
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, fields: Any) -> Any:
        """Take null and blank fields for absent ones; but a blank text is a mistake."""
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if name == "text" or not is_blank(value)}


if TYPE_CHECKING:
    _WithOptions = _OwnFields
else:
    _WithOptions = with_option_fields("F5OptionsBody", _OwnFields)


class TtsBody(_WithOptions):
    """A text, a recording of the voice, and the options of the models.

    Without `ref_text`, the words of `ref_audio` are transcribed by a model that is served. Fields that are unknown, or
    have no effect with the model, are named in the header `x-tritone-ignored`.
    """

    def request(self, audio_format: AudioFormat) -> SynthesisRequest:
        """Return the request of the use case."""
        return SynthesisRequest(
            text=self.text,
            model=self.model,
            voice=self.voice or "",
            speed=self.speed,
            options=given_options(self),
            ref_audio=self.ref_audio,
            audio_format=audio_format,
            whole=not self.stream,
        )

    @property
    def unknown_fields(self) -> list[str]:
        """The names of the fields that the API does not have."""
        return sorted(self.model_extra or {})


class Failure(BaseModel):
    """An error, in FastAPI's form."""

    detail: str


def error_response(error: HttpError) -> JSONResponse:
    """Return an error in this service's form."""
    return JSONResponse(Failure(detail=error.message).model_dump(), error.status, error.headers)
