"""`POST /v1/audio/speech/timestamps` as speaches has it, and `POST /v1/vad` as LocalAI has it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Form, Request, UploadFile
from pydantic import BaseModel, Field

from gateway import untrusted_json
from gateway.audio.decoding import AudioFile
from gateway.body_route import validated
from gateway.core.errors import ModelNotFound
from gateway.core.speech_spans import SpanOptions, find_speech
from gateway.errors import BadRequest
from gateway.forms import FORM
from gateway.openai.transcription.form_reader import FormRoute
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from tritone.contract import LISTEN_RATE
from tritone.windowing import Samples

_MOST_MS: Final = 3_600_000
_LONGEST: Final = float("inf")


class TimestampsForm(BaseModel):
    """The fields of `/v1/audio/speech/timestamps`."""

    file: UploadFile = Field(description="The recording, in any common audio or video container.")
    model: str = Field("silero-vad", description="The detector; names of other versions of Silero's stand for it.")
    threshold: float = Field(0.75, gt=0, lt=1, description="Probability at which speech begins.")
    neg_threshold: float | None = Field(
        None, ge=0, lt=1, description="Probability below which speech ends. None: 0.15 lower than `threshold`."
    )
    min_speech_duration_ms: int = Field(0, ge=0, le=_MOST_MS, description="Shorter speech is left out.")
    max_speech_duration_s: float = Field(
        _LONGEST, ge=0.1, description="Longer speech is cut where it is least probable."
    )
    min_silence_duration_ms: int = Field(1000, ge=0, le=_MOST_MS, description="A shorter silence ends no speech.")
    speech_pad_ms: int = Field(0, ge=0, le=_MOST_MS, description="Added on both sides of speech.")

    def options(self) -> SpanOptions:
        """Return the options of the use case."""
        return SpanOptions(
            self.threshold,
            self.neg_threshold,
            self.min_speech_duration_ms / 1000,
            self.max_speech_duration_s,
            self.min_silence_duration_ms / 1000,
            self.speech_pad_ms / 1000,
        )


class Timestamp(BaseModel):
    """A stretch of speech, in milliseconds from the recording's start."""

    start: int
    end: int


class VadBody(BaseModel):
    """The fields of `/v1/vad`."""

    model: str = "silero-vad"
    audio: list[float] = Field(min_length=1, description="Mono samples at 16000 Hz, -1 to 1.")

    def samples(self) -> Samples:
        """Return the audio; values beyond full scale are cut off."""
        return np.clip(np.array(self.audio), -1, 1).astype(np.float32)


class VadSegment(BaseModel):
    """A stretch of speech, in seconds from the start."""

    start: float
    end: float


class VadResult(BaseModel):
    """All speech, in order."""

    segments: list[VadSegment]


router = APIRouter(tags=["voice activity"])
_files = APIRouter(route_class=FormRoute)


@_files.post("/v1/audio/speech/timestamps")
async def speech_timestamps(
    request: Request,
    form: Annotated[TimestampsForm, Form(media_type=FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
) -> list[Timestamp]:
    """Return where there is speech in `file`."""
    _check_model(form.model)
    audio = AudioFile(form.file.file, LISTEN_RATE, services.settings.max_audio_seconds, "file")
    try:
        found = await until_disconnect(request, find_speech(services, audio.clean_blocks(), form.options()))
    finally:
        audio.stop()
        telemetry.audio_seconds = audio.seconds
    in_ms = 1000 / LISTEN_RATE
    return [Timestamp(start=round(span.start * in_ms), end=round(span.end * in_ms)) for span in found]


@router.post("/vad", include_in_schema=False)
@router.post(
    "/v1/vad",
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": VadBody.model_json_schema()}}}},
)
async def find_voice_activity(request: Request, services: GatewayServices, telemetry: Telemetry) -> VadResult:
    """Return where there is speech in `audio`."""
    # In a thread: a minute of audio has a million numbers.
    body = await asyncio.to_thread(_vad_body, await request.body(), services.settings.max_json_bytes)
    _check_model(body.model)
    samples = await asyncio.to_thread(body.samples)
    telemetry.audio_seconds = len(samples) / LISTEN_RATE
    found = await until_disconnect(request, find_speech(services, [samples], SpanOptions()))
    times = [(round(span.start / LISTEN_RATE, 3), round(span.end / LISTEN_RATE, 3)) for span in found]
    return VadResult(segments=[VadSegment(start=start, end=end) for start, end in times])


router.include_router(_files)


def _vad_body(content: bytes, max_bytes: int) -> VadBody:
    try:
        return validated(VadBody, untrusted_json.parse_object(content, max_bytes=max_bytes))
    except untrusted_json.MalformedJson as error:
        raise BadRequest(f"body: {error}") from None


def _check_model(name: str) -> None:
    if not name.lower().startswith("silero"):
        raise ModelNotFound(f"no voice activity model {name[:64]!r} is served; choose silero-vad")
