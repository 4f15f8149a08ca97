"""`POST /v1/audio/speech`: text in, audio out as it is synthesized."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from gateway.audio.formats import MEDIA_TYPES
from gateway.body_route import JsonBodyRoute
from gateway.openai.response_headers import documented
from gateway.openai.speech.batch import BatchBody, BatchResult, results
from gateway.openai.speech.captioned import LINES, CaptionedAudio, CaptionedBody, respond_captioned
from gateway.openai.speech.protocol import (
    AudioDelta,
    AudioDone,
    AudioSubtitles,
    AudioTimestamps,
    SpeechBody,
    TimedSpeech,
)
from gateway.openai.speech.serving import SAMPLE_RATE, SUMMARY_HEADERS, respond
from gateway.request_context import record_of, services_of
from gateway.streaming import StreamedResponse

router = APIRouter(tags=["speech"], route_class=JsonBodyRoute)

_EVENTS: Final = (AudioDelta, AudioTimestamps, AudioSubtitles, AudioDone)
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The audio file, or its parts as events, as it is synthesized; with `stream: false` at its end; "
        "as JSON with the times of words.",
        "headers": documented(
            {SAMPLE_RATE: "Of pcm: samples a second."}
            | {name: header.description for name, header in SUMMARY_HEADERS.items()}
        ),
        "content": {
            **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
            "text/event-stream": {
                "schema": {"anyOf": [event.model_json_schema() for event in _EVENTS]},
            },
            "application/json": {"schema": TimedSpeech.model_json_schema()},
        },
    }
}


_CAPTIONED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": CaptionedAudio, "content": {LINES: {"schema": {"type": "string"}}}}
}


@router.post("/v1/audio/speech", response_class=StreamingResponse, responses=_RESPONSES)
async def create_speech(request: Request, body: SpeechBody) -> StreamedResponse:
    """Synthesize `input`. The first bytes are sent with the first audio; a client that disconnects stops the model."""
    services, telemetry = await services_of(request), await record_of(request)
    return await respond(services, body, telemetry)


@router.post("/v1/audio/speech/batch", response_class=StreamingResponse, responses={200: {"model": BatchResult}})
async def create_speech_batch(request: Request, body: BatchBody) -> StreamedResponse:
    """Synthesize up to 32 texts. The results have the order of the items; a bad item fails alone."""
    services, telemetry = await services_of(request), await record_of(request)
    return StreamedResponse(results(services, body, telemetry), "application/json")


@router.post("/dev/captioned_speech", response_class=StreamingResponse, responses=_CAPTIONED)
async def create_captioned_speech(request: Request, body: CaptionedBody) -> StreamedResponse:
    """Synthesize `input` with the times of its words, as Kokoro-FastAPI does: an object in each line, or only one."""
    services, telemetry = await services_of(request), await record_of(request)
    return await respond_captioned(services, body, telemetry)
