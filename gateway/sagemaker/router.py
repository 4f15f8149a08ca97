"""`GET /ping` and `POST /invocations`, as SageMaker calls them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from gateway import untrusted_json
from gateway.audio.formats import MEDIA_TYPES
from gateway.errors import BadRequest
from gateway.f5_tts.protocol import TtsBody
from gateway.forms import FORM
from gateway.health import ready
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.transcription.form_reader import read_form
from gateway.request_context import GatewayServices, Telemetry
from gateway.sagemaker import attributes
from gateway.sagemaker.recording import Recording, with_options
from gateway.sagemaker.speech import speech
from gateway.sagemaker.transcription import TEXT_TYPES, transcription
from gateway.speech_json import JSON, Speech

PING: Final = "/ping"
INVOCATIONS: Final = "/invocations"
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"anyOf": [SpeechBody.model_json_schema(), TtsBody.model_json_schema()]}},
            "audio/*": _BINARY,
            "application/octet-stream": _BINARY,
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": True,
                }
            },
        },
    }
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Audio for a text, or a text for audio, in a type that `Accept` names.",
        "content": {
            **{media_type: _BINARY for media_type in MEDIA_TYPES.values()},
            **{media_type: {"schema": {"type": "string"}} for media_type in (*TEXT_TYPES, "text/event-stream")},
            JSON: {"schema": {"anyOf": [Speech.model_json_schema(), {"type": "object"}]}},
        },
    }
}

router = APIRouter(tags=["sagemaker"])


@router.get(PING, response_class=Response)
async def ping(services: GatewayServices) -> Response:
    """Return 200 with an empty body when every chosen model is loaded; else 503 with those that are not."""
    await ready(services)
    return Response()


@router.post(INVOCATIONS, response_class=Response, responses=_RESPONSES, openapi_extra=_BODY)
async def invoke(
    request: Request,
    services: GatewayServices,
    telemetry: Telemetry,
    form: Recording,
    accept: Annotated[str, Header(description="The media type of the response.")] = "",
) -> Response:
    """Synthesize a JSON body with a text, or transcribe a recording. A client that disconnects stops the model.

    The body is that of `/v1/audio/speech` (`input`) or of `/tts` (`text`), or holds a recording.
    """
    fields = {} if form is not None else await _fields(request, services.settings.max_json_bytes)
    if "input_audio" in fields:
        form = with_options(await read_form(request), request)
    if form is not None:
        response = await transcription(services, request, form, accept, telemetry)
    else:
        response = await speech(services, request, fields, accept, telemetry)
    response.headers.update(attributes.reported(response.headers))
    return response


async def _fields(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the fields of a JSON body, with the options from outside that it lacks. Raises `BadRequest`."""
    try:
        fields = untrusted_json.parse_object(await request.body(), max_bytes=max_bytes)
    except untrusted_json.MalformedJson as error:
        raise BadRequest(f"body: {error}") from None
    return {**dict(attributes.options_of(request)), **fields}
