"""The speech of one clause of a text that is spoken in parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from gateway.core.alignment import find_words
from gateway.core.at_capacity import wait_for_room
from gateway.core.services import Services
from gateway.core.synthesize import SpeechStream, SynthesisRequest, synthesize
from gateway.core.telemetry import WorkTelemetry
from tritone.contract import SPEECH_RATE
from tritone.transcript import Word


class SpokenClause:
    """The speech of one clause, which waits in memory until the clauses before it were sent."""

    def __init__(self, services: Services, request: SynthesisRequest, *, patient: bool, silence: float = 0.0) -> None:
        """`patient`: wait for a model at capacity; the client has audio to play, and an error would end it.

        `silence`: seconds before the speech.
        """
        self.text = request.text
        """Empty: there is no speech."""
        self.finish_reason = "stop"
        self.text_tokens = 0
        self.audio_frames = 0
        self.engine_seconds = 0.0
        self.begun = asyncio.Event()
        """Set at the first audio, or the end."""
        self.timed = asyncio.Event()
        """Set when no more words will come."""
        self.failure: Exception | None = None
        """The reason why the times of words were not found."""
        self._words: list[Word] = []
        self._services = services
        self._request = request
        self._patient = patient
        self.silence = silence
        """Seconds before the speech."""
        self._failed = False
        self._speech: SpeechStream | None = None
        """Until its words have times."""
        self._blocks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    async def run(self, telemetry: WorkTelemetry) -> None:
        """Synthesize it."""
        deadline = time.monotonic() + (self._services.settings.first_audio_timeout if self._patient else 0)
        end: Exception | None = None
        try:
            if self.text:
                await wait_for_room(
                    lambda: self._synthesize(telemetry), deadline, may_repeat=lambda: not self.begun.is_set()
                )
        except Exception as error:
            end = error
        self._failed = end is not None
        self._blocks.put_nowait(end)
        self.begun.set()
        try:
            if self._speech and end is None:
                # The times of the words, if the model did not report them, while the next clause is synthesized.
                self._words += await find_words(self._services, self._speech, self._request, telemetry)
        except Exception as error:
            self.failure = error
        self._speech = None
        self.timed.set()

    def take_words(self) -> list[Word]:
        """Return the words whose times have become known since the last call, in seconds of this clause's audio."""
        taken, self._words = self._words, []
        return taken

    async def _synthesize(self, telemetry: WorkTelemetry) -> None:
        speech = await synthesize(self._services, self._request, telemetry)
        async with aclosing(speech.encoded()) as pieces:
            async for piece in pieces:
                self._words += speech.take_words()
                self._blocks.put_nowait(piece)
                self.begun.set()
        self._words += speech.take_words()
        self._speech = speech
        self.finish_reason = speech.finish_reason
        self.text_tokens, self.audio_frames = speech.text_tokens, speech.audio_frames
        self.engine_seconds = speech.engine_seconds

    def silent_blocks(self) -> Iterator[bytes]:
        """Yield the samples of the silence before it, 16-bit at `SPEECH_RATE`; none if its speech has failed."""
        samples = 0 if self._failed else round(self.silence * SPEECH_RATE)
        for start in range(0, samples, SPEECH_RATE):
            yield bytes(2 * min(SPEECH_RATE, samples - start))

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Yield its samples, 16-bit at `SPEECH_RATE`. Raises the error that ended the synthesis."""
        while (block := await self._blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
