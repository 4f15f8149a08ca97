"""Answers that leave piece by piece."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import ApiError

logger = logging.getLogger(__name__)


class Stream(StreamingResponse):
    """A streamed answer that closes its generator at once when it ends or the client goes.

    Starlette leaves that to the garbage collector; here it is what cancels the work in Triton.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._pieces = pieces
        self._first: list[bytes] = []
        super().__init__(self._body(), media_type=media_type, headers=headers)

    async def begin(self) -> None:
        """Wait for the first piece: what fails until then can still be told by a status."""
        async for piece in self._pieces:
            self._first.append(piece)
            return

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        async with aclosing(self._pieces):
            await super().__call__(scope, receive, send)

    async def _body(self) -> AsyncGenerator[bytes]:
        for piece in self._first:
            yield piece
        async for piece in self._pieces:
            yield piece


class Events(Stream):
    """Server-sent events as OpenAI's SDK reads them: one JSON object a `data:` line.

    An error on the way is the last event, which the SDK raises; one before the first event has a status of its own.
    """

    def __init__(self, events: AsyncGenerator[BaseModel], headers: Mapping[str, str] | None = None) -> None:
        # Proxies must not gather events.
        unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(_lines(events), "text/event-stream", {**unbuffered, **(headers or {})})


async def _lines(events: AsyncGenerator[BaseModel]) -> AsyncGenerator[bytes]:
    begun = False
    async with aclosing(events):
        try:
            async for event in events:
                yield f"data: {event.model_dump_json(exclude_none=True)}\n\n".encode()
                begun = True
        except ApiError as error:
            if not begun:
                raise
            logger.error("event stream failed: %s", error.message)
            yield b"data: " + bytes(error.response().body) + b"\n\n"
