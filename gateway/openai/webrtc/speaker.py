"""The audio track of a conversation's answers: 20 ms at a time, in real time, silent between the answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from gateway.openai.conversation.output import MessageOutput
from gateway.openai.conversation.pacer import AHEAD_SECONDS
from gateway.openai.realtime.audio import Encoding
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import event
from tritone.contract import SPEECH_RATE

_FRAME: Final = SPEECH_RATE // 50
"""Samples of a packet."""
_FRAME_BYTES: Final = _FRAME * 2
_SECONDS: Final = _FRAME / SPEECH_RATE
_MOST_LATE: Final = 0.2
"""Seconds that the clock may be behind, after a pause of the process; beyond it, the rest is not made up for."""


class Speaker(MediaStreamTrack):
    """The track, which plays one response after the other."""

    kind = "audio"

    def __init__(
        self,
        send: Send,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send`: sends the events of the playback to the client."""
        super().__init__()
        self.send = send
        self._clock = clock
        self._due: float | None = None
        self._samples = 0
        self.queue: deque[TrackPlayback] = deque()
        """The playbacks that have audio, or are not at their end; the first one is heard."""

    def playback(self, response_id: str, _encoding: Encoding) -> TrackPlayback:
        """Return the playback of a response; tracks have their own encoding."""
        return TrackPlayback(self, response_id)

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms, when it is their time. Raises `MediaStreamError` at the end of the call."""
        if self.readyState != "live":
            raise MediaStreamError
        now = self._clock()
        if self._due is None or now - self._due > _MOST_LATE:
            self._due = now
        await asyncio.sleep(self._due - now)
        self._due += _SECONDS
        audio = await self._next()
        frame = AudioFrame.from_ndarray(np.frombuffer(audio, np.int16)[None], "s16", "mono")
        frame.sample_rate = SPEECH_RATE
        frame.time_base = Fraction(1, SPEECH_RATE)
        frame.pts = self._samples
        self._samples += _FRAME
        return frame

    async def _next(self) -> bytes:
        """Return the samples of the next frame."""
        while self.queue:
            playback = self.queue[0]
            if audio := playback.take(_FRAME_BYTES):
                await playback.tell("started")
                return audio.ljust(_FRAME_BYTES, b"\0")
            if not playback.ended:
                break
            self.queue.remove(playback)
            await playback.tell("stopped")
        return bytes(_FRAME_BYTES)


class TrackPlayback:
    """The audio of one response; what has left on the track was heard."""

    def __init__(self, speaker: Speaker, response_id: str) -> None:
        self._speaker = speaker
        self._response_id = response_id
        self._waiting = bytearray()
        """Samples that have not left."""
        self._taken = asyncio.Event()
        self._given = 0
        """Bytes that have left, or will."""
        self._told = ""
        """The last event."""
        self.ended = False
        self.was_cut = False

    @property
    def played(self) -> float:
        """The seconds that the user has heard, or will hear unless the playback is cut."""
        return self._given / 2 / SPEECH_RATE

    @property
    def playing(self) -> bool:
        """Whether audio has not left yet."""
        return bool(self._waiting)

    async def play(self, audio: bytes, _message: MessageOutput) -> None:
        """Add samples, when those before have left but for a few seconds."""
        while len(self._waiting) > AHEAD_SECONDS * SPEECH_RATE * 2:
            self._taken.clear()
            await self._taken.wait()
        if self.was_cut:
            return
        if not self._given:
            self._speaker.queue.append(self)
        self._waiting += audio
        self._given += len(audio)

    async def flush(self, _message: MessageOutput) -> None:
        """Do nothing: nothing is held back."""

    async def end(self) -> None:
        """Note that nothing follows, so that its last sample is its end."""
        self.ended = True

    async def cut(self) -> None:
        """Drop what has not left, and what follows."""
        if self.was_cut or self._told == "stopped":
            return
        self.was_cut = True
        self._given -= len(self._waiting)
        self._waiting.clear()
        self._taken.set()
        if self in self._speaker.queue:
            self._speaker.queue.remove(self)
        if self._told:
            await self.tell("cleared")

    def take(self, size: int) -> bytes:
        """Return the next samples, of so many bytes at most."""
        audio = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._taken.set()
        return audio

    async def tell(self, change: str) -> None:
        """Tell the client, once for each change."""
        if self._told != change:
            self._told = change
            await self._speaker.send(event(f"output_audio_buffer.{change}", response_id=self._response_id))
