"""The speech of this service: as an HTTP response, or as the output of a job."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final, Literal

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.assistant import assist
from gateway.core.deliver import Again, Delivery, once
from gateway.core.errors import VoiceConflict, VoiceNotFound
from gateway.core.results import Output, Record, ResultKey
from gateway.core.services import Services
from gateway.core.synthesize import SpeechStream, synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.voices.use_cases import get_voice, register_voice
from gateway.core.voices.voice import Voice, VoiceOrder
from gateway.core.written_speech import WrittenSpeech
from gateway.openai.response_headers import model_headers
from gateway.streaming import StreamedResponse
from gateway.zonos.requests import AssistantBody, JobBody, RegisterBody, SpokenBody, SynthesizeBody
from tritone.errors import InvalidInput

Kind = Literal["register", "synthesize", "assistant"]

JOB_ID: Final = "x-job-id"
BODIES: Final[dict[Kind, type[JobBody]]] = {
    "register": RegisterBody,
    "synthesize": SynthesizeBody,
    "assistant": AssistantBody,
}
EVERYONE: Final = "everyone"
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
    body: JobBody,
    telemetry: WorkTelemetry,
    *,
    since: float,
    again: Again = once,
) -> Record:
    """Return the record of a job whose result is in the bucket and whose notice was sent.

    `since` is the time of the request, in Unix seconds.
    """

    async def work() -> Output:
        if isinstance(body, RegisterBody):
            return Output(await registered(services, body, telemetry, since=since))
        assert isinstance(body, SynthesizeBody | AssistantBody)
        return await _spoken(services, body, telemetry)

    return await delivery.deliver(key_of(body, telemetry.owner), work, again)


async def registered(
    services: Services, body: RegisterBody, telemetry: WorkTelemetry, *, since: float
) -> dict[str, Any]:
    """Register a speaker, and return its record but for the id.

    A speaker of this name that was made since the request is taken for this job's own, whose first worker died.
    """
    if body.file is None and body.s3_key and services.delivery:
        file = await services.delivery.results.read(body.s3_key, services.settings.max_voice_bytes, "s3_key")
    else:
        file = body.file or b""
    if not file:
        raise InvalidInput("audio_sample", "send a recording of the speaker")
    order = VoiceOrder(telemetry.owner, body.speaker_id, body.consent or "", body.text or "")
    try:
        voice = await register_voice(services, order, file, telemetry)
    except VoiceConflict as conflict:
        with suppress(VoiceNotFound):
            voice = await get_voice(services, telemetry.owner, body.speaker_id)
            if voice.created >= since:
                return _facts(body, voice)
        raise conflict from None
    return _facts(body, voice)


def _facts(body: RegisterBody, voice: Voice) -> dict[str, Any]:
    return {
        "type": "register",
        "status": "completed",
        "speaker_id": voice.name,
        "voice_id": voice.id,
        "duration": round(voice.seconds, 3),
        "text": voice.text,
        "ignored": sorted(body.model_extra or ()),
    }


async def _spoken(services: Services, body: SynthesizeBody | AssistantBody, telemetry: WorkTelemetry) -> Output:
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


def key_of(body: JobBody, owner: str) -> ResultKey:
    """Return the name of the job of a body; without an id, a new one."""
    kind = next(kind for kind, each in BODIES.items() if isinstance(body, each))
    return ResultKey(kind, body.job_id or new_job_id(), body.digest, "" if owner == EVERYONE else owner)


def new_job_id() -> str:
    """Return an id for a job."""
    return uuid.uuid4().hex


def _ignored(body: SpokenBody, speech: SpeechStream | WrittenSpeech) -> list[str]:
    return [*map(body.client_field_name, speech.ignored), *body.unknown_fields]


async def _joined(pieces: AsyncGenerator[bytes]) -> bytes:
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])
