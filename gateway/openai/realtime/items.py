"""The items that the turns of a transcription session become."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gateway.openai.realtime.protocol import Event, event
from tritone.windowing import Samples

Send = Callable[[Event], Awaitable[None]]


class Items(Protocol):
    """Where a session's turns go when they are over."""

    @property
    def last(self) -> str | None:
        """The id of the last item; None if there is none."""

    async def add(self, item_id: str, samples: Samples) -> None:
        """Make an item of a turn, behind the last one, and tell the client."""


class TranscriptionItems:
    """The items of a transcription session; nothing is kept of them but their order."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.last: str | None = None
        self.beta = False
        """Whether the client expects the events of the API's beta."""

    async def add(self, item_id: str, samples: Samples) -> None:
        """Tell the client of an item with a turn's audio."""
        previous, self.last = self.last, item_id
        for change in ("created",) if self.beta else ("added", "done"):
            await self._send(event(f"conversation.item.{change}", previous_item_id=previous, item=user_audio(item_id)))


def user_audio(item_id: str) -> dict[str, Any]:
    """Return the item of a user's turn."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
