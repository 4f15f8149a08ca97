"""HTTP responses that are sent piece by piece."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.request_context import until_disconnect

_SLICE_BYTES: Final = 64 * 1024
_MEMORY_BYTES: Final = 2**20
"""The largest whole response that is held in memory."""


class StreamedResponse(StreamingResponse):
    """A streamed response that closes its generator at once when it ends or the client disconnects.

    Starlette leaves that to the garbage collector; here it cancels the work in Triton.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._pieces = pieces
        self._first = b""
        super().__init__(pieces, media_type=media_type, headers=headers)

    async def begin(self) -> None:
        """Wait for the first piece; an error until then can still have a status of its own."""
        self._first = await anext(self._pieces, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises `ClientDisconnect`."""
        async with aclosing(self._pieces):
            await until_disconnect(Request(scope, receive), self.stream_response(send))

    async def stream_response(self, send: Send) -> None:
        """Send the headers, and each piece as soon as it is there."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self._first:
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class WholeResponse(StreamedResponse):
    """A complete response, from a file, that is sent as fast as the client reads it; the file is closed with it.

    In one piece it would lie in the server's buffer while the request counts as finished.
    """

    def __init__(
        self, file: IO[bytes], media_type: str, headers: Mapping[str, str], *, around: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        """`around`: what is sent before the file, and behind it."""
        size = file.seek(0, os.SEEK_END) + sum(map(len, around))
        super().__init__(_slices(file, *around), media_type, {**headers, "content-length": str(size)})


async def in_a_file(pieces: AsyncGenerator[bytes]) -> IO[bytes]:
    """Return a file of all `pieces`; a large one is on disk, where it may wait for a client that reads slowly."""
    file = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                file.write(piece)
    except BaseException:
        file.close()
        raise
    return file


class EventStream(StreamedResponse):
    """Server-sent events as OpenAI's SDK reads them: one JSON object in each `data:` line.

    An error in mid-stream becomes the last event, which the SDK raises (`ErrorMiddleware`); an error before the first
    event has a status of its own.
    """

    def __init__(
        self, events: AsyncGenerator[BaseModel | str], headers: Mapping[str, str] | None = None, last: str = ""
    ) -> None:
        """`events`: models, or JSON; `last`: the text of an event behind them, empty: none."""
        # Proxies must not buffer events.
        unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(_lines(events, last), "text/event-stream", {**unbuffered, **(headers or {})})


async def _slices(file: IO[bytes], before: bytes, behind: bytes) -> AsyncGenerator[bytes]:
    with file:
        yield before
        file.seek(0)
        while piece := file.read(_SLICE_BYTES):
            yield piece
    yield behind


async def _lines(events: AsyncGenerator[BaseModel | str], last: str) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        async for event in events:
            text = event if isinstance(event, str) else event.model_dump_json(exclude_none=True)
            yield f"data: {text}\n\n".encode()
    if last:
        yield f"data: {last}\n\n".encode()
