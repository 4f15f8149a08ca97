"""The speech of this service: as an HTTP response, or as the output of a job."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.assistant import assist
from gateway.core.deliver import Again, Delivery, once
from gateway.core.results import Output, Record, ResultKey
from gateway.core.services import Services
from gateway.core.synthesize import SpeechStream, synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import WrittenSpeech
from gateway.openai.response_headers import model_headers
from gateway.streaming import StreamedResponse
from gateway.zonos.requests import AssistantBody, SpokenBody, SynthesizeBody

JOB_ID = "x-job-id"
EVERYONE = "everyone"
"""The client where no keys are set."""


async def speech_of(
    services: Services, body: SynthesizeBody | AssistantBody, telemetry: WorkTelemetry
) -> SpeechStream | WrittenSpeech:
    """Prepare the speech of a body; it is made when it is read."""
    if isinstance(body, AssistantBody):
        return await assist(services, body.assistant_request(), telemetry)
    return await synthesize(services, body.request(), telemetry)


async def streamed(
    services: Services, body: SynthesizeBody | AssistantBody, telemetry: WorkTelemetry
) -> StreamedResponse:
    """Return the audio itself, once its first bytes are known."""
    speech = await speech_of(services, body, telemetry)
    headers = {**model_headers(speech.model, _ignored(body, speech)), JOB_ID: body.job_id or new_job_id()}
    response = StreamedResponse(speech.encoded(), MEDIA_TYPES[speech.audio_format], headers)
    await response.begin()
    return response


async def delivered(
    services: Services,
    delivery: Delivery,
    body: SynthesizeBody | AssistantBody,
    telemetry: WorkTelemetry,
    *,
    owner: str,
    again: Again = once,
) -> Record:
    """Return the record of a job whose audio is in the bucket and whose notice was sent."""
    key = key_of(body, owner)

    async def work() -> Output:
        speech = await speech_of(services, body, telemetry)
        audio = await _joined(speech.encoded())
        facts = {
            "status": "completed",
            "speaker_id": body.voice or "",
            "model": speech.model,
            "duration": round(speech.audio_seconds, 3),
            "format": speech.audio_format,
            "finish_reason": speech.finish_reason,
            "ignored": _ignored(body, speech),
        }
        if isinstance(speech, WrittenSpeech):
            facts["text"] = speech.text.strip()
        return Output(facts, audio, speech.audio_format, MEDIA_TYPES[speech.audio_format])

    return await delivery.deliver(key, work, again)


def key_of(body: SpokenBody, owner: str) -> ResultKey:
    """Return the name of the job of a body; without an id, a new one."""
    kind = "assistant" if isinstance(body, AssistantBody) else "synthesize"
    return ResultKey(kind, body.job_id or new_job_id(), body.digest, "" if owner == EVERYONE else owner)


def new_job_id() -> str:
    """Return an id for a job."""
    return uuid.uuid4().hex


def _ignored(body: SpokenBody, speech: SpeechStream | WrittenSpeech) -> list[str]:
    return [*map(body.client_field_name, speech.ignored), *body.unknown_fields]


async def _joined(pieces: AsyncGenerator[bytes]) -> bytes:
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])
