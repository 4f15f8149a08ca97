"""The turns of the user: the events of the input audio buffer, and what follows from them."""

from __future__ import annotations

from typing import Final

from gateway.errors import BadGateway, BadRequest
from gateway.openai.conversation.answers import Answers
from gateway.openai.conversation.history import Entry, History
from gateway.openai.conversation.items import Message, Part
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import Event, event
from tritone.windowing import Samples

_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."


class Turns:
    """The items of the turns, and the receiver of the events of `InputAudio`."""

    def __init__(self, history: History, answers: Answers, send: Send) -> None:
        self._history = history
        self._answers = answers
        self._send = send
        self._detected: set[str] = set()
        """The turns that were detected and have no text yet."""
        self._silences: set[str] = set()
        """Those of them in which nobody spoke, until `idle_timeout_ms` had passed: the model is to say something."""

    @property
    def last(self) -> str | None:
        """The id of the conversation's last item."""
        return self._history.last

    async def add(self, item_id: str, samples: Samples) -> None:
        """Make an item of a turn. Raises `BadRequest` if the conversation is full."""
        item = Message(id=item_id, role="user", content=[Part(type="input_audio")])
        try:
            await self.insert(Entry(item))
        except BadRequest:
            self._end(item_id, answer=False)  # it is not transcribed
            raise

    async def insert(self, entry: Entry, previous_item_id: str | None = None) -> None:
        """Insert an item, and tell the client. Raises as `History.insert`."""
        previous = self._history.insert(entry, previous_item_id)
        for change in ("added", "done"):
            fields = entry.item.fields()
            await self._send(event(f"conversation.item.{change}", previous_item_id=previous, item=fields))

    async def pass_on(self, given: Event) -> None:
        """Send an event of the input audio to the client, and act on it."""
        config = self._answers.config
        detection = config.input.turn_detection
        type_ = given["type"]
        if not type_.startswith(_TRANSCRIPTION) or config.input.transcription:
            await self._send(given)
        if type_ == "input_audio_buffer.speech_started":
            await self._answers.user_began(interrupts=detection is not None and detection.interrupt_response)
        elif type_ == "input_audio_buffer.speech_stopped":
            self._detected.add(given["item_id"])
            self._answers.user_stopped()
        elif type_ == "input_audio_buffer.timeout_triggered":
            self._silences.add(given["item_id"])
            self._detected.add(given["item_id"])
            self._answers.user_stopped()
        elif type_ == "input_audio_buffer.cleared":
            self._answers.user_cleared()
        elif type_ in (f"{_TRANSCRIPTION}completed", f"{_TRANSCRIPTION}failed"):
            self._complete(given)
            item_id = given["item_id"]
            said = given.get("transcript") != "" or item_id in self._silences
            self._end(item_id, answer=detection is not None and detection.create_response and said)

    def _end(self, item_id: str, *, answer: bool) -> None:
        """Wait no longer for the text of a turn, if it was detected."""
        self._silences.discard(item_id)
        if item_id in self._detected:
            self._detected.discard(item_id)
            self._answers.turn_transcribed(answer=answer)

    def _complete(self, given: Event) -> None:
        """Give an item its text, or the reason why it has none."""
        if not self._history.has(given["item_id"]):
            return  # it was deleted meanwhile
        entry = self._history.find(given["item_id"])
        if isinstance(entry.item, Message) and "transcript" in given:
            entry.item.content[0].transcript = given["transcript"]
        elif "error" in given:
            entry.error = BadGateway(f"the turn was not transcribed: {given['error']['message']}")
        entry.complete.set()
