"""Routes whose JSON bodies are read with the limits of `untrusted_json`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from gateway import untrusted_json
from gateway.request_context import services_of


class JsonRoute(APIRoute):
    """A route for `APIRouter(route_class=...)`: malformed JSON gets a 400 that says what is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return read_and_handle


class JsonOnlyRoute(JsonRoute):
    """A route for JSON, beside one with the same path for forms."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only requests with a JSON body."""
        sent = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return super().matches(scope) if sent == "application/json" else (Match.NONE, {})


class _JsonRequest(Request):
    async def json(self) -> Any:
        """Return the body's value. Raises `MalformedJson`, which `framework_error` finds as the cause of its error."""
        settings = (await services_of(self)).settings
        return untrusted_json.parse(await self.body(), max_bytes=settings.max_json_bytes)
