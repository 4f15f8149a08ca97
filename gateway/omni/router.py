"""`POST /omni/transcribe`, with `/json`, `/srt` and `/async`; `GET /omni/status/{job_id}` and `/omni/health`."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from gateway.core.jobs import use_cases
from gateway.core.jobs.use_cases import JobOrder
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import TranscriptionStream, transcribe
from gateway.core.transcription_result import TranscriptionResult
from gateway.forms import FORM, MultipartRoute
from gateway.omni import outputs
from gateway.omni.protocol import Health, JobCreated, JobState, Transcription, timestamp
from gateway.omni.requests import OmniForm
from gateway.openai.jobs.serving import JobServices
from gateway.openai.response_headers import model_headers
from gateway.openai.transcription import subtitles
from gateway.request_context import Client, GatewayServices, Telemetry, until_disconnect
from tritone.errors import InvalidInput

PREFIX: Final = "/omni"
_SEGMENT_SECONDS: Final = 60
_SUBTITLE_SECONDS: Final = 10
"""The length of a piece where the client names none: that of a whole text, and of subtitles."""
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "A file to save."}
}

router = APIRouter(prefix=PREFIX, tags=["omni"], route_class=MultipartRoute)

OmniFields = Annotated[OmniForm, Form(media_type=FORM)]


@router.post("/transcribe/json", response_model=Transcription)
async def transcribe_json(
    request: Request, form: OmniFields, services: GatewayServices, telemetry: Telemetry
) -> JSONResponse:
    """Return the text of `file`, and the name of the file that holds it."""
    stream, result = await _transcribed(request, services, telemetry, form, _SEGMENT_SECONDS)
    output_file = await _store(services, result.text, ".txt")
    answer = Transcription(transcription=result.text, output_file=output_file, timestamp=timestamp())
    return JSONResponse(answer.model_dump(), headers=model_headers(stream.model, form.ignored(stream.ignored)))


@router.post("/transcribe", response_class=Response, responses=_FILES)
async def transcribe_text(
    request: Request, form: OmniFields, services: GatewayServices, telemetry: Telemetry
) -> Response:
    """Return the text of `file` as a text file with the name of the recording."""
    stream, result = await _transcribed(request, services, telemetry, form, _SEGMENT_SECONDS)
    await _store(services, result.text, ".txt")
    return _file(form, stream, result.text, ".txt", "text/plain; charset=utf-8")


@router.post("/transcribe/srt", response_class=Response, responses=_FILES)
async def transcribe_srt(
    request: Request, form: OmniFields, services: GatewayServices, telemetry: Telemetry
) -> Response:
    """Return the text of `file` as SubRip subtitles with the name of the recording."""
    stream, result = await _transcribed(request, services, telemetry, form, _SUBTITLE_SECONDS)
    content = await asyncio.to_thread(subtitles.srt, list(result.segments))
    await _store(services, content, ".srt")
    return _file(form, stream, content, ".srt", "application/x-subrip; charset=utf-8")


@router.post("/transcribe/async", response_model=JobCreated)
async def transcribe_async(form: OmniFields, services: JobServices, client: Client) -> JSONResponse:
    """Begin the transcription of `file`, and return at once; the job survives restarts."""
    _check(form)
    model = services.triton.served.first(services.settings.omni_models, "transcription")
    request = form.request(model.id, segment_seconds=_SEGMENT_SECONDS)
    created = await use_cases.create_transcription(services, request, form.file.file, JobOrder(client))
    return JSONResponse(
        JobCreated(job_id=created.job.id).model_dump(), headers=model_headers(model.id, form.ignored(created.ignored))
    )


@router.get("/status/{job_id}")
async def status(job_id: str, services: JobServices, client: Client) -> JobState:
    """Return the state of a job, and its text once it is completed."""
    job = await use_cases.get_job(services, client, job_id)
    if not job.is_finished:
        return JobState(status="processing")
    finished = job.finished or job.created
    if job.status != "completed":
        reason = job.error.message if job.error else "the job was cancelled"
        return JobState(status="failed", completed_at=timestamp(finished), error=reason)
    text = (await use_cases.transcription_result(services, job)).text
    folder = services.settings.omni_output_dir
    output_file = await asyncio.to_thread(outputs.store_once, folder, text, job.id, finished)
    return JobState(status="completed", transcription=text, output_file=output_file, completed_at=timestamp(finished))


@router.get("/health")
async def health(services: GatewayServices) -> Health:
    """Return whether the model is loaded, and what it takes of the GPUs."""
    served = services.triton.served
    model = served.first(services.settings.omni_models, "transcription")
    used = round(sum(gpu.used for gpu in served.gpus), 1)
    return Health(
        model_loaded=model.state == "ready",
        gpu_available=bool(served.gpus),
        gpu_memory_allocated_gb=used,
        gpu_memory_reserved_gb=used,
        timestamp=timestamp(),
    )


async def _transcribed(
    request: Request, services: Services, telemetry: WorkTelemetry, form: OmniForm, seconds: int
) -> tuple[TranscriptionStream, TranscriptionResult]:
    _check(form)
    model = services.triton.served.first(services.settings.omni_models, "transcription")
    wanted = form.request(model.id, segment_seconds=seconds, words=seconds == _SUBTITLE_SECONDS)
    stream = await transcribe(services, form.file.file, wanted, telemetry)
    return stream, await until_disconnect(request, stream.read_all())


def _check(form: OmniForm) -> None:
    if not form.file.size:
        raise InvalidInput("audio", "it is empty")


async def _store(services: Services, content: str, suffix: str) -> str:
    return await asyncio.to_thread(outputs.store, services.settings.omni_output_dir, content, suffix)


def _file(form: OmniForm, stream: TranscriptionStream, content: str, suffix: str, media_type: str) -> Response:
    """Return a file that browsers save; it has the recording's name, and another suffix."""
    name = (PurePath((form.file.filename or "").replace("\\", "/")).stem or "transcription") + suffix
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "_" for letter in name
    )
    headers = {"content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(
        content, media_type=media_type, headers=headers | model_headers(stream.model, form.ignored(stream.ignored))
    )
