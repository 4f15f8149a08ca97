"""The speech in a turn that is not over, for the text that is sent meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import numpy as np

from gateway.openai.realtime.session_config import TurnDetection
from gateway.openai.realtime.turn_detector import TurnDetector, TurnEnded
from tritone.transcript import Transcript
from tritone.windowing import Samples, SpeechDetector

_MOST_ENDED: Final = 20
"""Pieces that may wait for their text; beyond it the oldest get none before the turn's end."""


class DetectedTurn:
    """The open turn of a detector."""

    def __init__(self, detector: TurnDetector, heard: Callable[[Transcript, int], Awaitable[None]] | None) -> None:
        """`heard` is told the transcript of the turn's first samples, and their number."""
        self._detector = detector
        self._heard = heard
        self._pauses = detector.pauses
        self._paused = asyncio.Event()

    @property
    def samples(self) -> Samples:
        """The turn so far."""
        return self._detector.samples

    @property
    def spoken(self) -> int:
        """The samples up to the end of the last speech."""
        return self._detector.spoken

    @property
    def paused(self) -> bool:
        """Whether the turn may be over."""
        return self._detector.paused

    def take_ended(self) -> list[Samples]:
        """Return nothing: such a turn is one piece."""
        return []

    def notice_pause(self) -> None:
        """End `wait`, if the speaker has paused."""
        if self._detector.pauses > self._pauses:
            self._pauses = self._detector.pauses
            self._paused.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait until the speaker pauses, or so long, if that is not None."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._paused.wait()
        self._paused.clear()

    async def hear(self, transcript: Transcript, samples: int) -> None:
        """Take the transcript of the first samples."""
        if self._heard:
            await self._heard(transcript, samples)


class CommittedTurn:
    """A turn that the client will commit, divided into pieces of speech; silence has no text."""

    def __init__(self, detect: SpeechDetector) -> None:
        self._detector = TurnDetector(detect)
        self._detector.detection = TurnDetection()
        self._ended: deque[Samples] = deque(maxlen=_MOST_ENDED)
        self.has_speech = False
        """Whether there has been speech in the turn."""

    def feed(self, samples: Samples) -> None:
        """Add samples. Runs a network: call it in a thread."""
        for change in self._detector.feed(samples):
            self.has_speech = True
            if isinstance(change, TurnEnded):
                self._ended.append(change.samples)

    @property
    def samples(self) -> Samples:
        """The piece of speech that has not ended."""
        return self._detector.samples if self._detector.in_turn else np.empty(0, np.float32)

    @property
    def spoken(self) -> int:
        """The samples of this piece up to the end of its last speech."""
        return self._detector.spoken if self._detector.in_turn else 0

    @property
    def paused(self) -> bool:
        """False: the client ends such a turn, and its text is that of all its pieces."""
        return False

    async def wait(self, seconds: float | None) -> None:
        """Wait so long; None: for ever."""
        await (asyncio.sleep(seconds) if seconds is not None else asyncio.Future())

    async def hear(self, transcript: Transcript, samples: int) -> None:
        """Pass over the transcript: the client ends such a turn."""

    def take_ended(self) -> list[Samples]:
        """Return the pieces that have ended since the last call."""
        return [self._ended.popleft() for _ in range(len(self._ended))]
