"""`POST /zonos/synthesize` and `/zonos/assistant`, `GET /zonos/health`."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.services import Services
from gateway.openai.response_headers import documented, model_headers
from gateway.request_context import Client, GatewayServices, Telemetry, until_disconnect
from gateway.telemetry import RequestRecord
from gateway.zonos.protocol import Health, SpokenResult
from gateway.zonos.requests import AssistantBody, SynthesizeBody, body_schema, read_body
from gateway.zonos.serving import JOB_ID, delivered, streamed

PREFIX: Final = "/zonos"
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Where the audio is; without a bucket, or for a client that accepts audio, the audio itself.",
        "headers": documented({JOB_ID: "The id of the job."}),
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
    }
}

router = APIRouter(prefix=PREFIX, tags=["zonos"])


@router.post(
    "/synthesize", response_model=SpokenResult, responses=_RESPONSES, openapi_extra=body_schema(SynthesizeBody)
)
async def synthesize_text(
    request: Request, services: GatewayServices, telemetry: Telemetry, client: Client
) -> Response:
    """Speak a text in a speaker's voice, with emotions if the model has them."""
    body = await read_body(request, SynthesizeBody)
    return await until_disconnect(request, _respond(request, services, body, telemetry, client))


@router.post("/assistant", response_model=SpokenResult, responses=_RESPONSES, openapi_extra=body_schema(AssistantBody))
async def answer_prompt(request: Request, services: GatewayServices, telemetry: Telemetry, client: Client) -> Response:
    """Let the language model answer a prompt, and speak its answer while it writes."""
    body = await read_body(request, AssistantBody)
    return await until_disconnect(request, _respond(request, services, body, telemetry, client))


@router.get("/health")
async def health(services: GatewayServices) -> Health:
    """Return whether speech can be made."""
    model = services.triton.served.resolve(None, "speech")
    return Health(
        status="ok" if model.state in ("ready", "idle") else "loading",
        model=model.id,
        model_loaded=model.state == "ready",
        storage="s3" if services.delivery else "none",
        language_model=bool(services.settings.llm_url),
    )


async def _respond(
    request: Request, services: Services, body: SynthesizeBody | AssistantBody, telemetry: RequestRecord, client: str
) -> Response:
    if services.delivery is None or body.stream or "audio/" in request.headers.get("accept", ""):
        return await streamed(services, body, telemetry)
    record = await delivered(services, services.delivery, body, telemetry, owner=client)
    headers = {**model_headers(record["model"], record["ignored"]), JOB_ID: record["job_id"]}
    return JSONResponse(record, headers=headers)
