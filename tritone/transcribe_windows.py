"""Driving a recording's windows through a model: a few at once, answers in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from tritone.transcript import Segment, Transcript
from tritone.windowing import Window

IN_FLIGHT: Final = 4
"""Windows of one recording at the model at once, so that a long one does not crowd out the others."""
AUTO: Final = "auto"

_CONFIDENT: Final = 0.5
"""A language detected with this probability is the recording's."""
_UNSURE: Final = 0.5
"""Text sampled above this temperature is no guide for what follows."""
_DETECTIONS: Final = 3
"""After so many doubtful windows the likeliest language among them is taken."""

TranscribeWindow = Callable[[Window, str, bool], Awaitable[Transcript]]
"""Asks a model: a window, its language (one, `auto`, or candidates with commas between), whether it may wait."""


@dataclass(frozen=True)
class WindowTranscript:
    """What was heard in one window; its segments stand in the recording's own time."""

    start: float
    """Seconds from the recording's start to the window's."""
    seconds: float
    """The window's length."""
    language: str
    segments: tuple[Segment, ...]
    language_probability: float = 1.0


def next_prompt(segments: Iterable[Segment], before: str = "") -> str:
    """The text that may guide the ear for what follows `segments`: all of it since what the model was unsure of."""
    for segment in segments:
        before = "" if segment.temperature > _UNSURE else before + segment.text
    return before


async def transcribe_windows(
    windows: AsyncGenerator[Window], hear: TranscribeWindow, language: str, *, in_flight: int = IN_FLIGHT
) -> AsyncGenerator[WindowTranscript]:
    """The passages of a recording in order, each as soon as it and those before it are there.

    With `auto`, or several candidates, windows go one by one until the language is known, which is then told with the
    rest; with an `in_flight` of 1 all do. The first window goes ahead of other recordings' rest, and its own rest may
    wait for others. When a window fails, or the generator is closed, the calls still open are
    cancelled; `windows` is closed with it.
    """
    known = _Language(language)
    background = False
    calls: deque[asyncio.Task[WindowTranscript]] = deque()
    fetching: asyncio.Task[Window | None] | None = None
    exhausted = False
    try:
        while True:
            if not fetching and not exhausted and len(calls) < (in_flight if known.settled else 1):
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
                    calls.append(asyncio.create_task(_passage(window, hear, known, background)))
                    background = True
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
        return self.name != AUTO and "," not in self.name

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


async def _passage(window: Window, hear: TranscribeWindow, language: _Language, background: bool) -> WindowTranscript:
    transcript = await hear(window, language.name, background)
    language.learn(transcript)
    segments = tuple(_within(window.seconds, segment).shifted(window.start_seconds) for segment in transcript.segments)
    return WindowTranscript(
        window.start_seconds, window.seconds, transcript.language, segments, transcript.language_probability
    )


def _within(seconds: float, segment: Segment) -> Segment:
    """`segment` without times after the window's end, for models hear it padded, and without space after its text."""
    words = tuple(replace(word, start=min(word.start, seconds), end=min(word.end, seconds)) for word in segment.words)
    start, end = min(segment.start, seconds), min(segment.end, seconds)
    return replace(segment, start=start, end=end, text=segment.text.rstrip(), words=words)
