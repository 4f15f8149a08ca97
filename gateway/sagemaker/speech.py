"""An invocation with a text: OpenAI's speech request, answered as `Accept` says."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from gateway.accept import choose
from gateway.audio.formats import MEDIA_TYPES, AudioFormat
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import NotAcceptable
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.speech.serving import begin, respond
from gateway.request_context import until_disconnect
from gateway.sagemaker.speech_json import json_response

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_FORMATS: Final[dict[str, AudioFormat]] = {media_type: name for name, media_type in MEDIA_TYPES.items()}


async def speech(
    services: Services, request: Request, fields: dict[str, Any], accept: str, telemetry: WorkTelemetry
) -> Response:
    """Return the speech of `fields`. Raises `NotAcceptable`, and `RequestValidationError` for a wrong field."""
    try:
        body = SpeechBody.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None
    offers = _offers(body, services.settings.default_response_format)
    media_type = choose(accept, offers)
    if media_type is None:
        raise NotAcceptable(accept, offers)
    if media_type == _JSON:
        whole = body.model_copy(update={"stream": False})
        return await until_disconnect(request, json_response(*await begin(services, whole, telemetry)))
    how = {"stream_format": "sse"} if media_type == _EVENTS else {"response_format": _FORMATS[media_type]}
    return await until_disconnect(request, respond(services, body.model_copy(update=how), telemetry))


def _offers(body: SpeechBody, default: AudioFormat) -> list[str]:
    """Return the media types that the response to `body` can have, the first one for clients that name none."""
    if body.stream_format == "sse":
        return [_EVENTS]
    own = MEDIA_TYPES[body.response_format or default]
    others = [] if body.response_format else [media_type for media_type in MEDIA_TYPES.values() if media_type != own]
    return [own, _JSON, *([] if body.stream is False else [_EVENTS]), *others]
