"""OpenAI's Realtime protocol: the events of the server."""

from __future__ import annotations

import uuid
from typing import Any, Final, Literal

from gateway.errors import HttpError

MESSAGE_BYTES: Final = 16 * 2**20
"""The largest event of a client; OpenAI accepts 15 MiB of audio."""
Event = dict[str, Any]
ClientWarning = dict[str, Any]
"""A field of the client's that is not followed: `type`, `param` (its path) and `message`."""


def event(type_: str, **fields: Any) -> Event:
    """Return an event of the server."""
    return {"type": type_, "event_id": new_id("event"), **fields}


def error_event(error: HttpError, client_event: str | None) -> Event:
    """Return the event of an error, with the client's own id of the event that caused it."""
    return event("error", error={**error.body()["error"], "event_id": client_event})


def warned(type_: Literal["unknown_field", "no_effect"], param: str, problem: str) -> ClientWarning:
    """Return a warning."""
    return {"type": type_, "param": param, "message": f"{param}: {problem}"}


def warning_event(warning: ClientWarning, client_event: str | None) -> Event:
    """Return the event of a warning, in the form of an error's. OpenAI's API has none."""
    return event("warning", warning={**warning, "event_id": client_event})


def new_id(kind: str) -> str:
    """Return a new id in OpenAI's form, such as `item_...`."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"
