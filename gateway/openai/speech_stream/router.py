"""`/v1/audio/speech/stream`: a WebSocket, and the deadlines of its session."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import Any, Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gateway import untrusted_json
from gateway.core.services import Services
from gateway.errors import BadRequest, HttpError, http_error
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.realtime.inbox import Inbox
from gateway.openai.realtime.transport import WebSocketTransport
from gateway.openai.speech_stream.protocol import MESSAGE_BYTES, error_message
from gateway.openai.speech_stream.session import SpeechSession
from gateway.request_context import GatewayServices, Telemetry
from gateway.untrusted_json import MalformedJson
from tritone.errors import InvalidInput

PATH: Final = "/v1/audio/speech/stream"

router = APIRouter()


@router.websocket(PATH)
async def speak_live(websocket: WebSocket, services: GatewayServices, telemetry: Telemetry) -> None:
    """Speak what the client writes until it closes the session, disconnects, or a deadline passes."""

    async def send(message: dict[str, Any] | bytes) -> None:
        # A client that has disconnected is noticed where its next message is awaited.
        if websocket.client_state is websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await (websocket.send_bytes(message) if isinstance(message, bytes) else websocket.send_json(message))

    await websocket.accept()
    session = SpeechSession(services, send, telemetry)
    inbox: Inbox[str | bytes] = Inbox(WebSocketTransport(websocket).receive)
    reading = asyncio.create_task(inbox.read())
    handling = asyncio.create_task(_handle_messages(services, inbox, session, send))
    speaking = asyncio.create_task(session.speak())
    try:
        await asyncio.wait({reading, handling, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if handling.done():
            await send({"type": "error", "message": handling.result()})
        if not reading.done():
            with suppress(WebSocketDisconnect, RuntimeError):
                await websocket.close(1000)
    finally:
        for task in (reading, handling, speaking):
            task.cancel()
        await asyncio.gather(reading, handling, speaking, return_exceptions=True)


async def _handle_messages(services: Services, inbox: Inbox[str | bytes], session: SpeechSession, send: Any) -> str:
    """Handle messages until a deadline passes; return which."""
    settings, timeout = services.settings, services.timing.timeout
    idle = settings.realtime_idle_timeout

    async def next_message() -> str | bytes:
        async with timeout(idle) if idle else nullcontext():
            return await inbox.next()

    try:
        async with timeout(settings.realtime_session_timeout) as whole:
            while True:
                content = await next_message()
                try:
                    await session.handle(_parsed(content))
                except (HttpError, InvalidInput) as error:
                    await send(error_message(http_error(error, FIELD_NAMES)))
    except TimeoutError:
        if whole.expired():
            return f"the session was closed: it was open for {settings.realtime_session_timeout:g} s"
        return f"the session was closed: no message for {idle:g} s"


def _parsed(content: str | bytes) -> Any:
    if isinstance(content, bytes):
        raise BadRequest("messages are text, one JSON object each")
    try:
        return untrusted_json.parse(content.encode(), max_bytes=MESSAGE_BYTES)
    except MalformedJson as error:
        raise BadRequest(f"message: {error}") from None
