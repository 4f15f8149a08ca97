"""The use cases of jobs: create one, read it and its result, cancel and delete it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from gateway.core.alignment import Aligner
from gateway.core.errors import JobConflict, JobNotFound, ModelUnavailable, StorageFull
from gateway.core.jobs import speech, transcription
from gateway.core.jobs.callbacks import check_callback, check_url
from gateway.core.jobs.files import RESULT, WORDS, JobFiles, is_id, new_id, pieces_of
from gateway.core.jobs.job import Job, JobSpec
from gateway.core.jobs.store import JobStore
from gateway.core.jobs.transcripts import result_from_json
from gateway.core.metrics import JOBS_CREATED
from gateway.core.services import Services
from gateway.core.speech_options import ResolvedOptions, SynthesisRequest, tells_word_times
from gateway.core.tagged_text import check_voices, spoken_parts, without_ssml
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import SupportedOptions, TranscriptionRequest
from gateway.core.transcription_result import TranscriptionResult
from gateway.core.voices.speaking import choose_voice
from tritone.errors import InvalidInput
from tritone.transcript import Word


@dataclass(frozen=True)
class JobOrder:
    """What the jobs of all kinds have in common."""

    owner: str
    """The client; it alone may see the job."""
    callback_url: str = ""
    idempotency_key: str = ""
    """A second order with the same key returns the first one's job; empty: every order makes a job."""
    view: Mapping[str, Any] = field(default_factory=dict)
    """What the surface needs to show the job, as JSON."""


@dataclass(frozen=True)
class CreatedJob:
    """A job, and the options of its request that have no effect with its model."""

    job: Job
    ignored: tuple[str, ...] = ()


async def create_transcription(
    services: Services, request: TranscriptionRequest, source: BinaryIO | str, order: JobOrder
) -> CreatedJob:
    """Enqueue the transcription of a recording: an open file, or the address of one.

    Word times are computed if the model has them, so that the result can be had in every format. A model that is not
    loaded, or out of reach, is waited for. Raises `InvalidInput`, `ModelNotFound`, `JobConflict`, `JobsUnavailable` and
    `StorageFull`.
    """
    if not request.options.word_timestamps:
        options = replace(request.options, word_timestamps=True)
        request = replace(request, options=options, optional=(*request.optional, "word_timestamps"))
    ignored: tuple[str, ...] = ()
    name = request.model or ""
    try:
        model = services.triton.served.resolve(request.model, "transcription")
        name = name or model.id
        ignored = SupportedOptions.of(model, request.options, request.optional).ignored
    except ModelUnavailable:
        pass  # no server was reached yet
    if isinstance(source, str):
        if not services.settings.allow_job_urls:
            raise InvalidInput("url", "addresses are not fetched here (ALLOW_JOB_URLS); send the file")
        check_url(source, "url")
    spec = JobSpec("transcription", name, transcription.request_to_json(request), "")
    return CreatedJob(await _create(services, spec, source, order), ignored)


async def create_speech(services: Services, request: SynthesisRequest, order: JobOrder) -> CreatedJob:
    """Enqueue the synthesis of a text of any length. Raises as `create_transcription`."""
    settings = services.settings
    if len(request.text) > settings.jobs_max_input_chars:
        problem = f"{len(request.text)} characters; at most {settings.jobs_max_input_chars} are allowed"
        raise InvalidInput("text", problem)
    request = await without_ssml(services, replace(request, owner=order.owner))
    parts = spoken_parts(request)
    ignored: tuple[str, ...] = ()
    name = request.model or ""
    try:
        chosen = await choose_voice(services, request)
        name = name or chosen.model.id
        ignored = ResolvedOptions.of(chosen.request, chosen.model).ignored
        if request.word_times and not tells_word_times(chosen.model):
            Aligner.of(services, chosen.model.id, request, WorkTelemetry("", owner=order.owner))
        await check_voices(services, request, parts)
    except ModelUnavailable:
        pass  # it was never loaded yet
    request = replace(request, audio_format=request.file_format(settings.default_response_format))
    values, upload = speech.request_to_json(request)
    return CreatedJob(await _create(services, JobSpec("speech", name, values, ""), io.BytesIO(upload), order), ignored)


async def get_job(services: Services, owner: str, job_id: str) -> Job:
    """Return the owner's job. Raises `JobNotFound` and `JobsUnavailable`."""
    job = await (await _store(services)).get(job_id, owner) if is_id(job_id) else None
    if job is None:
        raise JobNotFound(f"there is no job {job_id[:64]!r}; it may have expired")
    return job


async def list_jobs(services: Services, owner: str, limit: int, after: str = "") -> list[Job]:
    """Return the owner's jobs, the newest first, beginning behind the one with the id `after`."""
    return await (await _store(services)).list(owner, limit, await get_job(services, owner, after) if after else None)


