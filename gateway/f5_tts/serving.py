"""A speech stream as the answer of `/tts`: an audio file, or JSON with the file in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.clone_speech import speak_as
from gateway.core.services import Services
from gateway.core.synthesize import SpeechStream
from gateway.core.telemetry import WorkTelemetry
from gateway.f5_tts.accept import JSON, accepted
from gateway.f5_tts.protocol import TtsBody
from gateway.openai.response_headers import model_headers
from gateway.streaming import StreamedResponse, WholeResponse, in_a_file
from tritone.contract import SPEECH_RATE

_BASE64_UNIT: Final = 3
"""Bytes that base64 encodes together; parts of such lengths can be joined."""


async def respond(services: Services, body: TtsBody, accept: str, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the answer to `body`; `accept` is the value of the client's header."""
    wanted = accepted(accept)
    stream = await speak_as(services, body.request(body.response_format or wanted.audio_format), telemetry)
    headers = {**model_headers(stream.model, [*stream.ignored, *body.unknown_fields]), "vary": "Accept"}
    if wanted.as_json:
        return WholeResponse(await in_a_file(_json(stream)), JSON, headers)
    media_type = MEDIA_TYPES[stream.audio_format]
    if stream.whole:
        return WholeResponse(await in_a_file(stream.encoded()), media_type, headers)
    response = StreamedResponse(stream.encoded(), media_type, headers)
    await response.begin()
    return response


async def _json(stream: SpeechStream) -> AsyncGenerator[bytes]:
    """Yield the parts of a `Speech` object."""
    yield b'{"audio":"'
    rest = b""
    async with aclosing(stream.encoded()) as pieces:
        async for piece in pieces:
            joined = rest + piece
            even = len(joined) - len(joined) % _BASE64_UNIT
            yield base64.b64encode(joined[:even])
            rest = joined[even:]
    yield base64.b64encode(rest)
    summary = {
        "format": stream.audio_format,
        "sample_rate": SPEECH_RATE,
        "duration": round(stream.audio_seconds, 3),
        "finish_reason": stream.finish_reason,
    }
    yield b'",' + json.dumps(summary).encode().removeprefix(b"{")
