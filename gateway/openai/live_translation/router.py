"""`/v1/realtime/translations`: live speech in over a WebSocket, its translation as text and speech out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from gateway.openai.live_translation.config import TRANSLATION, TranslationConfig
from gateway.openai.live_translation.session import TranslationSession
from gateway.openai.realtime.client_secrets import ClientSecretRequest, answer, session_of_secret
from gateway.openai.realtime.serving import run_session
from gateway.openai.realtime.transport import WebSocketTransport
from gateway.request_context import GatewayServices, Telemetry

PATH: Final = "/v1/realtime/translations"

router = APIRouter(tags=["realtime"])


@router.websocket(PATH)
async def translate_live(
    websocket: WebSocket, services: GatewayServices, telemetry: Telemetry, model: str = ""
) -> None:
    """Serve a session until its client closes it or disconnects, or a deadline passes."""
    transport = WebSocketTransport(websocket)
    config, _ = TranslationConfig.new(services, session_of_secret(websocket), model)

    async def disconnect() -> None:
        await transport.close("")

    await services.detectors.load()
    session = TranslationSession(services, config, transport.send, disconnect, telemetry)
    await session.check()
    await transport.accept()
    with suppress(WebSocketDisconnect):
        await run_session(services, transport, session, telemetry)


@router.post(f"{PATH}/client_secrets")
async def create_translation_secret(body: ClientSecretRequest, request: Request, services: GatewayServices) -> Any:
    """Return a key that opens translation sessions with this configuration until it expires."""
    session = {**(body.session or {}), "type": TRANSLATION}
    config, warnings = TranslationConfig.new(services, session, "")
    return answer(request, body, session, config, warnings)
