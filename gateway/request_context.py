"""The context of one request: its services, its record, and the state of its client's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Scope

from gateway.core.services import Services
from gateway.telemetry import RequestRecord

T = TypeVar("T")

EVERYONE: Final = "everyone"
"""The client of requests without a key."""
_KEY_HEADERS: Final = "x-api-key", "api-key"
"""Headers of clients that were made for other servers."""
_WATCHED: Final = "tritone.watched"
"""The key in the scope of a request whose client is watched."""
_KEY_PROTOCOL: Final = "openai-insecure-api-key."


async def services_of(connection: HTTPConnection) -> Services:
    """Dependency: the services of the gateway."""
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


async def record_of(connection: HTTPConnection) -> RequestRecord:
    """Dependency: the record of the request; use cases set its model and its seconds of audio."""
    record = connection.state.record
    assert isinstance(record, RequestRecord)
    record.owner = await client_of(connection)
    return record


async def client_of(connection: HTTPConnection) -> str:
    """Dependency: a name of the client, made from its API key; without keys, all clients are one."""
    return getattr(connection.state, "client", EVERYONE)


GatewayServices = Annotated[Services, Depends(services_of)]
Telemetry = Annotated[RequestRecord, Depends(record_of)]
Client = Annotated[str, Depends(client_of)]


def sent_keys(scope: Scope) -> list[str]:
    """Return the API keys that a client sent."""
    headers = Headers(scope=scope)
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    keys = [sent.strip()] if scheme.lower() == "bearer" else []
    keys += [headers[name].strip() for name in _KEY_HEADERS if name in headers]
    # Browsers cannot set headers on a WebSocket; OpenAI's clients put the key among the subprotocols there.
    offered = scope.get("subprotocols", [])
    return keys + [name.removeprefix(_KEY_PROTOCOL) for name in offered if name.startswith(_KEY_PROTOCOL)]


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; cancel it when the client disconnects. The body must have been read before.

    Within the work of another call for the same request, it only awaits `work`. Raises `ClientDisconnect`.
    """
    if request.scope.get(_WATCHED):
        return await work
    request.scope[_WATCHED] = True
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        async with asyncio.timeout(None) as deadline:

            def end(_gone: asyncio.Future[None]) -> None:
                deadline.reschedule(0)

            gone.add_done_callback(end)
            try:
                return await work
            finally:
                gone.remove_done_callback(end)
    except TimeoutError:
        if deadline.expired():
            raise ClientDisconnect from None
        raise
    finally:
        gone.cancel()
        del request.scope[_WATCHED]


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
