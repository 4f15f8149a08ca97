"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from gateway.errors import UnsupportedMedia
from gateway.openai.response_headers import documented
from gateway.openai.transcription.protocol import TranscriptionDiarized, TranscriptionJson, TranscriptionVerbose
from gateway.openai.transcription.requests import TranscriptionForm, TranslationForm
from gateway.openai.transcription.responses import MEDIA_TYPES
from gateway.openai.transcription.serving import respond_transcription, respond_translation
from gateway.request_context import GatewayServices, Telemetry

_FORM: Final = "multipart/form-data"


async def require_multipart(request: Request) -> None:
    """Dependency: raises `UnsupportedMedia` for a body that cannot hold a file."""
    sent = request.headers.get("content-type", "none")
    if sent.partition(";")[0].strip().lower() != _FORM:
        raise UnsupportedMedia(f"content type {sent!r} is not supported; send {_FORM}")


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The text in `response_format`, or with `stream` as `transcript.text` events.",
        "model": TranscriptionVerbose | TranscriptionDiarized | TranscriptionJson,
        "content": {
            media: {"schema": {"type": "string"}}
            for media in (*MEDIA_TYPES.values(), "text/event-stream")
            if media != "application/json"
        },
        "headers": documented({}),
    }
}

router = APIRouter(prefix="/v1/audio", tags=["transcription"], dependencies=[Depends(require_multipart)])


@router.post("/transcriptions", response_class=Response, responses=_RESPONSES)
async def create_transcription(
    request: Request,
    form: Annotated[TranscriptionForm, Form(media_type=_FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
) -> Response:
    """Transcribe `file` in the language that is spoken. A client that disconnects stops the model."""
    return await respond_transcription(services, request, form, telemetry)


@router.post("/translations", response_class=Response, responses=_RESPONSES)
async def create_translation(
    request: Request,
    form: Annotated[TranslationForm, Form(media_type=_FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
) -> Response:
    """Translate the speech in `file`, in any language, into English. A client that disconnects stops the model."""
    return await respond_translation(services, request, form, telemetry)
