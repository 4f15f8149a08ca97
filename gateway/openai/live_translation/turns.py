"""The texts of a session's turns, one turn after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.openai.realtime.protocol import Event
from tritone.windowing import Samples

_TEXT: Final = "conversation.item.input_audio_transcription."


@dataclass
class _Turn:
    waiting: list[str] = field(default_factory=list)
    """Its text that waits for the turns before it."""
    ended: bool = False


class OrderedTexts:
    """Receives the events and items of `InputAudio`, which transcribes several turns at once."""

    def __init__(
        self,
        write: Callable[[str], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        fail: Callable[[Event], Awaitable[None]],
    ) -> None:
        """`write` gets the next text, with a space before each turn but the first, and `end` is called behind a turn.

        `fail` gets the event of a turn that was not transcribed.
        """
        self._write = write
        self._end = end
        self._fail = fail
        self._turns: dict[str, _Turn] = {}
        """The turns that have not been written whole, in order."""
        self._begun = False
        self._space = ""

    last: str | None = None
    """No item is kept."""

    async def add(self, item_id: str, samples: Samples) -> None:
        """Note a turn; nothing is kept of its audio."""
        self._turns.setdefault(item_id, _Turn())

    async def take(self, given: Event) -> None:
        """Act on an event."""
        type_ = given["type"]
        if type_ == "input_audio_buffer.speech_started":
            self._turns[given["item_id"]] = _Turn()
        elif type_ == f"{_TEXT}delta":
            self._turns[given["item_id"]].waiting.append(given["delta"])
        elif type_ in (f"{_TEXT}completed", f"{_TEXT}failed"):
            self._turns[given["item_id"]].ended = True
            if type_ == f"{_TEXT}failed":
                await self._fail(given)
        await self._write_ready()

    async def _write_ready(self) -> None:
        """Write what has no open turn before it."""
        while self._turns:
            id_, turn = next(iter(self._turns.items()))
            while turn.waiting:
                text = turn.waiting.pop(0)
                space, self._space = self._space, ""
                self._begun = True
                await self._write(space + text)
            if not turn.ended:
                return
            self._turns.pop(id_, None)
            self._space = " " if self._begun else ""
            await self._end()
