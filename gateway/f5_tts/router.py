"""`POST /tts`, also as `/f5/tts` for a port of its own (SURFACE_PORTS)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from gateway.audio.formats import MEDIA_TYPES
from gateway.f5_tts.protocol import TtsBody
from gateway.f5_tts.serving import respond
from gateway.json_route import JsonRoute
from gateway.openai.response_headers import documented
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from gateway.speech_json import Speech
from gateway.streaming import StreamedResponse

PREFIX: Final = "/f5"
PATH: Final = "/tts"
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The audio file, or, for `Accept: application/json`, JSON with the file in base64.",
        "headers": documented({}),
        "content": {
            **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
            "application/json": {"schema": Speech.model_json_schema()},
        },
    }
}

router = APIRouter(tags=["f5"], route_class=JsonRoute)


@router.post(PATH, response_class=StreamingResponse, responses=_RESPONSES)
@router.post(f"{PREFIX}{PATH}", response_class=StreamingResponse, responses=_RESPONSES)
async def tts(
    request: Request,
    body: TtsBody,
    services: GatewayServices,
    telemetry: Telemetry,
    accept: Annotated[str, Header(description="`application/json`, or an audio type such as `audio/mpeg`.")] = "",
) -> StreamedResponse:
    """Synthesize `text` in the voice of `ref_audio`. A client that disconnects stops the model."""
    return await until_disconnect(request, respond(services, body, accept, telemetry))
