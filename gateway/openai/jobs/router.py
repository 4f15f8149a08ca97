"""`/v1/audio/jobs`: create, list, read, cancel and delete jobs, and get their results."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Header, Query, Request, Response

from gateway.core.jobs import use_cases
from gateway.forms import FORM
from gateway.json_route import JsonOnlyRoute
from gateway.openai.jobs.protocol import DeletedJob, JobList, JobObject
from gateway.openai.jobs.requests import SpeechJobBody, TranscriptionJobForm
from gateway.openai.jobs.serving import JobServices, created_speech, created_transcription, job_list, result_response
from gateway.openai.response_headers import documented
from gateway.openai.transcription.form_reader import FormRoute
from gateway.openai.transcription.requests import Granularity
from gateway.request_context import Client

_JSON: Final = "application/json"


IdempotencyKey = Annotated[
    str,
    Header(max_length=256, description="A request with the key of an earlier one returns the job of that one."),
]

_CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "The job, which is queued.", "model": JobObject, "headers": documented({})}
}
_SPEECH: Final[dict[str, Any]] = {
    "requestBody": {"content": {_JSON: {"schema": SpeechJobBody.model_json_schema()}}, "required": True}
}

_PREFIX: Final = "/v1/audio/jobs"

router = APIRouter(tags=["jobs"])
_json_router = APIRouter(prefix=_PREFIX, route_class=JsonOnlyRoute)
_form_router = APIRouter(prefix=_PREFIX, route_class=FormRoute)
_router = APIRouter(prefix=_PREFIX)


@_json_router.post("", status_code=201, include_in_schema=False)
async def create_speech_job(
    body: SpeechJobBody,
    services: JobServices,
    client: Client,
    response: Response,
    idempotency_key: IdempotencyKey = "",
) -> JobObject:
    """Enqueue the synthesis of a long text (JSON)."""
    return await created_speech(services, client, body, idempotency_key, response)


@_form_router.post("", status_code=201, responses=_CREATED, openapi_extra=_SPEECH)
async def create_job(
    request: Request,
    form: Annotated[TranscriptionJobForm, Form(media_type=FORM)],
    services: JobServices,
    client: Client,
    response: Response,
    *,
    idempotency_key: IdempotencyKey = "",
) -> JobObject:
    """Enqueue the transcription of a recording (a form), or the synthesis of a long text (JSON)."""
    sent = list(dict.fromkeys(await request.form()))
    return await created_transcription(services, client, form, idempotency_key, response, sent=sent)


@_router.get("")
async def list_jobs(
    services: JobServices,
    client: Client,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(description="The id of the last job of the page before.")] = "",
) -> JobList:
    """List the client's jobs, the newest first."""
    return await job_list(services, client, limit, after)


@_router.get("/{job_id}")
async def get_job(job_id: str, services: JobServices, client: Client) -> JobObject:
    """Return a job with its progress."""
    job = await use_cases.get_job(services, client, job_id)
    return JobObject.of(job, services.settings.jobs_retention)


@_router.get("/{job_id}/result", response_class=Response)
async def get_result(
    job_id: str,
    services: JobServices,
    client: Client,
    response_format: Annotated[str | None, Query(description="None: that of the job.")] = None,
    granularities: Annotated[list[Granularity] | None, Query(alias="timestamp_granularities[]")] = None,
) -> Response:
    """Return the text of a completed job in any format; or its audio, or the times of its words."""
    return await result_response(services, client, job_id, response_format, granularities)


@_router.post("/{job_id}/cancel")
async def cancel_job(job_id: str, services: JobServices, client: Client) -> JobObject:
    """Cancel an unfinished job; its model stops."""
    job = await use_cases.cancel_job(services, client, job_id)
    return JobObject.of(job, services.settings.jobs_retention)


@_router.delete("/{job_id}")
async def delete_job(job_id: str, services: JobServices, client: Client) -> DeletedJob:
    """Remove a job with its recording and its result; an unfinished one is cancelled."""
    await use_cases.delete_job(services, client, job_id)
    return DeletedJob(id=job_id)


router.include_router(_json_router)
router.include_router(_form_router)
router.include_router(_router)
