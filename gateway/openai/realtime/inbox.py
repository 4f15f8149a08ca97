"""The messages that a client has sent and the session has not handled yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from gateway.openai.realtime.transport import ClientMessage, size_of

_WAITING_BYTES: Final = 2 * 2**20
"""Messages are read ahead until they take this much: half a minute of live audio."""

Message = TypeVar("Message", bound=ClientMessage)


class Inbox(Generic[Message]):
    """Reads a client's messages ahead, so that its disconnection is noticed while one is handled."""

    def __init__(self, receive: Callable[[], Awaitable[Message | None]]) -> None:
        """`receive` returns the client's next message; None when it has disconnected."""
        self._receive = receive
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._in_work = 0
        """Bytes of the message that `next` returned last."""
        self._changed = asyncio.Condition()

    async def read(self) -> None:
        """Read messages until the client disconnects; wait while too many bytes are unhandled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._bytes <= _WAITING_BYTES)
            message = await self._receive()
            if message is None:
                return
            async with self._changed:
                self._waiting.append(message)
                self._bytes += size_of(message)
                self._changed.notify_all()

    async def next(self) -> Message:
        """Return the next message; the one before has been handled."""
        async with self._changed:
            self._bytes -= self._in_work
            self._in_work = 0
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._waiting)
            message = self._waiting.popleft()
            self._in_work = size_of(message)
            return message
