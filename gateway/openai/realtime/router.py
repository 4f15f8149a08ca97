"""`/v1/realtime?intent=transcription`: speech in over a WebSocket, its text out while it is spoken."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gateway.errors import ApiError, BadRequest, GatewayTimeout
from gateway.realtime.protocol import Audio, AudioInput, Event, Session, Transcription, error_event, new_id
from gateway.realtime.session import Conversation
from gateway.requests import record, resolve_model
from gateway.settings import Settings
from gateway.transcription.asking import Asker
from tritone import vad
from tritone.contract import TranscriptionOptions

_DEFAULT_MODEL: Final = "whisper-1"
_SUBPROTOCOL: Final = "realtime"
"""What browsers offer, beside their key."""

router = APIRouter(prefix="/v1")


@router.websocket("/realtime")
async def transcribe_live(websocket: WebSocket, intent: str = "", model: str = _DEFAULT_MODEL) -> None:
    """A transcription session, until the client leaves or one of its deadlines passes."""
    if intent != "transcription":
        raise BadRequest("intent: only sessions with intent=transcription are served", param="intent")
    resolve_model(websocket, model, "transcription")
    settings: Settings = websocket.app.state.settings
    told = record(websocket)

    async def send(event: Event) -> None:
        # A client that has gone is noticed where its next event is awaited.
        if websocket.client_state is websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await websocket.send_json(event)

    def asker(name: str, options: TranscriptionOptions) -> Asker:
        id_ = resolve_model(websocket, name, "transcription").id
        return Asker(websocket.app.state.triton, id_, options, told.request_id, settings.request_timeout)

    session = Session(
        id=new_id("sess"),
        expires_at=int(time.time() + settings.realtime_session_timeout),
        audio=Audio(input=AudioInput(transcription=Transcription(model=model))),
    )
    conversation = Conversation(session, send, asker, lambda: vad.Vad(websocket.app.state.vad))
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
    try:
        await conversation.begin()
        await _converse(websocket, conversation, settings)
    except WebSocketDisconnect:
        pass
    finally:
        await conversation.close()
        told.audio_seconds = conversation.seconds


async def _converse(websocket: WebSocket, conversation: Conversation, settings: Settings) -> None:
    """Take the client's events until a deadline passes, which is told before the connection is closed."""
    error: ApiError | None = None
    try:
        async with asyncio.timeout(settings.realtime_session_timeout) as whole:
            while error is None:
                try:
                    async with asyncio.timeout(settings.realtime_idle_timeout):
                        message = await _received(websocket)
                except TimeoutError:
                    if whole.expired():
                        raise
                    error = _expired(f"nothing was sent for {settings.realtime_idle_timeout:g} s", "idle_timeout")
                else:
                    await conversation.take(message)
    except TimeoutError:
        error = _expired(f"it was open for {settings.realtime_session_timeout:g} s", "session_expired")
    assert error is not None
    await websocket.send_json(error_event(error, None))
    await websocket.close(1000, error.code)


async def _received(websocket: WebSocket) -> str | bytes:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    found: str | bytes = message.get("text") or message.get("bytes") or b""
    return found


def _expired(problem: str, code: str) -> ApiError:
    return GatewayTimeout(f"the session was closed: {problem}", code=code)
