"""A speech stream as the answer of `/tts`: an audio file, or JSON with the file in base64."""

from __future__ import annotations

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.clone_speech import speak_as
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.f5_tts.accept import accepted
from gateway.f5_tts.protocol import TtsBody
from gateway.openai.response_headers import model_headers
from gateway.speech_json import json_response
from gateway.streaming import StreamedResponse, WholeResponse, in_a_file


async def respond(services: Services, body: TtsBody, accept: str, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the answer to `body`; `accept` is the value of the client's header."""
    wanted = accepted(accept)
    stream = await speak_as(services, body.request(body.response_format or wanted.audio_format), telemetry)
    headers = {**model_headers(stream.model, [*stream.ignored, *body.unknown_fields]), "vary": "Accept"}
    if wanted.as_json:
        return await json_response(stream, headers)
    media_type = MEDIA_TYPES[stream.audio_format]
    if stream.whole:
        return WholeResponse(await in_a_file(stream.encoded()), media_type, headers)
    response = StreamedResponse(stream.encoded(), media_type, headers)
    await response.begin()
    return response
