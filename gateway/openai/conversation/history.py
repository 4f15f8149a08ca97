"""The items of one conversation in their order, and the messages that they are for a language model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import BadRequest, HttpError
from gateway.openai.conversation.items import FunctionCall, FunctionCallOutput, Item, Message
from gateway.openai.conversation.spoken import SpokenText, shorter
from gateway.openai.realtime.protocol import new_id
from tritone.errors import InvalidInput

MOST_ITEMS: Final = 2000
MOST_CHARS: Final = 4 * 2**20
"""Limits of one conversation; a language model reads less."""
_ROOT: Final = "root"


@dataclass
class Entry:
    """An item, and what clients do not see of it."""

    item: Item
    spoken: SpokenText | None = None
    """The audio of a message that was spoken here."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its text is known."""
    error: HttpError | None = None
    """Why its text will not be known."""


class History:
    """The items of one conversation."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._entries: list[Entry] = []

    @property
    def last(self) -> str | None:
        """The id of the last item; None if there is none."""
        return self._entries[-1].item.id if self._entries else None

    def insert(self, entry: Entry, previous_item_id: str | None = None) -> str | None:
        """Insert an item behind another one, at the beginning (`root`) or, for None, at the end.

        Return the id of the item before it. Raises `InvalidInput` and `BadRequest`.
        """
        id_ = entry.item.id
        if self.has(id_):
            raise BadRequest(f"item.id: {id_!r} is in the conversation already", param="item.id")
        if len(self._entries) >= MOST_ITEMS or self._chars() + _chars(entry.item) > MOST_CHARS:
            raise BadRequest("item: the conversation is full; delete items, or begin a new session", param="item")
        if isinstance(entry.item, FunctionCallOutput) and entry.item.call_id not in self._calls():
            raise InvalidInput("item.call_id", f"no function_call has the call_id {entry.item.call_id[:64]!r}")
        if previous_item_id == _ROOT:
            position = 0
        elif previous_item_id is None:
            position = len(self._entries)
        else:
            position = self._position(previous_item_id, "previous_item_id") + 1
        self._entries.insert(position, entry)
        return self._entries[position - 1].item.id if position else None

    def find(self, id_: Any, name: str = "item_id") -> Entry:
        """Return the item of this id, which the client calls `name`. Raises `InvalidInput`."""
        return self._entries[self._position(id_, name)]

    def has(self, id_: str) -> bool:
        """Return whether there is an item of this id."""
        return any(entry.item.id == id_ for entry in self._entries)

    def before(self, id_: str) -> str | None:
        """Return the id of the item before another one. Raises `InvalidInput` if there is none of this id."""
        position = self._position(id_, "item_id")
        return self._entries[position - 1].item.id if position else None

    def delete(self, id_: Any) -> None:
        """Remove an item. Raises `InvalidInput` if there is none of this id."""
        del self._entries[self._position(id_, "item_id")]

    def truncate(self, id_: Any, content_index: Any, audio_end_ms: Any) -> str:
        """Keep of a spoken message what its user heard, and return it. Raises `InvalidInput`."""
        entry = self.find(id_)
        item = entry.item
        if not isinstance(item, Message) or item.role != "assistant" or entry.spoken is None:
            raise InvalidInput("item_id", "only messages of the assistant that were spoken can be truncated")
        if content_index != 0:
            raise InvalidInput("content_index", "a spoken message has one part, 0")
        if not isinstance(audio_end_ms, int) or isinstance(audio_end_ms, bool) or audio_end_ms < 0:
            raise InvalidInput("audio_end_ms", "it is not a number of milliseconds")
        length = entry.spoken.milliseconds
        if audio_end_ms > length:
            raise InvalidInput("audio_end_ms", f"the audio has {length} ms, less than {audio_end_ms}")
        heard = shorter(item.content[0].transcript or "", entry.spoken.heard(audio_end_ms))
        item.content[0].transcript = heard
        return heard

    def messages(self, entries: Sequence[Entry] | None = None) -> list[dict[str, Any]]:
        """Return the conversation, or `entries`, in the form of `/chat/completions`.

        Calls without a result are left out: language models accept none.
        """
        items = [entry.item for entry in (self._entries if entries is None else entries)]
        outputs = {item.call_id: item.output for item in items if isinstance(item, FunctionCallOutput)}
        messages: list[dict[str, Any]] = []
        calls: list[FunctionCall] = []
        for item in items:
            if isinstance(item, FunctionCall):
                calls += [item] if item.call_id in outputs else []
            elif isinstance(item, Message) and (content := _content(item)):
                messages += _call_messages(calls, outputs)
                calls = []
                messages.append({"role": item.role, "content": content})
        return messages + _call_messages(calls, outputs)

    async def wait_complete(self) -> None:
        """Wait until the text of each item is known. Raises the error of the last item."""
        for entry in self._entries:
            await entry.complete.wait()
        if self._entries and (error := self._entries[-1].error):
            raise error

    def _position(self, id_: Any, name: str) -> int:
        for position, entry in enumerate(self._entries):
            if entry.item.id == id_:
                return position
        raise InvalidInput(name, f"there is no item {str(id_)[:64]!r} in the conversation")

    def _calls(self) -> set[str]:
        return {entry.item.call_id for entry in self._entries if isinstance(entry.item, FunctionCall)}

    def _chars(self) -> int:
        return sum(_chars(entry.item) for entry in self._entries)


def _chars(item: Item) -> int:
    match item:
        case Message():
            return sum(len(part.written) + len(part.image_url or "") for part in item.content)
        case FunctionCall():
            return len(item.arguments)
        case FunctionCallOutput():
            return len(item.output)


def _call_messages(calls: Iterable[FunctionCall], outputs: dict[str, str]) -> list[dict[str, Any]]:
    """Return the message with `calls`, and those with their results; nothing without any call."""
    calls = list(calls)
    if not calls:
        return []
    made = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    results = [{"role": "tool", "tool_call_id": call.call_id, "content": outputs[call.call_id]} for call in calls]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Return the content of a message; empty if it has none yet."""
    written = "\n".join(part.written for part in message.content if part.written)
    images = [part for part in message.content if part.type == "input_image" and part.image_url]
    if not images:
        return written
    text = [{"type": "text", "text": written}] if written else []
    return text + [
        {"type": "image_url", "image_url": {"url": image.image_url, "detail": image.detail or "auto"}}
        for image in images
    ]
