"""Jobs as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel

from gateway.core.jobs.job import Job, JobKind, JobStatus
from gateway.errors import ErrorDetail
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.speech.protocol import SpeechTimes


class JobProgress(BaseModel):
    """How far a job is."""

    seconds: float
    """Seconds of audio transcribed or synthesized so far."""
    fraction: float | None
    """The finished part, 0 to 1; null if the whole is not known."""


_DEFAULT_VIEW: Final = {"response_format": "json", "granularities": ["segment"], "logprobs": False}


def view_of(job: Job) -> Mapping[str, Any]:
    """Return how the result of a job is shown: as it was requested; a job of another surface has the defaults."""
    return {**_DEFAULT_VIEW, **job.spec.view}


class JobObject(BaseModel):
    """A job; times are Unix seconds."""

    id: str
    object: Literal["audio.job"] = "audio.job"
    type: JobKind
    status: JobStatus
    model: str
    """As it was sent; at the end the id of the model that did the work."""
    response_format: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int
    """When the job and its files are removed."""
    progress: JobProgress
    error: ErrorDetail | None

    @classmethod
    def of(cls, job: Job, retention: float) -> JobObject:
        """Return the object of a job that is removed `retention` seconds after its end."""
        return cls(
            id=job.id,
            type=job.spec.kind,
            status=job.status,
            model=job.model or job.spec.model,
            response_format=view_of(job)["response_format"],
            created_at=int(job.created),
            started_at=int(job.started) if job.started else None,
            finished_at=int(job.finished) if job.finished else None,
            expires_at=int((job.finished or job.created) + retention),
            progress=JobProgress(seconds=job.progress.seconds, fraction=job.progress.fraction),
            error=_error(job),
        )


class JobTimes(SpeechTimes):
    """The times of a speech job, in seconds from the start of its audio."""

    duration: float


class JobList(BaseModel):
    """Jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedJob(BaseModel):
    """The answer to DELETE."""

    id: str
    object: Literal["audio.job"] = "audio.job"
    deleted: Literal[True] = True


def _error(job: Job) -> ErrorDetail | None:
    if job.error is None:
        return None
    if job.error.field is None:
        return ErrorDetail(message=job.error.message, type="server_error", param=None, code=None)
    names = {**FIELD_NAMES, "audio": "url" if job.spec.url else "file"}
    name = names.get(job.error.field, job.error.field)
    return ErrorDetail(message=f"{name}: {job.error.message}", type="invalid_request_error", param=name, code=None)
