"""The events of a client, JSON texts, and its audio beside them: each is acted on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import BadRequest
from gateway.openai.realtime.input_audio import LARGE, InputAudio, session_error
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import MESSAGE_BYTES, error_event
from gateway.openai.realtime.unknown_fields import event_id_of
from gateway.untrusted_json import MalformedJson, parse_object
from tritone.windowing import Samples

Act = Callable[[dict[str, Any], str | None], Awaitable[None]]
"""Acts on an event with the client's own id of it."""


async def handle_event(message: str | bytes, act: Act, send: Send) -> None:
    """Let `act` act on one event. An error in it is sent to the client, and the session continues."""
    id_ = None
    try:
        if len(message) < LARGE:
            given = parse_object(message, max_bytes=MESSAGE_BYTES)
        else:
            given = await asyncio.to_thread(parse_object, message, max_bytes=MESSAGE_BYTES)
        del message  # it may be large, and acting on it take long
        id_ = event_id_of(given)
        await act(given, id_)
    except MalformedJson as error:
        await send(error_event(BadRequest(f"the event: {error}"), id_))
    except Exception as error:
        await send(error_event(session_error(error), id_))


async def handle_audio(samples: Samples, audio: InputAudio, send: Send) -> None:
    """Add audio that came beside the events. An error is sent to the client, and the session continues."""
    try:
        await audio.hear(samples)
    except Exception as error:
        await send(error_event(session_error(error), None))
