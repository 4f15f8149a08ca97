"""The answers of the Whisper REST API."""

from __future__ import annotations

from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.errors import HttpError


class Transcription(BaseModel):
    """The transcript of a recording."""

    success: Literal[True] = True
    text: str
    language: str
    """ISO 639-1 code; empty if nothing was said."""


class ProcessedTranscription(Transcription):
    """The transcript, and what the language model made of it."""

    result: str


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok", "loading"]
    model: str
    model_loaded: bool


class Failure(BaseModel):
    """An error."""

    success: Literal[False] = False
    detail: str


def error_response(error: HttpError) -> JSONResponse:
    """Return an error in this API's form."""
    return JSONResponse(Failure(detail=error.message).model_dump(), error.status, error.headers)
