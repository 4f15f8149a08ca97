"""The lists: models as OpenAI has them, models and voices as Open WebUI asks for them."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.errors import NotFound
from gateway.requests import resolve_model
from tritone import catalogue

router = APIRouter(prefix="/v1", tags=["lists"])


class Model(BaseModel):
    """OpenAI's model object."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix time in seconds: since when this gateway serves it."""
    owned_by: str


class Models(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"] = "list"
    data: list[Model]


class SpeechModel(BaseModel):
    """A model that speaks."""

    id: str


class SpeechModels(BaseModel):
    """Open WebUI's list of the models that speak."""

    models: list[SpeechModel]


class Voice(BaseModel):
    """A voice that a speech request may name."""

    id: str
    name: str


class Voices(BaseModel):
    """Open WebUI's list of voices."""

    voices: list[Voice]


@router.get("/models")
async def list_models(request: Request) -> Models:
    """Every model that answers, by its own name."""
    return Models(data=[_model(request, model) for model in request.app.state.models])


@router.get("/models/{name:path}")
async def get_model(request: Request, name: str) -> Model:
    """The model that an id or an alias stands for."""
    state = request.app.state
    try:
        return _model(request, state.catalogue.resolve(name, state.models))
    except catalogue.UnknownModelError as error:
        raise NotFound(str(error), param="model", code="model_not_found") from None


@router.get("/audio/models")
async def list_speech_models(request: Request) -> SpeechModels:
    """Every model that speaks."""
    return SpeechModels(models=[SpeechModel(id=model.id) for model in _speech(request)])


@router.get("/audio/voices")
async def list_voices(request: Request, model: str | None = None) -> Voices:
    """The voices of one speech model, or of all of them."""
    models = [resolve_model(request, model, "speech")] if model else _speech(request)
    descriptions = await asyncio.gather(*(request.app.state.triton.describe(model.id) for model in models))
    # Models of one family share their voices.
    voices = {voice.id: voice.name for description in descriptions for voice in description.voices}
    return Voices(voices=[Voice(id=id_, name=name) for id_, name in voices.items()])


def _model(request: Request, model: catalogue.Model) -> Model:
    return Model(id=model.id, created=request.app.state.started, owned_by=model.owner)


def _speech(request: Request) -> list[catalogue.Model]:
    return [model for model in request.app.state.models if model.kind == "speech"]
