"""The way of an answer's audio to the user's ears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.openai.conversation.output import MessageOutput
from gateway.openai.conversation.pacer import Pacer
from gateway.openai.realtime.audio import Encoding, LiveEncoder
from tritone.contract import SPEECH_RATE


class Playback(Protocol):
    """The audio of one response."""

    @property
    def played(self) -> float:
        """The most seconds that the user can have heard when nothing more is sent."""

    @property
    def playing(self) -> bool:
        """Whether the user may still hear it."""

    @property
    def was_cut(self) -> bool:
        """Whether the server has ended it, and not the client."""

    async def play(self, audio: bytes, message: MessageOutput) -> None:
        """Send a piece of a message's audio, 16 bits at `SPEECH_RATE`, when its time has come."""

    async def flush(self, message: MessageOutput) -> None:
        """Send the rest of a message's audio; call it once."""

    async def end(self) -> None:
        """Note that all events of the response are sent."""

    async def cut(self) -> None:
        """End it at once, where the server can; else the client does."""


NewPlayback = Callable[[str, Encoding], Playback]
"""Returns the playback of the response with this id, in this encoding."""


class SentPlayback:
    """Sends audio in events, not too far ahead of its playback; the client plays it, and stops it."""

    was_cut = False

    def __init__(self, _response_id: str, encoding: Encoding) -> None:
        self._pacer = Pacer()
        self._encoder = LiveEncoder(encoding)

    @property
    def played(self) -> float:
        """The most seconds that can have been played by now."""
        return self._pacer.played

    @property
    def playing(self) -> bool:
        """Whether audio that was sent may still be played."""
        return self._pacer.playing

    async def play(self, audio: bytes, message: MessageOutput) -> None:
        """Send a piece of a message's audio, 16 bits at `SPEECH_RATE`, when its time has come."""
        await self._pacer.send(len(audio) / 2 / SPEECH_RATE)
        if encoded := self._encoder.encode(audio):
            await message.speak(encoded)

    async def flush(self, message: MessageOutput) -> None:
        """Send the rest of a message's audio; call it once."""
        if rest := self._encoder.finish():
            await message.speak(rest)

    async def end(self) -> None:
        """Do nothing: the client knows when it has played the last piece."""

    async def cut(self) -> None:
        """Do nothing: the client does it."""
