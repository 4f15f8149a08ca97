"""`/v1/realtime`: speech in over a WebSocket, its text out while the client speaks."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gateway.openai.realtime.client_secrets import DEFAULT_MODEL, configured, session_of_secret
from gateway.openai.realtime.protocol import Event
from gateway.openai.realtime.serving import open_session, run_session
from gateway.request_context import GatewayServices, Telemetry
from tritone.errors import InvalidInput

_INTENT: Final = "transcription"
_SUBPROTOCOL: Final = "realtime"
"""Browsers offer it beside their API key."""

PATH: Final = "/v1/realtime"

router = APIRouter()


@router.websocket(PATH)
async def transcribe_live(
    websocket: WebSocket,
    services: GatewayServices,
    telemetry: Telemetry,
    intent: str = _INTENT,
    model: str = DEFAULT_MODEL,
) -> None:
    """Serve a transcription session until the client disconnects or a deadline passes."""
    if intent != _INTENT:
        raise InvalidInput("intent", "only sessions with intent=transcription are served")

    async def send(event: Event) -> None:
        # A client that has disconnected is noticed where its next event is awaited.
        if websocket.client_state is websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await websocket.send_json(event)

    beta_events = "realtime=v1" in websocket.headers.get("openai-beta", "")
    config, _ = configured(services, session_of_secret(websocket), model)
    session = await open_session(services, config, send, telemetry, beta_events=beta_events)
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
    try:
        await run_session(services, websocket, session)
    except WebSocketDisconnect:
        pass
    finally:
        await session.close()
        telemetry.audio_seconds = session.seconds
