"""The gateway as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware import Middleware

from gateway import errors, health, models
from gateway.middleware import Admission, BodyLimit, Errors, Keys
from gateway.realtime.router import router as realtime
from gateway.settings import Settings
from gateway.speech.router import ENDING
from gateway.speech.router import router as speech
from gateway.telemetry import Telemetry
from gateway.transcription.router import router as transcription
from gateway.transcription.voices import Voices
from gateway.triton import Triton
from tritone import vad
from tritone.catalogue import Catalogue


def create_app(settings: Settings) -> FastAPI:
    """The gateway over the Tritons of `settings`; its connections are open while its lifespan runs.

    Raises `UnknownModelError` where the settings choose a model that is not in the catalogue, and
    `MissingWeightsError` where recordings are to be heard and the detector that cuts them is not there.
    """
    catalogue = Catalogue.load().with_extra(settings.extra_models_like)
    chosen = catalogue.choose(settings.tts_modes, settings.stt_models, model_type=settings.model_type)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.triton = Triton(settings.triton_grpc_url)
        try:
            yield
        finally:
            await app.state.triton.close()

    app = FastAPI(
        title="Tritone",
        version="0.1.0",
        description="Speech to text and text to speech on NVIDIA Triton, behind OpenAI's audio API.",
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        middleware=_middleware(settings),
        responses={
            "4XX": {"model": errors.ErrorEnvelope, "description": "The request is at fault"},
            "5XX": {"model": errors.ErrorEnvelope, "description": "The server is at fault, or full"},
        },
    )
    app.state.settings = settings
    app.state.catalogue = catalogue
    app.state.models = chosen
    if any(model.kind == "transcription" for model in chosen):
        app.state.vad = vad.load(settings.model_dir)
        app.state.voices = Voices(settings.model_dir)
    app.state.started = int(time.time())
    errors.install(app)
    for router in (speech, transcription, realtime, models.router, health.router):
        app.include_router(router)
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """From the outermost inwards. CORS stands outside the errors, for browsers hide answers without its headers."""
    stack = [Middleware(Telemetry)]
    if settings.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "x-tritone-model", "x-tritone-ignored", "retry-after", *ENDING],
            )
        )
    stack.append(Middleware(Errors, timeout=settings.request_timeout))
    if settings.api_keys:
        keys = [key.get_secret_value() for key in settings.api_keys]
        stack.append(Middleware(Keys, keys=keys, public_lists=settings.public_lists))
    stack.append(Middleware(Admission, limit=settings.max_requests, sessions=settings.max_realtime_sessions))
    stack.append(Middleware(BodyLimit, limit=settings.max_upload_bytes))
    return stack
