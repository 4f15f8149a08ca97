"""What stands before every route: errors in one form, keys, admission, and the limit on the body."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import (
    ApiError,
    GatewayTimeout,
    PayloadTooLarge,
    RateLimited,
    ServerError,
    Unauthorized,
    Unavailable,
)

OPEN_PATHS = frozenset({"/health", "/ready", "/metrics", "/docs", "/openapi.json"})
"""What probes, scrapers and readers need, without a key: states and numbers, no content."""
LIST_PATHS = ("/v1/models", "/v1/audio/models", "/v1/audio/voices")
"""What PUBLIC_LISTS opens."""

_KEY_PROTOCOL = "openai-insecure-api-key."

LINGER_SECONDS = 2.0
"""How long a client may go on sending a body that was refused, or not take the error that ends its answer."""

logger = logging.getLogger(__name__)


class Errors:
    """Middleware: answers what was raised below it, and ends a request at its deadline of `timeout` seconds.

    After the answer has begun its status can no longer tell an error: it is the last of a stream's events, or the
    connection is cut, so that nobody takes a part for the whole.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app = app
        self.timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer what it raises."""
        if scope["type"] == "websocket":
            await self._handshake(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        started = eventful = False

        async def reading() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            nonlocal started, eventful
            if message["type"] == "http.response.start":
                started = True
                eventful = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            await send(message)

        try:
            async with asyncio.timeout(self.timeout) as deadline:
                await self.app(scope, reading, sending)
            return
        except ClientDisconnect:
            return
        except ApiError as caught:
            error = caught
        except asyncio.CancelledError:
            # The time to drain is over; nobody else cancels what the server below runs.
            error = Unavailable("this server is stopping; try again")
        except Exception as caught:
            if isinstance(caught, TimeoutError) and deadline.expired():
                error = GatewayTimeout(f"the request took longer than {self.timeout:g} s")
            else:
                logger.exception("request failed")
                error = ServerError()
        if started:
            # An answer without its regular end makes the server close the connection.
            logger.error("answer cut: %s", error.message)
            if eventful:
                await _last_event(error, send)
        elif unread:
            await _answer_and_linger(error, reading, send)
        else:
            await error.response()(scope, receive, send)

    async def _handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on; what is raised before it is accepted is answered as plain HTTP."""
        accepted = False

        async def sending(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ApiError as error:
            if accepted:
                raise
            await error.response()(scope, receive, send)


async def _last_event(error: ApiError, send: Send) -> None:
    """End a stream of events with an error, unless the client has stopped reading."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            line = b"data: " + bytes(error.response().body) + b"\n\n"
            await send({"type": "http.response.body", "body": line})


async def _answer_and_linger(error: ApiError, receive: Receive, send: Send) -> None:
    """Answer a client that is still sending, and hear it out for a moment before the connection is closed.

    A connection closed over unread bytes is reset, and a client's kernel may then throw our answer away unread.
    """
    response = error.response()
    response.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body"})


class Keys:
    """Middleware: lets in who sends one of `keys`; who does not is told before a byte of the body is read."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], public_lists: bool) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.public_lists = public_lists

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise `Unauthorized`."""
        if scope["type"] in ("http", "websocket") and not self._open(scope) and not self._known(scope):
            raise Unauthorized
        await self.app(scope, receive, send)

    def _open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path in OPEN_PATHS:
            return True
        lists = path in LIST_PATHS or path.startswith("/v1/models/")
        return self.public_lists and lists and scope.get("method") in ("GET", "HEAD")

    def _known(self, scope: Scope) -> bool:
        scheme, _, sent = Headers(scope=scope).get("authorization", "").partition(" ")
        candidates = [sent.strip()] if scheme.lower() == "bearer" else []
        # Browsers can set no header on a WebSocket; OpenAI's clients put the key among the subprotocols there.
        offered = scope.get("subprotocols", [])
        candidates += [name.removeprefix(_KEY_PROTOCOL) for name in offered if name.startswith(_KEY_PROTOCOL)]
        # Every key is compared, so that the time tells nothing.
        matches = [hmac.compare_digest(sent.encode("latin-1"), key) for key in self.keys for sent in candidates]
        return any(matches)


class Admission:
    """Middleware: at most `limit` requests that make a model work (POST) are in flight; more are sent away.

    So are WebSockets beyond `sessions`.
    """

    def __init__(self, app: ASGIApp, limit: int, sessions: int) -> None:
        self.app = app
        self.limits = {"http": limit, "websocket": sessions}
        self.in_flight = {"http": 0, "websocket": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise `RateLimited`."""
        kind = scope["type"]
        if kind not in self.limits or (kind == "http" and scope["method"] != "POST"):
            await self.app(scope, receive, send)
            return
        if self.in_flight[kind] >= self.limits[kind]:
            what = "requests" if kind == "http" else "live sessions"
            raise RateLimited(f"this server works on {self.limits[kind]} {what} at once, and has them; try again")
        self.in_flight[kind] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight[kind] -= 1


class BodyLimit:
    """Middleware: a request body of more than `limit` bytes is refused, by its declared length or by counting."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and raise `PayloadTooLarge` from its `receive` or `send`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        error = PayloadTooLarge(f"the body is over {self.limit} bytes")
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limit:
            raise error
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise error
            return message

        async def guarded(message: Message) -> None:
            # Parsers below may take our error for a malformed body; ours is the answer all the same.
            if received > self.limit and message["type"] == "http.response.start":
                raise error
            await send(message)

        await self.app(scope, counted, guarded)
