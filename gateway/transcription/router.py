"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel

from gateway.audio.decoding import Recording
from gateway.errors import BadRequest, UnsupportedMedia
from gateway.requests import record, resolve_model, until_disconnect
from gateway.settings import Settings
from gateway.streaming import Events
from gateway.transcription import subtitles
from gateway.transcription.formats import Hearing
from gateway.transcription.listening import windows_of
from gateway.transcription.protocol import (
    Granularity,
    ResponseFormat,
    TextDelta,
    TextDone,
    TranscriptionForm,
    TranscriptionJson,
    TranscriptionVerbose,
    TranslationForm,
)
from tritone import vad
from tritone.contract import LISTEN_RATE
from tritone.listening import Passage, listen
from tritone.transcript import Transcript
from tritone.windows import Detect, Window

_FORM: Final = "multipart/form-data"
_MEDIA_TYPES: Final[dict[ResponseFormat, str]] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def multipart(request: Request) -> None:
    """Dependency: raises `UnsupportedMedia` for a body that cannot hold a file."""
    sent = request.headers.get("content-type", "none")
    if sent.partition(";")[0].strip().lower() != _FORM:
        raise UnsupportedMedia(f"content type {sent!r} is not read here; send {_FORM}")


def detector(request: Request) -> Detect:
    """Dependency: the voice activity detector of one recording."""
    return vad.Vad(request.app.state.vad)


Detector = Annotated[Detect, Depends(detector)]


_HEARD: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "What was heard, in `response_format`, or with `stream` in `transcript.text` events.",
        "model": TranscriptionVerbose | TranscriptionJson,
        "content": {
            media: {"schema": {"type": "string"}}
            for media in (*_MEDIA_TYPES.values(), "text/event-stream")
            if media != "application/json"
        },
        "headers": {
            "x-tritone-model": {"description": "The model that listened.", "schema": {"type": "string"}},
            "x-tritone-ignored": {"description": "Fields that had no effect.", "schema": {"type": "string"}},
        },
    }
}

router = APIRouter(prefix="/v1/audio", tags=["transcription"], dependencies=[Depends(multipart)])


@router.post("/transcriptions", response_class=Response, responses=_HEARD)
async def create_transcription(
    request: Request, form: Annotated[TranscriptionForm, Form(media_type=_FORM)], detect: Detector
) -> Response:
    """Write down what is said in `file`, in the language it is said in. Leaving early stops the model."""
    hearing = Hearing("transcribe")
    headers, passages = await _listen(request, form, detect, hearing)
    if form.stream:
        answer = Events(_events(passages, hearing), headers)
        await until_disconnect(request, answer.begin())
        return answer
    await until_disconnect(request, _to_the_end(passages))
    return _answer(hearing, form.response_format, form.granularities, headers)


@router.post("/translations", response_class=Response, responses=_HEARD)
async def create_translation(
    request: Request, form: Annotated[TranslationForm, Form(media_type=_FORM)], detect: Detector
) -> Response:
    """Write down in English what is said in `file`, in whatever language. Leaving early stops the model."""
    hearing = Hearing("translate")
    headers, passages = await _listen(request, form, detect, hearing)
    await until_disconnect(request, _to_the_end(passages))
    return _answer(hearing, form.response_format, {"segment"}, headers)


async def _listen(
    request: Request, form: TranslationForm, detect: Detect, hearing: Hearing
) -> tuple[dict[str, str], AsyncGenerator[Passage]]:
    """The answer's headers, and the passages of the form's file, which fill `hearing` as they are read."""
    settings: Settings = request.app.state.settings
    model = resolve_model(request, form.model, "transcription")
    if not form.file.size:
        raise BadRequest("file: it is empty", param="file")
    headers = {"x-tritone-model": model.id}
    if ignored := form.ignored(list(dict.fromkeys(await request.form()))):
        headers["x-tritone-ignored"] = ", ".join(ignored)

    recording = Recording(form.file.file, LISTEN_RATE, settings.max_audio_seconds, "file")
    options = form.options()
    told = record(request)

    async def hear(window: Window, language: str, priority: int) -> Transcript:
        columns = await request.app.state.triton.infer(
            model.id,
            {"audio": window.samples[np.newaxis]},
            replace(options, language=language).to_parameters(),
            request_id=told.request_id,
            priority=priority,
            timeout=settings.request_timeout,
        )
        return Transcript.from_columns(columns)

    async def passages() -> AsyncGenerator[Passage]:
        try:
            async with aclosing(listen(windows_of(recording, detect), hear, options.language)) as heard:
                async for passage in heard:
                    hearing.passages.append(passage)
                    yield passage
        finally:
            hearing.seconds = told.audio_seconds = recording.seconds

    return headers, passages()


async def _to_the_end(passages: AsyncGenerator[Passage]) -> None:
    async for _ in passages:
        pass


async def _events(passages: AsyncGenerator[Passage], hearing: Hearing) -> AsyncGenerator[BaseModel]:
    begun = False
    async with aclosing(passages):
        async for passage in passages:
            for segment in passage.segments:
                delta = segment.text if begun else segment.text.lstrip()
                if delta:
                    begun = True
                    yield TextDelta(delta=delta)
    yield TextDone(text=hearing.text, usage=hearing.token_usage())


def _answer(
    hearing: Hearing, response_format: ResponseFormat, granularities: set[Granularity], headers: dict[str, str]
) -> Response:
    match response_format:
        case "json":
            content = hearing.json().model_dump_json()
        case "verbose_json":
            content = hearing.verbose_json(granularities).model_dump_json(exclude_none=True)
        case "text":
            content = f"{hearing.text}\n"
        case "srt":
            content = subtitles.srt(hearing.segments)
        case "vtt":
            content = subtitles.vtt(hearing.segments)
    return Response(content, media_type=_MEDIA_TYPES[response_format], headers=headers)
