"""The answers of the Qwen2.5-Omni transcription service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.errors import HttpError


def timestamp(seconds: float | None = None) -> str:
    """Return a time in Unix seconds, by default the present, as the service wrote it: ISO 8601 in UTC."""
    return (datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)).isoformat()


class Transcription(BaseModel):
    """The transcript of a recording."""

    status: Literal["success"] = "success"
    transcription: str
    output_file: str
    """The name of the file with the text in `OMNI_OUTPUT_DIR`."""
    timestamp: str


class JobCreated(BaseModel):
    """A recording that will be transcribed."""

    job_id: str


class JobState(BaseModel):
    """The state of a job."""

    status: Literal["processing", "completed", "failed"]
    transcription: str | None = None
    output_file: str | None = None
    completed_at: str | None = None
    error: str | None = None


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok"] = "ok"
    model_loaded: bool
    gpu_available: bool
    gpu_memory_allocated_gb: float
    gpu_memory_reserved_gb: float
    """The memory in use on the GPUs of all servers: a process reserves what it takes."""
    timestamp: str


class Failure(BaseModel):
    """An error."""

    status: Literal["error"] = "error"
    error: str


def error_response(error: HttpError) -> JSONResponse:
    """Return an error in this service's form."""
    return JSONResponse(Failure(error=error.message).model_dump(), error.status, error.headers)
