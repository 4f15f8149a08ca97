"""The items of one conversation in their order, and the messages that they are for a language model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import BadRequest, HttpError
from gateway.openai.conversation.items import FunctionCall, FunctionCallOutput, Item, Message
from gateway.openai.conversation.spoken import SpokenText, shorter
from gateway.openai.conversation.truncation import AUTO_RATIO, RetentionRatio, Truncation
from gateway.openai.realtime.protocol import new_id
from tritone.errors import InvalidInput

logger = logging.getLogger(__name__)

MOST_ITEMS: Final = 2000
MOST_CHARS: Final = 4 * 2**20
"""Limits of one conversation; a language model reads less."""
_ROOT: Final = "root"
_TOKENS_PER_BYTE: Final = 0.25
"""Of UTF-8, in most languages; until a model has counted its own."""
_AROUND_BYTES: Final = 24
_IMAGE_BYTES: Final = 4000
"""About as many tokens as these bytes have, a message takes beside its text, and an image."""
_MOST_KEPT: Final = 0.9
"""The part of the messages that is kept, at most, where they were too long."""


@dataclass
class Entry:
    """An item, and what clients do not see of it."""

    item: Item
    spoken: SpokenText | None = None
    """The audio of a message that was spoken here."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its text is known, or not wanted any more."""
    error: HttpError | None = None
    """Why its text will not be known."""
    forgotten: bool = False
    """Whether the language model does not see it any more."""


class History:
    """The items of one conversation."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._entries: list[Entry] = []
        self._tokens_per_byte = _TOKENS_PER_BYTE

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
        for part in entry.item.content if isinstance(entry.item, Message) else ():
            part.audio = None
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
        self._entries.pop(self._position(id_, "item_id")).complete.set()

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

    @property
    def size(self) -> int:
        """The bytes of the text that the language model sees."""
        return sum(_bytes(entry.item) for entry in self._seen())

    def learn(self, size: int, tokens: int) -> None:
        """Learn the size of a token: the language model counted so many in a request with so many bytes."""
        self._tokens_per_byte = tokens / size

    def limit(self, truncation: Truncation) -> None:
        """Forget the oldest items if all are longer than `truncation` allows, by an estimate of their tokens."""
        if not isinstance(truncation, RetentionRatio) or truncation.most_tokens is None:
            return
        most_bytes = truncation.most_tokens / self._tokens_per_byte
        if self.size > most_bytes:
            self._forget(truncation.retention_ratio * most_bytes)

    def shorten(self, truncation: Truncation) -> bool:
        """Forget the oldest items, as they are too long for the language model; return whether there were any."""
        if truncation == "disabled":
            return False
        ratio = truncation.retention_ratio if isinstance(truncation, RetentionRatio) else AUTO_RATIO
        return self._forget(min(ratio, _MOST_KEPT) * self.size)

    def messages(self, entries: Sequence[Entry] | None = None) -> list[dict[str, Any]]:
        """Return the conversation, or `entries`, in the form of `/chat/completions`.

        Calls without a result are left out: language models accept none.
        """
        items = [entry.item for entry in (self._seen() if entries is None else entries)]
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
        while entry := next((each for each in self._entries if not each.complete.is_set()), None):
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

    def _seen(self) -> list[Entry]:
        return [entry for entry in self._entries if not entry.forgotten]

    def _forget(self, most_bytes: float) -> bool:
        """Forget the oldest items until the others have so many bytes; return whether any was forgotten.

        The last message of the user, and what follows it, is never forgotten; the first one that is left is the user's,
        as some language models demand.
        """
        seen = self._seen()
        size = sum(_bytes(entry.item) for entry in seen)
        of_user = [getattr(entry.item, "role", "") == "user" for entry in seen]
        last = max((index for index, said in enumerate(of_user) if said), default=-1)
        forgotten = 0
        for entry, said in zip(seen[:last], of_user, strict=False):
            if forgotten and said and size <= most_bytes:
                break
            entry.forgotten = True
            size -= _bytes(entry.item)
            forgotten += 1
        if forgotten:
            logger.info("%s: the language model does not see the oldest %d items any more", self.id, forgotten)
        return forgotten > 0

    def _chars(self) -> int:
        return sum(_chars(entry.item) for entry in self._entries)


def _chars(item: Item) -> int:
    match item:
        case Message():
            return sum(
                len(text or "") for part in item.content for text in (part.text, part.transcript, part.image_url)
            )
        case FunctionCall():
            return len(item.call_id) + len(item.name) + len(item.arguments)
        case FunctionCallOutput():
            return len(item.call_id) + len(item.output)


def _bytes(item: Item) -> int:
    """Return the size of an item for the language model: its text, and what stands around it."""
    match item:
        case Message():
            images = sum(part.image_url is not None for part in item.content)
            return _AROUND_BYTES + images * _IMAGE_BYTES + sum(len(part.written.encode()) for part in item.content)
        case FunctionCall():
            return _AROUND_BYTES + len((item.name + item.arguments).encode())
        case FunctionCallOutput():
            return _AROUND_BYTES + len(item.output.encode())


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
