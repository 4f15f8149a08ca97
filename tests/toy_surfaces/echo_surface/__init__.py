"""A toy surface: speech by the same use case as OpenAI's surface, with other fields and another form of errors."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.core.synthesize import SynthesisRequest, synthesize
from gateway.errors import HttpError
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from gateway.streaming import StreamedResponse
from gateway.surfaces import Surface

router = APIRouter(prefix="/toy")


class SpeakBody(BaseModel):
    """The request: a text, a model and a voice."""

    text: str
    model: str
    voice: str = ""


@router.post("/speak")
async def speak(request: Request, body: SpeakBody, services: GatewayServices, telemetry: Telemetry) -> StreamedResponse:
    """Return the text as WAV."""

    async def begun() -> StreamedResponse:
        synthesis = SynthesisRequest(body.text, body.model, body.voice, audio_format="wav")
        stream = await synthesize(services, synthesis, telemetry)
        response = StreamedResponse(stream.encoded(), "audio/wav", {"x-toy-model": stream.model})
        await response.begin()
        return response

    return await until_disconnect(request, begun())


@router.get("/about")
async def about() -> dict[str, str]:
    """Return the surface's name."""
    return {"surface": "echo"}


class Problem(BaseModel):
    """An error."""

    problem: str


def error_response(error: HttpError) -> JSONResponse:
    """Return an error in this surface's form."""
    return JSONResponse({"problem": error.message}, error.status, error.headers)


SURFACE: Final = Surface(
    router,
    open_paths=frozenset({"/toy/about"}),
    prefix="/toy/",
    error_response=error_response,
    error_model=Problem,
)