async def cancel_job(services: Services, owner: str, job_id: str) -> Job:
    """Cancel an unfinished job, and return it. Raises `JobConflict` for one that has ended otherwise."""
    job = await get_job(services, owner, job_id)
    if not job.is_finished:
        await (await _store(services)).cancel(job)
        job = await get_job(services, owner, job_id)
    if job.status != "cancelled":
        raise JobConflict(f"the job has {job.status} already")
    return job


async def delete_job(services: Services, owner: str, job_id: str) -> None:
    """Remove a job, its files and its result; a running one is cancelled."""
    job = await get_job(services, owner, job_id)
    await (await _store(services)).delete(job)
    await asyncio.to_thread(_files(services).remove, job_id)


async def transcription_result(services: Services, job: Job) -> TranscriptionResult:
    """Return the result of a transcription job. Raises `JobConflict` if it is not completed."""
    path = result_file(services, job)
    return await asyncio.to_thread(lambda: result_from_json(json.loads(path.read_bytes())))


def result_file(services: Services, job: Job) -> Path:
    """Return the file of the result, of speech the audio. Raises `JobConflict` if the job is not completed."""
    if job.status != "completed":
        state = {"queued": "is not finished", "running": "is not finished"}.get(job.status, f"has {job.status}")
        raise JobConflict(f"the job {state}, so that it has no result")
    return _files(services).path(job.id, RESULT)


async def spoken_words(services: Services, job: Job) -> list[Word] | None:
    """Return the words of a speech job with their times in its audio; None: it was created without them.

    Raises `JobConflict` if it is not completed.
    """
    result_file(services, job)
    if not job.spec.request.get("word_times"):
        return None
    path = _files(services).path(job.id, WORDS)
    return await asyncio.to_thread(lambda: [Word(**word) for word in json.loads(path.read_bytes())])


async def _create(services: Services, spec: JobSpec, source: BinaryIO | str, order: JobOrder) -> Job:
    if order.callback_url:
        check_callback(order.callback_url, services.settings)
    spec = replace(spec, callback_url=order.callback_url, view=order.view)
    store, files = await _store(services), _files(services)
    job_id = _id_of(order)
    sent = asdict(spec)
    del sent["references"]  # it is set below, and was not in the specifications of earlier jobs
    digest = hashlib.sha256(json.dumps(sent, sort_keys=True).encode())
    if order.idempotency_key and (job := await store.get(job_id, order.owner)):
        if not isinstance(source, str):
            await asyncio.to_thread(lambda: [None for _ in _hashed(pieces_of(source), digest)])
        else:
            digest.update(source.encode())
        return _repeated(job, digest.hexdigest())
    if isinstance(source, str):
        digest.update(source.encode())
        await asyncio.to_thread(files.add, job_id)
        spec = replace(spec, url=source)
    else:
        upload = await asyncio.to_thread(files.add_upload, job_id, _hashed(pieces_of(source), digest))
        spec = replace(spec, upload=upload)
    spec = replace(spec, fingerprint=digest.hexdigest(), ordered=time.time())
    try:
        spec = await asyncio.to_thread(_with_references_in_file, files, job_id, spec)
        job = await store.create(job_id, order.owner, spec)
    except StorageFull:
        # After any other error the job may be there all the same, and needs its files.
        _discard(files, job_id, spec)
        raise
    if (job.spec.upload, job.spec.references) != (spec.upload, spec.references):
        _discard(files, job_id, spec)  # the same request came twice at once, and the other was faster
    else:
        JOBS_CREATED.labels(spec.kind).inc()
    return _repeated(job, spec.fingerprint)


def _with_references_in_file(files: JobFiles, job_id: str, spec: JobSpec) -> JobSpec:
    """Write the recordings of known speakers to a file, if there are any, in place of the specification; it blocks."""
    references = spec.request.get(transcription.REFERENCES)
    if not references:
        return spec
    name = files.add_upload(job_id, [json.dumps(references).encode()])
    return replace(spec, request={**spec.request, transcription.REFERENCES: ()}, references=name)


def _discard(files: JobFiles, job_id: str, spec: JobSpec) -> None:
    """Remove the files of a job that is none."""
    for name in (spec.references, spec.upload):
        files.discard(job_id, name)


def _id_of(order: JobOrder) -> str:
    if not order.idempotency_key:
        return new_id()
    name = json.dumps([order.owner, order.idempotency_key])
    return f"job_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _hashed(pieces: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _repeated(job: Job, fingerprint: str) -> Job:
    """Return the job of an order that may be a repeated one."""
    if job.spec.fingerprint != fingerprint:
        raise JobConflict("Idempotency-Key: it was used for another request; send a new key")
    return job


async def _store(services: Services) -> JobStore:
    assert services.jobs
    return await services.jobs.store()


def _files(services: Services) -> JobFiles:
    assert services.jobs
    return services.jobs.files
