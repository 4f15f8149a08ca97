"""A session over a WebSocket: its services, and its deadlines."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import SupportedOptions
from gateway.core.window_client import WindowClient
from gateway.errors import GatewayTimeout, HttpError
from gateway.openai.realtime.protocol import (
    Audio,
    AudioInput,
    Event,
    SessionConfig,
    TranscriptionSettings,
    error_event,
    new_id,
)
from gateway.openai.realtime.session import RealtimeSession
from tritone.contract import TranscriptionOptions


async def open_session(
    services: Services, model: str, send: Callable[[Event], Awaitable[None]], telemetry: WorkTelemetry
) -> RealtimeSession:
    """Return a new session. Raises `ModelNotFound` and `ModelUnavailable`."""

    def client_of(name: str, options: TranscriptionOptions) -> WindowClient:
        served = services.triton.served.resolve(name, "transcription")
        telemetry.model = served.id
        supported = SupportedOptions.of(served, options)
        return WindowClient(
            services.triton,
            served.id,
            supported.options,
            supported.supported,
            telemetry.request_id,
            services.settings.request_timeout,
        )

    client_of(model, TranscriptionOptions())
    await services.detectors.load()
    config = SessionConfig(
        id=new_id("sess"),
        expires_at=int(time.time() + services.settings.realtime_session_timeout),
        audio=Audio(input=AudioInput(transcription=TranscriptionSettings(model=model))),
    )
    return RealtimeSession(
        config, send, client_of, services.detectors.new, partial_interval=services.timing.partial_interval
    )


async def run_session(services: Services, websocket: WebSocket, session: RealtimeSession) -> None:
    """Handle the client's events until a deadline passes; report that before the connection is closed."""
    settings, timeout = services.settings, services.timing.timeout
    error: HttpError | None = None
    await session.begin()
    try:
        async with timeout(settings.realtime_session_timeout) as whole:
            while error is None:
                try:
                    async with timeout(settings.realtime_idle_timeout):
                        message = await _receive(websocket)
                except TimeoutError:
                    if whole.expired():
                        raise
                    error = _expired(f"no event for {settings.realtime_idle_timeout:g} s", "idle_timeout")
                else:
                    await session.handle(message)
    except TimeoutError:
        error = _expired(f"it was open for {settings.realtime_session_timeout:g} s", "session_expired")
    assert error is not None
    await websocket.send_json(error_event(error, None))
    await websocket.close(1000, error.code)


async def _receive(websocket: WebSocket) -> str | bytes:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    content: str | bytes = message.get("text") or message.get("bytes") or b""
    return content


def _expired(problem: str, code: str) -> HttpError:
    return GatewayTimeout(f"the session was closed: {problem}", code=code)
