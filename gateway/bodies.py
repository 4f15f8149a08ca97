"""The limits on request bodies: their size, their pace, and the memory of those that no file holds."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Collection
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.services import Timing
from gateway.errors import BodyTooLarge, HttpError, RequestTimeout, Unavailable, UnsupportedMedia
from gateway.settings import GatewaySettings

LEAST_RATE: Final = 16 * 1024
"""Bytes a second that a body must arrive with, on average, once BODY_TIMEOUT has passed."""
_BODIES_IN_MEMORY: Final = 8
"""Bodies of MAX_JSON_BYTES that the gateway may hold at once; ordinary ones take a few KiB."""
_FILES: Final = "multipart/form-data"
_OF_TEXT: Final = ("application/json", "application/x-www-form-urlencoded")
_TEXT: Final = "text_in_memory"
_CHARSETS: Final = frozenset({"utf-8", "ascii", "iso8859-1"})
"""Those of a form's texts, by Python's names. Others decode to halves of characters, or fail in ways of their own."""


class BodyMiddleware:
    """Rejects bodies that are too large, by their declared length or by counting, and those that come too slowly.

    A body with files is stored on disk and may have MAX_UPLOAD_BYTES; any other is held in memory and may have
    MAX_JSON_BYTES, as the text beside files may, which `text_counter` counts.
    """

    def __init__(
        self, app: ASGIApp, settings: GatewaySettings, timing: Timing, upload_paths: Collection[str] = ()
    ) -> None:
        """`upload_paths`: paths whose routes store any body but JSON and texts of forms on disk."""
        self.app = app
        self.settings = settings
        self.upload_paths = upload_paths
        self.timing = timing
        self.bytes_in_memory = 0
        """Bytes of the bodies without files, and of the texts beside files, of the requests that are open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and raise an `HttpError` from its `receive` or `send`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").strip().lower()
        on_disk = kind.startswith(_FILES) or (scope["path"] in self.upload_paths and not kind.startswith(_OF_TEXT))
        if kind.startswith(_FILES):
            _check_charset(kind)
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
        text = _Text(self)
        scope.setdefault("state", {})[_TEXT] = text

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
            if received > limit:
                failure = too_large
                raise failure
            if in_memory:
                text.add(size)
            return message

        async def send_guarded(message: Message) -> None:
            # A parser may have taken the error for a malformed body; the response is still this error.
            if (error := failure or text.failure) and message["type"] == "http.response.start":
                raise error
            await send(message)

        try:
            await self.app(scope, receive_limited, send_guarded)
        finally:
            self.bytes_in_memory -= text.size


class _Text:
    """The text in the body of one request, which memory holds."""

    def __init__(self, limits: BodyMiddleware) -> None:
        self.size = 0
        """Bytes."""
        self.failure: HttpError | None = None
        self._limits = limits

    def add(self, size: int, field: str = "") -> None:
        """Count so many bytes more, of a field if it is a form's. Raises `BodyTooLarge` and `Unavailable`."""
        self.size += size
        self._limits.bytes_in_memory += size
        most = self._limits.settings.max_json_bytes
        if self.size > most:
            self.failure = BodyTooLarge(f"{field}: the text in the form is over {most} bytes", param=field)
        elif self._limits.bytes_in_memory > _BODIES_IN_MEMORY * most:
            self.failure = Unavailable("this server holds too many large requests; try again")
        if self.failure:
            raise self.failure


def text_counter(scope: Scope) -> Callable[[int, str], None]:
    """Return the function that counts bytes of a field of a form that memory holds.

    It raises `BodyTooLarge` for more than MAX_JSON_BYTES in the form, and `Unavailable` if all requests have too much.
    """
    text: _Text = scope["state"][_TEXT]
    return text.add


def _check_charset(content_type: str) -> None:
    """Raise `UnsupportedMedia` for a form in another charset than UTF-8, or one that is a part of it."""
    _, parameters = parse_options_header(content_type)
    charset = parameters.get(b"charset", b"utf-8").decode("latin-1")
    try:
        known = codecs.lookup(charset).name in _CHARSETS
    except (LookupError, ValueError):
        known = False
    if not known:
        raise UnsupportedMedia(f"charset {charset[:64]!r} is not supported; send forms in UTF-8")
