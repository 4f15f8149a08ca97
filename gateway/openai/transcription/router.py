"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from gateway.forms import FORM
from gateway.openai.response_headers import documented
from gateway.openai.transcription.form_reader import JSON_BODY, FormBodyRoute
from gateway.openai.transcription.protocol import TranscriptionDiarized, TranscriptionJson, TranscriptionVerbose
from gateway.openai.transcription.requests import TranscriptionForm, TranslationForm
from gateway.openai.transcription.responses import MEDIA_TYPES
from gateway.openai.transcription.serving import respond
from gateway.request_context import record_of, services_of

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

router = APIRouter(prefix="/v1/audio", tags=["transcription"], route_class=FormBodyRoute)


@router.post("/transcriptions", response_class=Response, responses=_RESPONSES, openapi_extra=JSON_BODY)
async def create_transcription(request: Request, form: Annotated[TranscriptionForm, Form(media_type=FORM)]) -> Response:
    """Transcribe `file` in the language that is spoken. A client that disconnects stops the model."""
    return await respond(await services_of(request), request, form, await record_of(request), await request.form())


@router.post("/translations", response_class=Response, responses=_RESPONSES, openapi_extra=JSON_BODY)
async def create_translation(request: Request, form: Annotated[TranslationForm, Form(media_type=FORM)]) -> Response:
    """Translate the speech in `file`, in any language, into English. A client that disconnects stops the model."""
    return await respond(await services_of(request), request, form, await record_of(request), await request.form())
