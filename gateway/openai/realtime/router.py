"""`/v1/realtime`: speech in over a WebSocket, its text out while the client speaks, or a spoken answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gateway.core.errors import LanguageModelMissing
from gateway.core.services import Services
from gateway.errors import HttpError
from gateway.openai.realtime.client_secrets import CONVERSATION, configured, session_of_secret
from gateway.openai.realtime.input_audio import session_error
from gateway.openai.realtime.protocol import Event, error_event
from gateway.openai.realtime.serving import open_session, run_session
from gateway.request_context import GatewayServices, Telemetry
from tritone.errors import InvalidInput

_INTENTS: Final = ("", "transcription", CONVERSATION)
_SUBPROTOCOL: Final = "realtime"
"""Browsers offer it beside their API key."""

PATH: Final = "/v1/realtime"

router = APIRouter()


@router.websocket(PATH)
async def live_session(
    websocket: WebSocket,
    services: GatewayServices,
    telemetry: Telemetry,
    intent: str = "",
    model: str = "",
) -> None:
    """Serve a session until the client disconnects or a deadline passes: a transcription, or a conversation."""
    if intent not in _INTENTS:
        raise InvalidInput("intent", f"{intent[:100]!r}; choose from: {', '.join(filter(None, _INTENTS))}")

    async def send(event: Event) -> None:
        # A client that has disconnected is noticed where its next event is awaited.
        if websocket.client_state is websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await websocket.send_json(event)

    beta_events = "realtime=v1" in websocket.headers.get("openai-beta", "")
    config, _ = configured(services, session_of_secret(websocket), model, intent)
    query = websocket.query_params  # clients of speaches send more than OpenAI's
    config = config.heard_as(query.get("transcription_model", ""), query.get("language", ""))
    session = await open_session(services, config, send, telemetry, beta_events=beta_events)
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
    if config.type == CONVERSATION and (error := _without_language_model(services)):
        # Clients show no reason for a rejected handshake.
        await send(error_event(error, None))
        await websocket.close(1011, error.code)
        return
    try:
        await run_session(services, websocket, session)
    except WebSocketDisconnect:
        pass
    finally:
        await session.close()
        telemetry.audio_seconds = session.seconds
        if session.seconds:
            services.usage.add("transcription", telemetry, session.seconds)


def _without_language_model(services: Services) -> HttpError | None:
    """Return the error of a conversation where no language model is set up."""
    try:
        services.language_model.check()
    except LanguageModelMissing as error:
        return session_error(error)
    return None
