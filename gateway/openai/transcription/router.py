"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from gateway.audio.decoding import Recording
from gateway.errors import BadRequest, UnsupportedMedia
from gateway.requests import record, resolve_model, until_disconnect
from gateway.settings import Settings
from gateway.streaming import Events
from gateway.transcription.answers import MEDIA_TYPES, answer, events
from gateway.transcription.asking import Asker
from gateway.transcription.diarization import Speakers, with_voices
from gateway.transcription.formats import Hearing
from gateway.transcription.forms import TranscriptionForm, TranslationForm
from gateway.transcription.known import known_voices
from gateway.transcription.listening import windows_of
from gateway.transcription.protocol import TranscriptionDiarized, TranscriptionJson, TranscriptionVerbose
from gateway.transcription.voices import Voices
from tritone import vad
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import IN_FLIGHT, WindowTranscript, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import SpeechDetector, Window

_FORM: Final = "multipart/form-data"


def multipart(request: Request) -> None:
    """Dependency: raises `UnsupportedMedia` for a body that cannot hold a file."""
    sent = request.headers.get("content-type", "none")
    if sent.partition(";")[0].strip().lower() != _FORM:
        raise UnsupportedMedia(f"content type {sent!r} is not read here; send {_FORM}")


def detector(request: Request) -> SpeechDetector:
    """Dependency: the voice activity detector of one recording."""
    return vad.Vad(request.app.state.vad)


Detector = Annotated[SpeechDetector, Depends(detector)]


_HEARD: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "What was heard, in `response_format`, or with `stream` in `transcript.text` events.",
        "model": TranscriptionVerbose | TranscriptionDiarized | TranscriptionJson,
        "content": {
            media: {"schema": {"type": "string"}}
            for media in (*MEDIA_TYPES.values(), "text/event-stream")
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
    headers, passages = await _listen(request, form, detect, hearing, await _speakers(request, form))
    if form.stream:
        stream = Events(events(passages, hearing, form), headers)
        await until_disconnect(request, stream.begin())
        return stream
    await until_disconnect(request, _to_the_end(passages))
    return await answer(
        hearing,
        form.response_format,
        headers,
        granularities=set(form.timestamp_granularities),
        with_logprobs=bool(form.include),
    )


@router.post("/translations", response_class=Response, responses=_HEARD)
async def create_translation(
    request: Request, form: Annotated[TranslationForm, Form(media_type=_FORM)], detect: Detector
) -> Response:
    """Write down in English what is said in `file`, in whatever language. Leaving early stops the model."""
    hearing = Hearing("translate")
    headers, passages = await _listen(request, form, detect, hearing)
    await until_disconnect(request, _to_the_end(passages))
    return await answer(hearing, form.response_format, headers, granularities={"segment"})


async def _speakers(request: Request, form: TranscriptionForm) -> Speakers | None:
    """Those that are known before the recording is heard; None where nobody is to be told apart."""
    if not form.diarized:
        return None
    voices: Voices = request.app.state.voices
    if voices.missing:
        raise BadRequest(
            f"response_format: speakers are not told apart here: {voices.missing}", param="response_format"
        )
    names, references = form.known_speaker_names, form.known_speaker_references
    return Speakers(await asyncio.to_thread(known_voices, names, references, voices))


async def _listen(
    request: Request, form: TranslationForm, detect: SpeechDetector, hearing: Hearing, speakers: Speakers | None = None
) -> tuple[dict[str, str], AsyncGenerator[WindowTranscript]]:
    """The answer's headers, and the passages of the form's file, which fill `hearing` as they are read."""
    settings: Settings = request.app.state.settings
    model = resolve_model(request, form.model, "transcription")
    if not form.file.size:
        raise BadRequest("file: it is empty", param="file")
    headers = {"x-tritone-model": model.id}
    if ignored := form.ignored(list(dict.fromkeys(await request.form()))):
        headers["x-tritone-ignored"] = ", ".join(ignored)

    recording = Recording(form.file.file, LISTEN_RATE, settings.max_audio_seconds, "file")
    told = record(request)
    options = form.options()
    asker = Asker(request.app.state.triton, model.id, options, told.request_id, settings.request_timeout)

    async def hear(window: Window, language: str, background: bool) -> Transcript:
        prompt = form.prompt + hearing.context() if form.conditioned else form.prompt
        transcript = await asker.ask(window, language, prompt, background=background)
        if speakers:
            return await asyncio.to_thread(with_voices, window, transcript, request.app.state.voices)
        return transcript

    async def passages() -> AsyncGenerator[WindowTranscript]:
        windows = windows_of(recording, detect, form.rules())
        in_flight = 1 if form.conditioned else IN_FLIGHT
        try:
            async with aclosing(transcribe_windows(windows, hear, options.language, in_flight=in_flight)) as heard:
                async for passage in heard:
                    hearing.passages.append(speakers.told(passage) if speakers else passage)
                    yield hearing.passages[-1]
        finally:
            hearing.seconds = told.audio_seconds = recording.seconds

    return headers, passages()


async def _to_the_end(passages: AsyncGenerator[WindowTranscript]) -> None:
    async for _ in passages:
        pass
