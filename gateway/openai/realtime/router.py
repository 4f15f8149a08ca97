"""`/v1/realtime`: speech in over a WebSocket, its text out while the client speaks, or a spoken answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from gateway.core.errors import LanguageModelMissing
from gateway.core.services import Services
from gateway.errors import HttpError
from gateway.openai.realtime.client_secrets import CONVERSATION, configured, session_of_secret
from gateway.openai.realtime.input_audio import session_error
from gateway.openai.realtime.protocol import error_event
from gateway.openai.realtime.serving import open_session, run_session
from gateway.openai.realtime.transport import WebSocketTransport
from gateway.request_context import GatewayServices, Telemetry
from tritone.errors import InvalidInput

_INTENTS: Final = ("", "transcription", CONVERSATION)

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
    transport = WebSocketTransport(websocket)
    beta_events = "realtime=v1" in websocket.headers.get("openai-beta", "")
    config, _ = configured(services, session_of_secret(websocket), model, intent)
    query = websocket.query_params  # clients of speaches send more than OpenAI's
    config = config.heard_as(query.get("transcription_model", ""), query.get("language", ""))
    session = await open_session(services, config, transport.send, telemetry, beta_events=beta_events)
    await transport.accept()
    if config.type == CONVERSATION and (error := _without_language_model(services)):
        # Clients show no reason for a rejected handshake.
        await transport.send(error_event(error, None))
        await websocket.close(1011, error.code)
        return
    with suppress(WebSocketDisconnect):
        await run_session(services, transport, session, telemetry)


def _without_language_model(services: Services) -> HttpError | None:
    """Return the error of a conversation where no language model is set up."""
    try:
        services.language_model.check()
    except LanguageModelMissing as error:
        return session_error(error)
    return None
