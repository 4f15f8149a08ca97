"""Speaker routes: `/v1/audio/speech/embedding` of speaches; `/v1/voice/embed`, `verify`, `identify` of LocalAI."""

from __future__ import annotations

import io
import time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, UploadFile
from pydantic import BaseModel, Field

from gateway.audio.ref_audio_source import read_ref_audio
from gateway.core.errors import ModelNotFound
from gateway.core.services import Services
from gateway.core.speaker_encoder import SpeakerEmbedding
from gateway.core.speaker_recognition import MODEL, SAME_SPEAKER, distance, identify, speaker_of
from gateway.core.telemetry import WorkTelemetry
from gateway.forms import FORM
from gateway.json_route import JsonRoute
from gateway.openai.transcription.form_reader import FormRoute
from gateway.request_context import Client, GatewayServices, Telemetry, until_disconnect
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput

_AUDIO: Final = (
    "Speech of one speaker, at most 2 minutes: base64, a data URL, a file below REF_AUDIO_DIR, or its address if "
    "ALLOW_REF_AUDIO_URLS is set."
)
_THRESHOLD: Final = Field(SAME_SPEAKER, gt=0, le=2, description="The largest distance of one speaker.")
_MODEL: Final = Field(MODEL, description="`speaker-embedding`, or a name of WeSpeaker's ResNet34, which it is.")


class EmbeddingForm(BaseModel):
    """The fields of `/v1/audio/speech/embedding`."""

    file: UploadFile = Field(description="Speech of one speaker, at most 2 minutes, in any common container.")
    model: str = _MODEL


class EmbeddingObject(BaseModel):
    """An embedding in OpenAI's form."""

    object: Literal["embedding"] = "embedding"
    index: int = 0
    embedding: list[float]


class EmbeddingUsage(BaseModel):
    """Samples of the recording, as speaches counts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The embedding of one recording, in OpenAI's form of a list."""

    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


class EmbedBody(BaseModel):
    """The fields of `/v1/voice/embed`."""

    model: str = _MODEL
    audio: str = Field(description=_AUDIO)


class Embedded(BaseModel):
    """The embedding of a recording."""

    embedding: list[float]
    dim: int
    model: str


class VerifyBody(BaseModel):
    """The fields of `/v1/voice/verify`."""

    model: str = _MODEL
    audio1: str = Field(description=_AUDIO)
    audio2: str = Field(description=_AUDIO)
    threshold: float = _THRESHOLD


class Verified(BaseModel):
    """Whether two recordings are of one speaker."""

    verified: bool
    distance: float
    """1 less the cosine."""
    threshold: float
    confidence: float
    """0 at the threshold or beyond, 100 for equal recordings."""
    model: str
    processing_time_ms: float


class IdentifyBody(BaseModel):
    """The fields of `/v1/voice/identify`."""

    model: str = _MODEL
    audio: str = Field(description=_AUDIO)
    top_k: int = Field(5, ge=1, le=100, description="At most so many voices.")
    threshold: float = _THRESHOLD


class IdentifiedVoice(BaseModel):
    """A registered voice that may be the speaker's."""

    id: str
    name: str
    distance: float
    confidence: float
    match: bool
    """Whether the distance is at most the threshold."""


class Identified(BaseModel):
    """The nearest of the client's registered voices, the nearest first."""

    matches: list[IdentifiedVoice]


router = APIRouter(tags=["speakers"])
_files = APIRouter(route_class=FormRoute)
_json = APIRouter(prefix="/v1/voice", route_class=JsonRoute)


@_files.post("/v1/audio/speech/embedding")
async def speech_embedding(
    request: Request,
    form: Annotated[EmbeddingForm, Form(media_type=FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
) -> EmbeddingList:
    """Return the embedding of the speaker in `file`: a unit vector of 256 numbers."""
    _check_model(form.model)
    speaker, seconds = await until_disconnect(request, speaker_of(services, form.file.file, "file"))
    telemetry.audio_seconds = seconds
    samples = round(seconds * LISTEN_RATE)
    return EmbeddingList(
        data=[EmbeddingObject(embedding=speaker.tolist())],
        model=MODEL,
        usage=EmbeddingUsage(prompt_tokens=samples, total_tokens=samples),
    )


@_json.post("/embed")
async def embed_voice(request: Request, body: EmbedBody, services: GatewayServices, telemetry: Telemetry) -> Embedded:
    """Return the embedding of the speaker in `audio`: a unit vector of 256 numbers."""
    _check_model(body.model)
    speaker = await until_disconnect(request, _speaker(services, body.audio, "audio", telemetry))
    return Embedded(embedding=speaker.tolist(), dim=len(speaker), model=MODEL)


@_json.post("/verify")
async def verify_voice(request: Request, body: VerifyBody, services: GatewayServices, telemetry: Telemetry) -> Verified:
    """Return whether `audio1` and `audio2` are of one speaker."""
    _check_model(body.model)
    begun = time.monotonic()

    async def work() -> float:
        first = await _speaker(services, body.audio1, "audio1", telemetry)
        return distance(first, await _speaker(services, body.audio2, "audio2", telemetry))

    found = await until_disconnect(request, work())
    return Verified(
        verified=found <= body.threshold,
        distance=round(found, 4),
        threshold=round(body.threshold, 4),
        confidence=_confidence(found, body.threshold),
        model=MODEL,
        processing_time_ms=round((time.monotonic() - begun) * 1000, 1),
    )


@_json.post("/identify")
async def identify_voice(
    request: Request, body: IdentifyBody, services: GatewayServices, telemetry: Telemetry, client: Client
) -> Identified:
    """Return the client's registered voices (`/v1/audio/voices`) that are nearest to the speaker in `audio`."""
    _check_model(body.model)

    async def work() -> list[IdentifiedVoice]:
        speaker = await _speaker(services, body.audio, "audio", telemetry)
        return [
            IdentifiedVoice(
                id=match.voice.id,
                name=match.voice.name,
                distance=round(match.distance, 4),
                confidence=_confidence(match.distance, body.threshold),
                match=match.distance <= body.threshold,
            )
            for match in (await identify(services, client, speaker))[: body.top_k]
        ]

    return Identified(matches=await until_disconnect(request, work()))


router.include_router(_files)
router.include_router(_json)


async def _speaker(services: Services, source: str, field: str, telemetry: WorkTelemetry) -> SpeakerEmbedding:
    try:
        content = await read_ref_audio(source, services.settings, services.workers.voices)
    except InvalidInput as error:
        raise InvalidInput(field, error.problem) from None
    speaker, seconds = await speaker_of(services, io.BytesIO(content), field)
    telemetry.audio_seconds += seconds
    return speaker


def _confidence(found: float, threshold: float) -> float:
    return round(max(0.0, 1 - found / threshold) * 100, 2)


def _check_model(name: str) -> None:
    """Raise `ModelNotFound` for another network's name, whose embeddings are not comparable."""
    folded = name.lower()
    if folded != MODEL and not ("wespeaker" in folded and "resnet34" in folded):
        raise ModelNotFound(f"no speaker embedding model {name[:64]!r} is served; choose {MODEL}")
