"""Driving a recording's windows through a model: a few at once, answers in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.transcription.decoding import Recording
from tritone.contract import PRIORITY_FIRST, PRIORITY_REST
from tritone.transcript import Segment, Transcript, Word
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
    windows = cut(blocks, detect)
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
    calls: deque[asyncio.Task[Passage]] = deque()
    fetching: asyncio.Task[Window | None] | None = None
    exhausted = False
    priority = PRIORITY_FIRST
    try:
        while True:
            if not (fetching or exhausted) and len(calls) < (IN_FLIGHT if known.settled else 1):
                fetching = asyncio.create_task(_next(windows))
            open_tasks = {*calls, fetching} if fetching else set(calls)
            if not open_tasks:
                return
            done, _ = await asyncio.wait(open_tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if fetching in done:
                window, fetching = fetching.result(), None
                if window is None:
                    exhausted = True
                else:
                    calls.append(asyncio.create_task(_passage(hear, window, known, priority)))
                    priority = PRIORITY_REST
            while calls and calls[0].done():
                yield calls.popleft().result()
    finally:
        tasks = [*calls, fetching] if fetching else [*calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await windows.aclose()
