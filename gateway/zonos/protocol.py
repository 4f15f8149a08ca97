"""The answers of the Zonos service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.errors import HttpError

FIELD_NAMES: Final[Mapping[str, str]] = {
    "voice": "speaker_id",
    "name": "speaker_id",
    "audio_sample": "file",
    "ref_text": "text",
}
"""Fields of the use cases and models -> those of this service, where they differ."""


class RegisteredSpeaker(BaseModel):
    """A registered speaker; its notice on the queue is the same object."""

    job_id: str
    type: Literal["register"] = "register"
    status: Literal["completed"] = "completed"
    speaker_id: str
    voice_id: str
    """The id of the voice in `/v1/audio/voices`."""
    duration: float
    """Seconds of the recording, without the silence around its speech."""
    text: str
    """Its words."""
    ignored: list[str]
    """Fields that had no effect."""


class SpokenResult(BaseModel):
    """The result of a job; its notice on the queue is the same object."""

    job_id: str
    type: Literal["synthesize", "assistant"]
    status: Literal["completed"] = "completed"
    speaker_id: str
    model: str
    """The model that spoke."""
    duration: float
    """Seconds of audio."""
    format: str
    finish_reason: str
    """`stop`: the audio is complete; `length`, `runaway`: it was cut."""
    ignored: list[str]
    """Fields that had no effect with this model."""
    text: str | None = None
    """The assistant's answer."""
    bucket: str
    s3_key: str
    url: str
    """A signed address of the audio, valid for RESULT_URL_SECONDS from the end of the job on."""


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok", "loading"]
    model: str
    """The speech model for requests that name none."""
    model_loaded: bool
    storage: Literal["s3", "none"]
    """Where results go; `none`: answers are the audio itself."""
    language_model: bool
    """Whether there is one for the assistant."""


class Failure(BaseModel):
    """An error."""

    status: Literal["error"] = "error"
    detail: str


def error_response(error: HttpError) -> JSONResponse:
    """Return an error in this service's form."""
    return JSONResponse(Failure(detail=error.message).model_dump(), error.status, error.headers)
