"""`POST /v1/chat/completions`: text and audio in, text or audio out, by the operator's language model."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from gateway.json_route import JsonRoute
from gateway.openai.chat.protocol import ChatBody, SpokenChunk, SpokenCompletion
from gateway.openai.chat.serving import respond
from gateway.openai.response_headers import documented
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from gateway.streaming import StreamedResponse

router = APIRouter(tags=["chat"], route_class=JsonRoute)

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The answer; with `stream`, its parts as events, as it is written and spoken. Without audio, "
        "it is as the language model's server gives it.",
        "headers": documented({}),
        "content": {
            "application/json": {"schema": SpokenCompletion.model_json_schema()},
            "text/event-stream": {"schema": SpokenChunk.model_json_schema()},
        },
    }
}


@router.post("/v1/chat/completions", response_class=StreamingResponse, responses=_RESPONSES)
async def create_chat_completion(
    request: Request, body: ChatBody, services: GatewayServices, telemetry: Telemetry
) -> StreamedResponse:
    """Answer the messages by the language model. A client that disconnects stops it, and the voice."""
    return await until_disconnect(request, respond(services, body, telemetry))
