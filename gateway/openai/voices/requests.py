"""The requests that register voices and consents."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import UploadFile
from pydantic import BaseModel, Field, StringConstraints, model_validator

from gateway.audio.formats import AudioFormat
from gateway.core.voices.design import DEFAULT_SCRIPT
from gateway.core.voices.voice import MAX_NAME_CHARS, VoiceType
from gateway.errors import BadRequest
from gateway.openai.speech.option_fields import OptionalText, Text

_MAX_CHARS = 4096

Name = Annotated[Text, StringConstraints(max_length=MAX_NAME_CHARS)]


class PromptFields(BaseModel):
    """The fields of a voice that a model designs."""

    name: Name = Field(description="Unique among the voices of the key, in any case.")
    type: VoiceType = "audio_sample"
    prompt: OptionalText = Field(
        None, max_length=_MAX_CHARS, description="Of the type `prompt`: the description of the voice."
    )
    model: OptionalText = Field(
        None, max_length=_MAX_CHARS, description="A voice design model's id or alias; `auto`: the first that is served."
    )
    script_hint: OptionalText = Field(
        None, max_length=_MAX_CHARS, description="The text that the new voice speaks, and is cloned from."
    )


class PromptBody(PromptFields):
    """`POST /v1/audio/voices` as JSON: a voice of the type `prompt`."""

    type: Literal["prompt"] = Field(description="A voice from a recording needs a form: multipart/form-data.")
    prompt: Text = Field(max_length=_MAX_CHARS, description="The description of the voice.")


class VoiceForm(PromptFields):
    """`POST /v1/audio/voices` as a form: a voice of either type."""

    audio_sample: UploadFile | None = Field(
        None,
        description="1 to 30 s of clear speech of one speaker, in any common audio or video container, at most "
        "MAX_VOICE_BYTES. Silence around it is cut off.",
    )
    consent: OptionalText = Field(
        None,
        max_length=_MAX_CHARS,
        description="The id of the speaker's consent; needed if VOICES_NEED_CONSENT is set.",
    )
    ref_text: OptionalText = Field(
        None, max_length=_MAX_CHARS, description="The words of the recording. None: they are transcribed."
    )
    x_vector_only: bool = Field(
        False, description="Take only the timbre from the recording; its words are then not needed."
    )

    @model_validator(mode="after")
    def _complete(self) -> VoiceForm:
        needed = self.prompt if self.type == "prompt" else self.audio_sample
        if not needed:
            raise ValueError(f"a voice of the type {self.type} needs the field {_FIELD_OF[self.type]}")
        return self


_FIELD_OF = {"prompt": "prompt", "audio_sample": "audio_sample"}


class ConsentForm(BaseModel):
    """`POST /v1/audio/voice_consents`."""

    name: Name
    language: Text = Field(max_length=64, description="The BCP 47 tag of the recording's language, such as `en-US`.")
    recording: UploadFile = Field(description="1 to 30 s in which the speaker agrees, as in `audio_sample`.")


class ConsentUpdate(BaseModel):
    """`POST /v1/audio/voice_consents/{consent_id}`."""

    name: Name


class PreviewBody(BaseModel):
    """`POST /v1/audio/voices/{voice_id}/preview`."""

    input: Text = Field(DEFAULT_SCRIPT, description="The text to synthesize.")
    model: OptionalText = Field(None, description="A model that clones voices. None: the first that is served.")
    response_format: AudioFormat | None = Field(None, description="None: DEFAULT_RESPONSE_FORMAT.")


async def content_of(file: UploadFile, field: str, max_bytes: int) -> bytes:
    """Return the content of an upload. Raises `BadRequest` if it is too large, before it is in memory."""
    if (size := file.size or 0) > max_bytes:
        raise BadRequest(f"{field}: it holds {size} bytes; at most {max_bytes} are allowed", param=field)
    return await file.read()
