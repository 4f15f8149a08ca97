"""The connection that a session has to its client, and that of a WebSocket."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gateway.openai.realtime.protocol import Event
from tritone.windowing import Samples

_SUBPROTOCOL: Final = "realtime"

ClientMessage = str | bytes | Samples
"""An event of a client in JSON, or audio at `LISTEN_RATE` that comes beside its events."""


class Transport(Protocol):
    """The connection to one client."""

    async def receive(self) -> ClientMessage | None:
        """Return the next message of the client; None when it has disconnected."""

    async def send(self, event: Event) -> None:
        """Send an event; it is lost if the client has disconnected."""

    async def close(self, reason: str) -> None:
        """Disconnect the client."""


class WebSocketTransport:
    """A client's WebSocket; `accept` it first."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def accept(self) -> None:
        """Open the connection, in the subprotocol that browsers offer beside their API key, if it is offered."""
        offered = self._websocket.scope.get("subprotocols", [])
        await self._websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)

    async def receive(self) -> str | bytes | None:
        """Return the next event of the client; None when it has disconnected."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        return message.get("text") or message.get("bytes") or b""

    async def send(self, event: Event) -> None:
        """Send an event; it is lost if the client has disconnected."""
        # A client that has disconnected is noticed where its next event is awaited.
        if self._websocket.client_state is self._websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await self._websocket.send_json(event)

    async def close(self, reason: str) -> None:
        """Close the WebSocket in order."""
        with suppress(WebSocketDisconnect):
            await self._websocket.close(1000, reason)


def size_of(message: ClientMessage) -> int:
    """Return the bytes of a message."""
    return len(message) if isinstance(message, str | bytes) else message.nbytes
