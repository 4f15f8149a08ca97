"""`POST /zonos/register_speaker`, `/zonos/synthesize` and `/zonos/assistant`, `GET /zonos/health`."""

from __future__ import annotations

import time
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.services import Services
from gateway.openai.response_headers import documented, model_headers
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from gateway.telemetry import RequestRecord
from gateway.zonos.protocol import Health, RegisteredSpeaker, SpokenResult
from gateway.zonos.requests import AssistantBody, RegisterBody, SynthesizeBody, body_schema, read_body
from gateway.zonos.serving import JOB_ID, delivered, new_job_id, registered, streamed
from tritone.errors import InvalidInput

PREFIX: Final = "/zonos"
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Where the audio is; without a bucket, or for a client that accepts audio, the audio itself.",
        "headers": documented({JOB_ID: "The id of the job."}),
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
    }
}

router = APIRouter(prefix=PREFIX, tags=["zonos"])


@router.post("/register_speaker", response_model=RegisteredSpeaker, openapi_extra=body_schema(RegisterBody))
async def register_speaker(request: Request, services: GatewayServices, telemetry: Telemetry) -> Response:
    """Register a recording as the voice `speaker_id`, which requests of the same client may then name."""
    body = await read_body(request, RegisterBody)
    if body.s3_key:
        raise InvalidInput("s3_key", "it is for messages of the queue; send the recording itself in `file`")
    return await until_disconnect(request, _register(services, body, telemetry))


@router.post(
    "/synthesize", response_model=SpokenResult, responses=_RESPONSES, openapi_extra=body_schema(SynthesizeBody)
)
async def synthesize_text(request: Request, services: GatewayServices, telemetry: Telemetry) -> Response:
    """Speak a text in a speaker's voice, with emotions if the model has them."""
    body = await read_body(request, SynthesizeBody)
    return await until_disconnect(request, _respond(request, services, body, telemetry))


@router.post("/assistant", response_model=SpokenResult, responses=_RESPONSES, openapi_extra=body_schema(AssistantBody))
async def answer_prompt(request: Request, services: GatewayServices, telemetry: Telemetry) -> Response:
    """Let the language model answer a prompt, and speak its answer while it writes."""
    body = await read_body(request, AssistantBody)
    return await until_disconnect(request, _respond(request, services, body, telemetry))


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


async def _register(services: Services, body: RegisterBody, telemetry: RequestRecord) -> Response:
    now = time.time()
    if services.delivery:
        return JSONResponse(dict(await delivered(services, services.delivery, body, telemetry, since=now)))
    job_id = body.job_id or new_job_id()
    return JSONResponse({"job_id": job_id, **await registered(services, body, telemetry, since=now)})


async def _respond(
    request: Request, services: Services, body: SynthesizeBody | AssistantBody, telemetry: RequestRecord
) -> Response:
    if services.delivery is None or body.stream or "audio/" in request.headers.get("accept", ""):
        return await streamed(services, body, telemetry)
    record = await delivered(services, services.delivery, body, telemetry, since=time.time())
    headers = {**model_headers(record["model"], record["ignored"]), JOB_ID: record["job_id"]}
    return JSONResponse(record, headers=headers)
