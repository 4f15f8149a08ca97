"""The middleware before every route: errors in one form, API keys, and HEAD."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.client_secrets import ClientSecrets
from gateway.core.api_keys import owner_of
from gateway.core.services import Timing
from gateway.errors import (
    GatewayTimeout,
    HttpError,
    NotFound,
    Unauthorized,
    Unavailable,
    http_error,
)
from gateway.request_context import sent_keys
from gateway.surfaces import SurfaceTable

_DISCONNECTS: Final = 2

logger = logging.getLogger(__name__)


class ErrorMiddleware:
    """Turns exceptions into error responses, and ends a request at its deadline of `timeout` seconds.

    After the response has begun, its status cannot show an error any more: the error becomes the last event of a
    stream of events, and any other response is cut, so that no client takes a part for the whole.
    """

    def __init__(self, app: ASGIApp, timeout: float, surfaces: SurfaceTable, timing: Timing) -> None:
        self.app = app
        self.timeout = timeout
        self.surfaces = surfaces
        self.timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; respond with the error that it raises."""
        if scope["type"] == "websocket":
            await self._handshake(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        started = has_events = False

        async def receive_noted() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def send_noted(message: Message) -> None:
            nonlocal started, has_events
            if message["type"] == "http.response.start":
                started = True
                has_events = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            await send(message)

        surface = self.surfaces.at(scope["path"])
        try:
            async with self.timing.timeout(self.timeout) as deadline:
                await self.app(scope, receive_noted, send_noted)
            return
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            # The time to drain is over: only the server below cancels its requests.
            error: HttpError = Unavailable("this server is stopping; try again")
        except Exception as caught:
            if isinstance(caught, TimeoutError) and deadline.expired():
                error = GatewayTimeout(f"the request took longer than {self.timeout:g} s")
            else:
                error = http_error(caught, surface.field_names)
        scope["state"]["record"].cause = error.cause
        response = surface.error_response(error)
        if started:
            # A response without its regular end makes the server close the connection.
            logger.error("response cut: %s", error.message)
            if has_events:
                await self._send_last_event(response, send)
        elif unread:
            await self._send_and_linger(response, receive_noted, send)
        else:
            await response(scope, receive, send)

    async def _handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on; an error before it is accepted becomes a plain HTTP response."""
        accepted = False

        async def send_noted(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            if message["type"] == "websocket.close" and not accepted:
                # The router found no route.
                raise NotFound(
                    f"there is no WebSocket {scope['path']}; there are /v1/realtime, "
                    "/v1/realtime/translations and /v1/audio/speech/stream"
                )
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except Exception as caught:
            if accepted:
                raise
            surface = self.surfaces.at(scope["path"])
            error = http_error(caught, surface.field_names)
            scope["state"]["record"].cause = error.cause
            await surface.error_response(error)(scope, receive, send)
            await self._until_closed(receive)

    async def _until_closed(self, receive: Receive) -> None:
        """Wait until the connection of a rejected handshake is closed; uvicorn logs an error if the call ends before.

        uvicorn reports the end of the WebSocket with the response, and once more when the connection is closed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timing.linger):
                for _ in range(_DISCONNECTS):
                    while (await receive())["type"] != "websocket.disconnect":
                        pass

    async def _send_last_event(self, response: Response, send: Send) -> None:
        """End a stream of events with an error, unless the client has stopped reading."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timing.linger):
                line = b"data: " + bytes(response.body) + b"\n\n"
                await send({"type": "http.response.body", "body": line})

    async def _send_and_linger(self, response: Response, receive: Receive, send: Send) -> None:
        """Respond to a client that is still sending, and read on for a moment before the connection is closed.

        A connection that is closed with unread bytes is reset, and the client may then lose the response.
        """
        response.headers["connection"] = "close"
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timing.linger):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body"})


class ApiKeyMiddleware:
    """Rejects requests without a valid API key, or a client secret where one is enough, before their body is read."""

    def __init__(
        self, app: ASGIApp, keys: Sequence[str], secrets: ClientSecrets, surfaces: SurfaceTable, public_lists: bool
    ) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.secrets = secrets
        self.surfaces = surfaces
        self.public_lists = public_lists

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its `client`, or raise `Unauthorized`."""
        if scope["type"] in ("http", "websocket"):
            key = self._valid_key(scope)
            if key is None and not self._is_open(scope) and not self._has_secret(scope):
                raise Unauthorized
            if key is not None:
                scope.setdefault("state", {})["client"] = owner_of(key)
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path in self.surfaces.open_paths:
            return True
        if not self.public_lists or scope.get("method") not in ("GET", "HEAD"):
            return False
        lists = self.surfaces.list_paths
        return path in lists or any(path.startswith(listed) for listed in lists if listed.endswith("/"))

    def _valid_key(self, scope: Scope) -> bytes | None:
        """Return the API key that was sent; None without one."""
        # Compare with every key, so that the time reveals nothing.
        sent = sent_keys(scope)
        matches = [known for known in self.keys for key in sent if hmac.compare_digest(key.encode("latin-1"), known)]
        return matches[0] if matches else None

    def _has_secret(self, scope: Scope) -> bool:
        secret_path = scope["path"] in self.surfaces.secret_paths
        return secret_path and any(self.secrets.content(key) is not None for key in sent_keys(scope))


class HeadMiddleware:
    """Answers HEAD as GET; the server below sends the headers without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        # A copy, because the server reads the method of its own.
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the telemetry
