"""An invocation with a text: OpenAI's speech request or that of `/tts`, answered as `Accept` says."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from gateway.accept import choose
from gateway.audio.formats import MEDIA_TYPES, AudioFormat
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import NotAcceptable
from gateway.f5_tts.protocol import TtsBody
from gateway.f5_tts.serving import respond as respond_as_tts
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.speech.serving import begin, respond, whole_json
from gateway.request_context import until_disconnect
from gateway.sagemaker.parsing import parsed
from gateway.speech_json import JSON

_EVENTS: Final = "text/event-stream"
_FORMATS: Final[dict[str, AudioFormat]] = {media_type: name for name, media_type in MEDIA_TYPES.items()}


async def speech(
    services: Services, request: Request, fields: dict[str, Any], accept: str, telemetry: WorkTelemetry
) -> Response:
    """Return the speech of `fields`. Raises `NotAcceptable`, and `RequestValidationError` for a wrong field."""
    if "text" in fields and "input" not in fields:
        tts = parsed(TtsBody, fields)
        return await until_disconnect(request, respond_as_tts(services, tts, accept, telemetry))
    body = parsed(SpeechBody, fields)
    offers = _offers(body, services.settings.default_response_format)
    media_type = choose(accept, offers)
    if media_type is None:
        raise NotAcceptable(accept, offers)
    if media_type == JSON:
        whole = body.model_copy(update={"stream": False})
        stream, headers = await begin(services, whole, telemetry)
        return await until_disconnect(request, whole_json(stream, headers, body))
    how = {"stream_format": "sse"} if media_type == _EVENTS else {"response_format": _FORMATS[media_type]}
    return await until_disconnect(request, respond(services, body.model_copy(update=how), telemetry))


def _offers(body: SpeechBody, default: AudioFormat) -> list[str]:
    """Return the media types that the response to `body` can have, the first one for clients that name none."""
    if body.stream_format == "sse":
        return [_EVENTS]
    own = MEDIA_TYPES[body.response_format or default]
    others = [] if body.response_format else [media_type for media_type in MEDIA_TYPES.values() if media_type != own]
    return [own, JSON, *([] if body.stream is False else [_EVENTS]), *others]
