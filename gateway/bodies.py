"""The limits on request bodies: their size, their pace, and the memory of those that no file holds."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.services import Timing
from gateway.errors import BodyTooLarge, HttpError, RequestTimeout, Unavailable
from gateway.settings import GatewaySettings

LEAST_RATE: Final = 16 * 1024
"""Bytes a second that a body must arrive with, on average, once BODY_TIMEOUT has passed."""
_BODIES_IN_MEMORY: Final = 8
"""Bodies of MAX_JSON_BYTES that the gateway may hold at once; ordinary ones take a few KiB."""
_FILES: Final = "multipart/form-data"
_JSON: Final = "application/json"


class BodyMiddleware:
    """Rejects bodies that are too large, by their declared length or by counting, and those that come too slowly.

    A body with files is stored on disk and may have MAX_UPLOAD_BYTES; any other is held in memory and may have
    MAX_JSON_BYTES.
    """

    def __init__(
        self, app: ASGIApp, settings: GatewaySettings, timing: Timing, upload_paths: Collection[str] = ()
    ) -> None:
        """`upload_paths`: paths whose routes store any body but JSON on disk."""
        self.app = app
        self.settings = settings
        self.upload_paths = upload_paths
        self.timing = timing
        self.bytes_in_memory = 0
        """Bytes of the bodies without files of the requests that are open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and raise an `HttpError` from its `receive` or `send`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").strip().lower()
        on_disk = kind.startswith(_FILES) or (scope["path"] in self.upload_paths and not kind.startswith(_JSON))
        in_memory = not on_disk
        limit = self.settings.max_upload_bytes
        if in_memory:
            limit = min(limit, self.settings.max_json_bytes)
        too_large = BodyTooLarge(f"the body is over {limit} bytes")
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        began = time.monotonic()
        received, complete = 0, False
        failure: HttpError | None = None

        async def receive_limited() -> Message:
            nonlocal received, complete, failure
            if complete:
                return await receive()  # waits for the client to disconnect
            left = self.settings.body_timeout + received / LEAST_RATE - (time.monotonic() - began)
            try:
                async with self.timing.timeout(max(left, 0)):
                    message = await receive()
            except TimeoutError:
                failure = RequestTimeout(f"the body came too slowly: {received} bytes so far")
                raise failure from None
            size = len(message.get("body", b""))
            received += size
            complete = not message.get("more_body", False)
            if in_memory:
                self.bytes_in_memory += size
            if received > limit:
                failure = too_large
            elif in_memory and self.bytes_in_memory > _BODIES_IN_MEMORY * self.settings.max_json_bytes:
                failure = Unavailable("this server holds too many large requests; try again")
            if failure:
                raise failure
            return message

        async def send_guarded(message: Message) -> None:
            # A parser may have taken the error for a malformed body; the response is still this error.
            if failure and message["type"] == "http.response.start":
                raise failure
            await send(message)

        try:
            await self.app(scope, receive_limited, send_guarded)
        finally:
            if in_memory:
                self.bytes_in_memory -= received
