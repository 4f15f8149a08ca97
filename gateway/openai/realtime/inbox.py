"""The events that a client has sent and the session has not handled yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from fastapi import WebSocket

_WAITING_BYTES: Final = 2 * 2**20
"""Events are read ahead until they take this much: half a minute of live audio."""


class Inbox:
    """Reads a client's events ahead, so that the client's disconnection is noticed while an event is handled."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._waiting: deque[str | bytes] = deque()
        self._bytes = 0
        self._in_work = 0
        """Bytes of the event that `next` returned last."""
        self._changed = asyncio.Condition()

    async def read(self) -> None:
        """Read events until the client disconnects; wait while too many bytes are unhandled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._bytes <= _WAITING_BYTES)
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            content: str | bytes = message.get("text") or message.get("bytes") or b""
            async with self._changed:
                self._waiting.append(content)
                self._bytes += len(content)
                self._changed.notify_all()

    async def next(self) -> str | bytes:
        """Return the next event; the one before has been handled."""
        async with self._changed:
            self._bytes -= self._in_work
            self._in_work = 0
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._waiting)
            content = self._waiting.popleft()
            self._in_work = len(content)
            return content
