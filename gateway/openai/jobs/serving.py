"""From requests to the use cases of jobs, and from their results to responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from fastapi import Depends, Response
from fastapi.responses import FileResponse

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.jobs import use_cases
from gateway.core.jobs.job import Job
from gateway.core.jobs.use_cases import CreatedJob, JobOrder
from gateway.core.services import Services
from gateway.errors import NotFound
from gateway.openai.jobs.protocol import JobList, JobObject, JobTimes, view_of
from gateway.openai.jobs.requests import SpeechJobBody, TranscriptionJobForm
from gateway.openai.response_headers import ignored_header, model_headers
from gateway.openai.speech.protocol import SpeechTimes
from gateway.openai.speech.timestamps import Timestamps
from gateway.openai.transcription.requests import Granularity, ResponseFormat
from gateway.openai.transcription.responses import MEDIA_TYPES as TRANSCRIPT_TYPES
from gateway.openai.transcription.responses import whole_response
from gateway.request_context import GatewayServices
from tritone.errors import InvalidInput

TimesFormat = Literal["verbose_json", "srt", "vtt"]
"""The forms of the times of a speech job."""


async def _job_services(services: GatewayServices) -> Services:
    """Dependency: the services of a gateway with jobs."""
    if services.jobs is None:
        raise NotFound("there are no jobs here: the setting JOBS is false")
    return services


JobServices = Annotated[Services, Depends(_job_services)]


async def created_transcription(
    services: Services,
    client: str,
    form: TranscriptionJobForm,
    idempotency_key: str,
    response: Response,
    *,
    sent: Sequence[str],
) -> JobObject:
    """Enqueue the transcription of the form's file or url; the names of the fields that were `sent` are checked."""
    order = JobOrder(client, form.callback_url, idempotency_key, form.view())
    try:
        if form.file and not form.file.size:
            raise InvalidInput("audio", "it is empty")
        source = form.file.file if form.file else form.url
        created = await use_cases.create_transcription(services, form.request(), source, order)
    except InvalidInput as error:
        raise InvalidInput(form.client_field_name(error.field), error.problem) from None
    ignored = form.fields_without_effect(sent, created.ignored)
    return _announced(services, created, ignored + ["stream"] * form.stream, response)


async def created_speech(
    services: Services, client: str, body: SpeechJobBody, idempotency_key: str, response: Response
) -> JobObject:
    """Enqueue the synthesis of the body's text."""
    audio_format = body.response_format or services.settings.default_response_format
    view = {"response_format": audio_format, "granularities": body.timestamp_granularities or ["word", "segment"]}
    order = JobOrder(client, body.callback_url, idempotency_key, view)
    try:
        created = await use_cases.create_speech(services, body.request(), order)
    except InvalidInput as error:
        raise InvalidInput(body.client_field_name(error.field), error.problem) from None
    ignored = [*map(body.client_field_name, created.ignored), *body.fields_without_effect]
    return _announced(services, created, ignored, response)


async def job_list(services: Services, client: str, limit: int, after: str) -> JobList:
    """Return a page of the client's jobs."""
    jobs = await use_cases.list_jobs(services, client, limit + 1, after)
    page = [JobObject.of(job, services.settings.jobs_retention) for job in jobs[:limit]]
    return JobList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(jobs) > limit,
    )


async def result_response(
    services: Services,
    client: str,
    job_id: str,
    response_format: str | None,
    granularities: Sequence[Granularity] | None,
) -> Response:
    """Return the result of a job in `response_format`; None: in that of the job."""
    job = await use_cases.get_job(services, client, job_id)
    if job.spec.kind == "speech":
        forms: tuple[TimesFormat, ...] = get_args(TimesFormat)
        if times_format := next((each for each in forms if each == response_format), None):
            return await _times(services, job, times_format, granularities)
        return _audio(services, job, response_format)
    known: tuple[ResponseFormat, ...] = get_args(ResponseFormat)
    name = response_format or view_of(job)["response_format"]
    wanted = next((each for each in known if each == name), None)
    if wanted is None:
        raise InvalidInput("response_format", f"{name[:64]!r} is unknown; choose from: {', '.join(known)}")
    if wanted == "diarized_json" and not job.spec.request["diarize"]:
        raise InvalidInput("response_format", "the job was created without diarized_json, and has no speakers")
    return await whole_response(
        await use_cases.transcription_result(services, job),
        wanted,
        model_headers(job.model, ()),
        granularities=granularities or view_of(job)["granularities"],
        with_logprobs=view_of(job)["logprobs"],
    )


def _audio(services: Services, job: Job, response_format: str | None) -> Response:
    made = view_of(job)["response_format"]
    if response_format not in (None, made):
        others = ", ".join(get_args(TimesFormat))
        problem = f"the job was created with {made}; choose from: {made}, and for its times {others}"
        raise InvalidInput("response_format", problem)
    return FileResponse(
        use_cases.result_file(services, job), media_type=MEDIA_TYPES[made], headers=model_headers(job.model, ())
    )


async def _times(
    services: Services, job: Job, wanted: TimesFormat, granularities: Sequence[Granularity] | None
) -> Response:
    """Return the times of a speech job's words and sentences, as JSON or as subtitles."""
    words = await use_cases.spoken_words(services, job)
    if words is None:
        problem = "the job was created without timestamp_granularities or subtitle_format, and has no times"
        raise InvalidInput("response_format", problem)
    subtitle_format = None if wanted == "verbose_json" else wanted
    timestamps = Timestamps(granularities or view_of(job)["granularities"], subtitle_format)
    times = timestamps.add(words, last=True) or SpeechTimes()
    if subtitle_format:
        content = await timestamps.subtitles() or ""
    else:
        content = JobTimes(duration=job.progress.seconds, **dict(times)).model_dump_json(exclude_none=True)
    return Response(content, media_type=TRANSCRIPT_TYPES[wanted], headers=model_headers(job.model, ()))


def _announced(services: Services, created: CreatedJob, ignored: Sequence[str], response: Response) -> JobObject:
    response.headers["location"] = f"/v1/audio/jobs/{created.job.id}"
    response.headers.update(ignored_header(ignored))
    return JobObject.of(created.job, services.settings.jobs_retention)
