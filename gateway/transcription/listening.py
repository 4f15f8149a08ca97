"""Driving a recording's windows through a model: a few at once, answers in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.audio.decoding import Recording, cleaned
from tritone.contract import PRIORITY_FIRST, PRIORITY_REST
from tritone.transcript import Segment, Transcript
from tritone.windows import Detect, Window, cut

IN_FLIGHT: Final = 4
"""Windows of one recording at the model at once, so that a long one does not crowd out the others."""
AUTO: Final = "auto"

_CONFIDENT: Final = 0.5
"""A language detected with this probability is the recording's."""
_DETECTIONS: Final = 3
"""After so many doubtful windows the likeliest language among them is taken."""

Hear = Callable[[Window, str, int], Awaitable[Transcript]]
"""Asks a model: a window, its language or `auto`, Triton's priority."""


@dataclass(frozen=True)
class Passage:
    """What was heard in one window; its segments stand in the recording's own time."""

    start: float
    """Seconds from the recording's start to the window's."""
    seconds: float
    """The window's length."""
    language: str
    segments: tuple[Segment, ...]


async def windows_of(recording: Recording, detect: Detect) -> AsyncGenerator[Window]:
    """Decode and cut in worker threads, a window each time that one is asked for.

    Once the generator is closed, no thread reads the recording's file any more.
    """
    blocks = recording.blocks()
    windows = cut(map(cleaned, blocks), detect)
    step = None
    try:
        while True:
            step = asyncio.create_task(asyncio.to_thread(next, windows, None))
            window = await asyncio.shield(step)
            if window is None:
                return
            yield window
    finally:
        recording.stop()
        if step:
            await asyncio.wait([step])
        windows.close()
        blocks.close()


async def listen(windows: AsyncGenerator[Window], hear: Hear, language: str) -> AsyncGenerator[Passage]:
    """The passages of a recording in order, each as soon as it and those before it are there.

    With `auto` windows go one by one until the language is known, which is then told with the rest. When a window
    fails, or the generator is closed, the calls still open are cancelled; `windows` is closed with it.
    """
    known = _Language(language)
    priority = PRIORITY_FIRST
    calls: deque[asyncio.Task[Passage]] = deque()
    fetching: asyncio.Task[Window | None] | None = None
    exhausted = False
    try:
        while True:
            if not fetching and not exhausted and len(calls) < (IN_FLIGHT if known.settled else 1):
                fetching = asyncio.create_task(_next(windows))
            unfinished = [task for task in (fetching, *calls) if task and not task.done()]
            if not unfinished:
                return
            done, _ = await asyncio.wait(unfinished, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if fetching and fetching.done():
                window, fetching = fetching.result(), None
                if window is None:
                    exhausted = True
                else:
                    calls.append(asyncio.create_task(_passage(window, hear, known, priority)))
                    priority = PRIORITY_REST
            while calls and calls[0].done():
                yield calls.popleft().result()
    finally:
        tasks = [task for task in (fetching, *calls) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await windows.aclose()


class _Language:
    """What a recording's language is known to be, from the caller or from the first windows with words in them."""

    def __init__(self, given: str) -> None:
        self.name = given
        self._doubtful: list[tuple[float, str]] = []

    @property
    def settled(self) -> bool:
        return self.name != AUTO

    def learn(self, transcript: Transcript) -> None:
        """Take the language of `transcript` if it is sure, or the likeliest after some that were not."""
        if self.settled or not transcript.segments:
            return
        self._doubtful.append((transcript.language_probability, transcript.language))
        probability, likeliest = max(self._doubtful)
        if probability >= _CONFIDENT or len(self._doubtful) == _DETECTIONS:
            self.name = likeliest


async def _next(windows: AsyncGenerator[Window]) -> Window | None:
    return await anext(windows, None)


async def _passage(window: Window, hear: Hear, language: _Language, priority: int) -> Passage:
    transcript = await hear(window, language.name, priority)
    language.learn(transcript)
    segments = tuple(_within(window.seconds, segment).shifted(window.start_seconds) for segment in transcript.segments)
    return Passage(window.start_seconds, window.seconds, transcript.language, segments)


def _within(seconds: float, segment: Segment) -> Segment:
    """`segment` without times after the window's end, for models hear it padded, and without space after its text."""
    words = tuple(replace(word, start=min(word.start, seconds), end=min(word.end, seconds)) for word in segment.words)
    start, end = min(segment.start, seconds), min(segment.end, seconds)
    return replace(segment, start=start, end=end, text=segment.text.rstrip(), words=words)
