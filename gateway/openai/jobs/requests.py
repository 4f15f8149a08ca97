"""The requests that create jobs: forms with a recording or its address, and JSON with a text."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.transcription.requests import TaskForm

Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048)]

_CALLBACK = "Address that gets a signed POST when the job has ended."


class TranscriptionJobForm(TaskForm):
    """The fields of `/v1/audio/transcriptions`, and those of a job."""

    file: UploadFile | None = Field(  # type: ignore[assignment]
        None, description="The recording, in any common audio or video container; or send `url`."
    )
    url: Address = Field("", validate_default=True, description="The recording's address, if ALLOW_JOB_URLS is set.")
    callback_url: Address = Field("", description=_CALLBACK)

    @field_validator("url")
    @classmethod
    def _one_source(cls, url: str, info: ValidationInfo) -> str:
        if "file" in info.data and bool(info.data["file"]) == bool(url):
            raise ValueError("send either this or a file")
        return url

    def view(self) -> dict[str, Any]:
        """Return what is needed to show the result as it was requested."""
        return {
            "response_format": self.response_format,
            "granularities": self.timestamp_granularities,
            "logprobs": bool(self.include),
        }


class SpeechJobBody(SpeechBody):
    """The fields of `/v1/audio/speech`, and those of a job; the text may be of any length."""

    callback_url: Address = Field("", description=_CALLBACK)

    @property
    def fields_without_effect(self) -> list[str]:
        """The names of the sent fields that a job does not have."""
        streaming = {"stream", "stream_format"} & self.model_fields_set
        return sorted({*self.unknown_fields, *streaming})
