"""`POST /v1/audio/speech`: text in, audio out while it is spoken."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from gateway.audio.formats import MEDIA_TYPES
from gateway.errors import BadRequest
from gateway.requests import resolve_model, until_disconnect
from gateway.settings import Settings
from gateway.speech.protocol import AudioDelta, AudioDone, SpeechRequest
from gateway.speech.serving import Utterance, speak
from gateway.streaming import Events, Stream, Whole

router = APIRouter(tags=["speech"])

ENDING = {
    "x-finish-reason": "Of a whole answer: `stop`, or why it was cut: `length`, `runaway`.",
    "x-audio-duration": "Of a whole answer, in seconds.",
    "x-engine-time": "Of a whole answer: what the model took for it, in seconds.",
    "x-prompt-tokens": "Of a whole answer: tokens of the text.",
    "x-completion-tokens": "Of a whole answer: frames of the audio in the model's own count.",
}
"""The headers that tell how a whole answer ended; the names are those of sglang-omni."""
_SPOKEN = {
    "description": "The audio file, or its parts as events, while it is spoken; with `stream: false` at its end.",
    "headers": {
        "x-tritone-model": {"description": "The model that spoke.", "schema": {"type": "string"}},
        "x-tritone-ignored": {"description": "Fields that had no effect.", "schema": {"type": "string"}},
        **{name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in ENDING.items()},
    },
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
        "text/event-stream": {"schema": {"anyOf": [AudioDelta.model_json_schema(), AudioDone.model_json_schema()]}},
    },
}
_NAMED_FIELDS = 16
"""How many ignored fields the header names at most."""


@router.post("/v1/audio/speech", response_class=StreamingResponse, responses={200: _SPOKEN})
async def create_speech(request: Request, body: SpeechRequest) -> Stream:
    """Speak `input`. The first bytes leave as soon as the first audio is there; leaving early stops the model."""
    settings: Settings = request.app.state.settings
    if not body.input.strip():
        raise BadRequest("input: there is nothing to speak", param="input")
    if len(body.input) > settings.max_input_chars:
        problem = f"{len(body.input)} characters; at most {settings.max_input_chars} are spoken at once"
        raise BadRequest(f"input: {problem}", param="input")
    model = resolve_model(request, body.model, "speech")

    async def begun() -> Stream:
        utterance = await speak(request, model, body)
        headers = {"x-tritone-model": model.id}
        if ignored := utterance.ignored[:_NAMED_FIELDS]:
            headers["x-tritone-ignored"] = ", ".join(quote(name[:64], errors="replace") for name in ignored)
        media = MEDIA_TYPES[utterance.audio_format]
        if utterance.whole:
            audio = b"".join([piece async for piece in utterance.encoded()])
            return Whole(audio, media, {**headers, **_ending(utterance)})
        sse = body.stream_format == "sse"
        answer = Events(_events(utterance), headers) if sse else Stream(utterance.encoded(), media, headers)
        await answer.begin()
        return answer

    return await until_disconnect(request, begun())


def _ending(utterance: Utterance) -> dict[str, str]:
    values = (
        utterance.finish_reason,
        f"{utterance.audio_seconds:.3f}",
        f"{utterance.engine_seconds:.3f}",
        f"{utterance.usage.input_tokens}",
        f"{utterance.usage.output_tokens}",
    )
    return dict(zip(ENDING, values, strict=True))


async def _events(utterance: Utterance) -> AsyncGenerator[BaseModel]:
    async with aclosing(utterance.encoded()) as pieces:
        async for piece in pieces:
            yield AudioDelta.of(piece)
    yield AudioDone(usage=utterance.usage, finish_reason=utterance.finish_reason)
