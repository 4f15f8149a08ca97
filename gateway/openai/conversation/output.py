"""The items of one response, and the events that tell the client of them."""

from __future__ import annotations

import base64
from typing import Any, Literal

from gateway.core.chat_reply import ToolCall
from gateway.openai.conversation.history import Entry, History
from gateway.openai.conversation.items import FunctionCall, Item, Message, Part, Status
from gateway.openai.conversation.spoken import SpokenText, shorter
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import Event, event, new_id

Kind = Literal["text", "audio"]


def truncated(item_id: str, end_ms: int, heard: str) -> Event:
    """Return the event of a spoken message of which only the words `heard` are kept. OpenAI's has no transcript."""
    fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": end_ms, "transcript": heard}
    return event("conversation.item.truncated", **fields)


class Output:
    """The items of one response."""

    def __init__(self, response_id: str, send: Send, history: History | None) -> None:
        """`history`: where the items go; None: nowhere."""
        self.items: list[Item] = []
        self._response_id = response_id
        self._send_event = send
        self._history = history

    async def add_message(self, kind: Kind, spoken: SpokenText | None) -> MessageOutput:
        """Begin a message."""
        part = Part(type="output_audio", transcript="") if kind == "audio" else Part(type="output_text", text="")
        message = Message(id=new_id("item"), role="assistant", status="in_progress", content=[])
        output = MessageOutput(self, message, part, len(self.items), spoken)
        await self._begin(message, output.entry)
        message.content.append(part)
        await output.send("response.content_part.added", part=_shown(part))
        return output

    async def add_call(self, call: ToolCall) -> None:
        """Add the call of a function."""
        index = len(self.items)
        item = FunctionCall(
            id=new_id("item"), status="in_progress", call_id=call.id, name=call.name[:1024], arguments=""
        )
        await self._begin(item, Entry(item))
        item.arguments = call.arguments
        where = {"item_id": item.id, "call_id": call.id}
        await self.send(index, "response.function_call_arguments.delta", **where, delta=call.arguments)
        await self.send(
            index, "response.function_call_arguments.done", **where, name=item.name, arguments=call.arguments
        )
        await self.end(item, index, "completed")

    async def send(self, index: int, type_: str, **fields: Any) -> None:
        """Send an event of the item with this index."""
        await self._send_event(event(type_, response_id=self._response_id, output_index=index, **fields))

    async def end(self, item: Item, index: int, status: Status) -> None:
        """Tell the client that an item is complete, or as complete as it will be."""
        item.status = status
        if self._history and self._history.has(item.id):
            previous = self._history.before(item.id)
            await self._send_event(event("conversation.item.done", previous_item_id=previous, item=item.fields()))
        await self.send(index, "response.output_item.done", item=item.fields())

    async def _begin(self, item: Item, entry: Entry) -> None:
        entry.complete.set()
        self.items.append(item)
        await self.send(len(self.items) - 1, "response.output_item.added", item=item.fields())
        if self._history:
            previous = self._history.insert(entry)
            await self._send_event(event("conversation.item.added", previous_item_id=previous, item=item.fields()))


class MessageOutput:
    """A message that is being written or spoken."""

    def __init__(self, output: Output, message: Message, part: Part, index: int, spoken: SpokenText | None) -> None:
        self.entry = Entry(message, spoken)
        self._output = output
        self._message = message
        self._part = part
        self._index = index

    async def send(self, type_: str, **fields: Any) -> None:
        """Send an event of the message's part."""
        await self._output.send(self._index, type_, item_id=self._message.id, content_index=0, **fields)

    async def write(self, delta: str) -> None:
        """Add text: what is written, or the words of the audio that follows."""
        if self._part.type == "output_audio":
            self._part.transcript = (self._part.transcript or "") + delta
            await self.send("response.output_audio_transcript.delta", delta=delta)
        else:
            self._part.text = (self._part.text or "") + delta
            await self.send("response.output_text.delta", delta=delta)

    async def speak(self, audio: bytes) -> None:
        """Send audio."""
        await self.send("response.output_audio.delta", delta=base64.b64encode(audio).decode())

    async def end(self, status: Status, heard: str | None = None) -> None:
        """End the message. `heard`: the words of its audio that the user heard, if it was interrupted."""
        if self._part.type == "output_audio":
            if heard is not None:
                self._part.transcript = shorter(self._part.transcript or "", heard)
            await self.send("response.output_audio.done")
            await self.send("response.output_audio_transcript.done", transcript=self._part.transcript)
        else:
            await self.send("response.output_text.done", text=self._part.text)
        await self.send("response.content_part.done", part=_shown(self._part))
        await self._output.end(self._message, self._index, status)


def _shown(part: Part) -> dict[str, Any]:
    """Return a part as these events have it, with other names of its types."""
    if part.type == "output_audio":
        return {"type": "audio", "transcript": part.transcript}
    return {"type": "text", "text": part.text}
