"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from gateway.bodies import BodyMiddleware
from gateway.browsers import BrowserGuardMiddleware, is_loopback
from gateway.client_secrets import ClientSecrets
from gateway.core.services import DEFAULT_TIMING, Timing, open_services
from gateway.core.speech_detectors import SpeechDetectors
from gateway.fairness import FairnessMiddleware
from gateway.framework_errors import framework_error
from gateway.middleware import (
    ApiKeyMiddleware,
    ErrorMiddleware,
    HeadMiddleware,
)
from gateway.openapi import document, error_responses
from gateway.settings import GatewaySettings
from gateway.surface_ports import SurfacePortsMiddleware, prefixes_by_port
from gateway.surfaces import Surface, SurfaceTable, load_surfaces
from gateway.telemetry import TelemetryMiddleware
from tritone import VERSION


def create_app(
    settings: GatewaySettings,
    *,
    timing: Timing = DEFAULT_TIMING,
    detectors: SpeechDetectors | None = None,
    servers_up: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Return the gateway in front of the Triton servers of `settings`; its lifespan opens and closes the connections.

    `servers_up` is awaited in the lifespan before the connection to Triton. Raises `UnusableSettingError` for
    EXTRA_SURFACES and SURFACE_PORTS.
    """
    surfaces = load_surfaces(settings.extra_surfaces)
    table = SurfaceTable(surfaces)
    secrets = ClientSecrets([key.get_secret_value() for key in settings.api_keys])
    ports = prefixes_by_port(settings.surface_ports, surfaces)
    router = _router(surfaces)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, timing=timing, detectors=detectors, servers_up=servers_up) as services:
            app.state.services = services
            async with router.lifespan_context(app):
                yield

    app = FastAPI(
        title="Tritone",
        version=VERSION,
        description="\n\n".join(
            ["Speech to text and text to speech on NVIDIA Triton.", *filter(None, (each.notes for each in surfaces))]
        ),
        lifespan=lifespan,
        routes=router.routes,
        docs_url=None,  # `gateway.pages` has a page that needs no network
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `gateway.telemetry` has our own
        middleware=[Middleware(SurfacePortsMiddleware, prefixes=ports), *_middleware(settings, table, timing, secrets)],
    )

    app.state.client_secrets = secrets

    async def respond(request: Request, error: Exception) -> Response:
        shown = framework_error(request, error)
        request.state.record.cause = shown.cause
        return table.at(request.url.path).error_response(shown)

    app.add_exception_handler(HTTPException, respond)
    app.add_exception_handler(RequestValidationError, respond)
    app.openapi = partial(  # type: ignore[method-assign]
        document, app, table.open_paths, needs_key=bool(settings.api_keys)
    )
    return app


@cache
def _router(surfaces: tuple[Surface, ...]) -> APIRouter:
    """Return the routes of the surfaces. Apps in one process share them: FastAPI analyses them at their first use."""
    router = APIRouter()
    for surface in surfaces:
        router.include_router(surface.router, responses=error_responses(surface.error_model))
    return router


def _middleware(
    settings: GatewaySettings, surfaces: SurfaceTable, timing: Timing, secrets: ClientSecrets
) -> Sequence[Middleware]:
    """Return the middleware from the outermost to the innermost.

    CORS stands outside the errors, because browsers hide responses without its headers.
    """
    stack = [Middleware(TelemetryMiddleware)]
    if settings.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "retry-after", *surfaces.exposed_headers],
            )
        )
    stack.append(Middleware(ErrorMiddleware, timeout=settings.request_timeout, surfaces=surfaces, timing=timing))
    keyless = not settings.api_keys
    stack.append(
        Middleware(
            BrowserGuardMiddleware,
            hosts=[*settings.allowed_hosts, settings.api_host],
            origins=settings.cors_origins,
            check_host=bool(settings.allowed_hosts) or (keyless and is_loopback(settings.api_host)),
            check_origin=bool(settings.cors_origins) or keyless,
        )
    )
    if settings.api_keys:
        keys = [key.get_secret_value() for key in settings.api_keys]
        stack.append(
            Middleware(
                ApiKeyMiddleware,
                keys=keys,
                secrets=secrets,
                surfaces=surfaces,
                public_lists=settings.public_lists,
            )
        )
    stack.append(Middleware(FairnessMiddleware, settings=settings))
    stack.append(Middleware(BodyMiddleware, settings=settings, timing=timing, upload_paths=surfaces.upload_paths))
    stack.append(Middleware(HeadMiddleware))
    return stack
