"""What every router needs of a request: its model, its id, its record, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect, HTTPConnection

from gateway.errors import BadRequest, NotFound
from gateway.telemetry import Record
from tritone.catalogue import Kind, Model, UnknownModelError

T = TypeVar("T")


def record(request: HTTPConnection) -> Record:
    """What the log line and the metrics will say of this request; routers set `model` and `audio_seconds`."""
    found = request.state.record
    assert isinstance(found, Record)
    return found


def request_id(request: Request) -> str:
    """The id that the client sent, or the one that we made; also the id of the request to Triton."""
    return record(request).request_id


def resolve_model(request: HTTPConnection, name: str, kind: Kind) -> Model:
    """The chosen model of `kind` that `name`, an id or an alias, stands for; the record then names it.

    Raises `BadRequest` for an empty name and `NotFound`, with the names that there are, for an unknown one.
    """
    if not name:
        raise BadRequest("model: a model's name is needed", param="model")
    state = request.app.state
    try:
        model: Model = state.catalogue.resolve(name, [model for model in state.models if model.kind == kind])
    except UnknownModelError as error:
        raise NotFound(f"{kind}: {error}", param="model", code="model_not_found") from None
    record(request).model = model.id
    return model


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client goes; the body must have been read before.

    Raises `ClientDisconnect` when it went.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
