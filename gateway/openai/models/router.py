"""The lists: models as OpenAI has them, models and voices as Open WebUI requests them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends, Request, Response

from gateway.core.voices import use_cases
from gateway.openai.models.protocol import ModelList, ModelObject, SpeechModelList, VoiceList
from gateway.openai.models.serving import model_list, model_object, speech_model_list, voice_list
from gateway.openai.response_headers import ignored_header
from gateway.request_context import EVERYONE, Client, GatewayServices


async def name_ignored(request: Request, response: Response) -> None:
    """Dependency: name the query parameters that the route does not read."""
    own = {param.name for param in request.scope["route"].dependant.query_params}
    response.headers.update(ignored_header([name for name in request.query_params if name not in own]))


router = APIRouter(prefix="/v1", tags=["lists"], dependencies=[Depends(name_ignored)])

LIST_PATHS: Final = frozenset({"/v1/models", "/v1/models/", "/v1/audio/models", "/v1/audio/voices"})
"""The paths that PUBLIC_LISTS opens; one that ends in a slash stands for all below it."""


@router.get("/models")
@router.get("/models/", include_in_schema=False)
async def list_models(services: GatewayServices) -> ModelList:
    """List the chosen models by id."""
    return model_list(services.triton.served, services.settings)


@router.get("/models/{name:path}")
async def get_model(name: str, services: GatewayServices) -> ModelObject:
    """Return the model with this id or alias."""
    return model_object(services.triton.served, services.settings, name)


@router.get("/audio/models")
async def list_speech_models(services: GatewayServices) -> SpeechModelList:
    """List the speech models."""
    return speech_model_list(services.triton.served)


@router.get("/audio/voices", response_model_exclude_none=True)
async def list_voices(services: GatewayServices, client: Client, model: str | None = None) -> VoiceList:
    """List the voices of one speech model, or of all, and those that the client registered."""
    keyless = services.settings.api_keys and client == EVERYONE  # PUBLIC_LISTS
    registered = [] if keyless else await use_cases.list_voices(services, client)
    return voice_list(services.triton.served, model, registered)
