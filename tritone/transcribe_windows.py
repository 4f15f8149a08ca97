"""Split a recording into windows and transcribe them with a model: a few at once, results in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Final

from tritone.contract import WINDOW_SECONDS
from tritone.languages import is_auto
from tritone.transcript import Segment, Transcript
from tritone.windowing import DEFAULT_VAD, Samples, SpeechDetector, VadOptions, Window, split_step_by_step
from tritone.word_times import ordered_times

IN_FLIGHT: Final = 4
"""The most windows of one recording at the model at once, so that a long recording does not block the others."""

_SLICE: Final = 0.1
"""Seconds that a recording keeps a thread."""
_CONFIDENT: Final = 0.5
"""A language detected with this probability is taken as the recording's."""
_UNSURE: Final = 0.5
"""Text that was sampled above this temperature is too unreliable to be a prompt."""
_DETECTIONS: Final = 3
"""After this many windows with a doubtful language, the most probable of these languages is taken."""

TranscribeWindow = Callable[[Window, str, bool], Awaitable[Transcript]]
"""Calls a model with a window, its language (one, `auto`, or candidates separated by commas), and whether the window
may wait behind other recordings."""


@dataclass(frozen=True)
class WindowTranscript:
    """The transcript of one window; its segments have the recording's times."""

    start: float
    """Seconds from the recording's start to the window's start."""
    seconds: float
    """The window's length."""
    language: str
    segments: tuple[Segment, ...]
    language_probability: float = 1.0


def next_prompt(segments: Iterable[Segment], before: str = "") -> str:
    """Return the prompt for the audio that follows `segments`: `before` and their text, joined.

    An unreliable segment, sampled at a high temperature, discards the text up to its end. A segment without a
    temperature counts as reliable.
    """
    for segment in segments:
        before = "" if (segment.temperature or 0) > _UNSURE else before + segment.text
    return before


async def iter_windows(
    blocks: Iterable[Samples],
    detect: SpeechDetector,
    options: VadOptions = DEFAULT_VAD,
    *,
    window_seconds: int = WINDOW_SECONDS,
    stop: Callable[[], None] | None = None,
    threads: Executor | None = None,
) -> AsyncGenerator[Window]:
    """Yield the windows of the recording in `blocks`; each is read and cut in a worker thread, when it is wanted.

    `window_seconds` as in `split_at_silence`. `threads`: those that read; None: the event loop's own. A recording gives
    its thread to the others after a tenth of a second of work, whether a window was found or not.

    Once the generator is closed, no thread reads `blocks` any more: closing calls `stop`, which may end `blocks` early,
    waits for a step that is still running, and closes `blocks` if it is a generator.
    """
    steps = split_step_by_step(blocks, detect, options, window_seconds)
    step: asyncio.Future[Sequence[Window] | None] | None = None
    try:
        while True:
            step = asyncio.get_running_loop().run_in_executor(threads, _advance, steps)
            found = await asyncio.shield(step)
            if found is None:
                return
            for window in found:
                yield window
    finally:
        if stop:
            stop()
        try:
            if step:
                await _join(step)
        finally:
            steps.close()
            if isinstance(blocks, Generator):
                blocks.close()


def _advance(steps: Iterator[Sequence[Window]]) -> Sequence[Window] | None:
    """Return the next windows, none if the thread's time is over before one is found; None at the recording's end."""
    begun = time.monotonic()
    for found in steps:
        if found or time.monotonic() - begun >= _SLICE:
            return found
    return None


async def _join(step: asyncio.Future[Any]) -> None:
    """Wait until `step` is done, whatever its result; a cancellation meanwhile takes effect afterwards."""
    cancelled = False
    while not step.done():
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError:
            cancelled = True
    step.exception()
    if cancelled:
        raise asyncio.CancelledError


async def transcribe_windows(
    windows: AsyncGenerator[Window],
    transcribe: TranscribeWindow,
    language: str,
    *,
    in_flight: int = IN_FLIGHT,
    done: Sequence[WindowTranscript] = (),
    background: bool = False,
) -> AsyncGenerator[WindowTranscript]:
    """Yield the transcripts of a recording's windows in order, each as soon as it and those before it are done.

    With `auto` or several candidates, windows are sent one at a time until the language is known, and the rest with
    that language; with an `in_flight` of 1 all are sent one at a time. The first window does not wait behind other
    recordings, unless the whole recording is in the `background`; the later ones may. `done` are the transcripts of
    the windows before the first of `windows`. However slow the caller is, either every window comes, or an error. When
    a window fails, or the generator is closed, the open calls are cancelled and `windows` is closed.
    """
    known = _Language(language, done)
    calls: deque[asyncio.Task[WindowTranscript]] = deque()
    fetching: asyncio.Task[Window | None] | None = None
    exhausted = False
    try:
        while True:
            # Any of them may have finished while the caller was busy with the last transcript.
            for task in filter(None, (fetching, *calls)):
                if task.done():
                    task.result()
            if calls and calls[0].done():
                yield calls.popleft().result()
            elif fetching and fetching.done():
                window, fetching = fetching.result(), None
                if window is None:
                    exhausted = True
                else:
                    calls.append(asyncio.create_task(_transcribed(window, transcribe, known, background)))
                    background = True
            else:
                if not fetching and not exhausted and len(calls) < (in_flight if known.is_fixed else 1):
                    fetching = asyncio.create_task(_next(windows))
                unfinished = [task for task in (fetching, *calls) if task and not task.done()]
                if not unfinished:
                    return
                await asyncio.wait(unfinished, return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks = [task for task in (fetching, *calls) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await windows.aclose()


class _Language:
    """The recording's language: given by the caller, or detected in the first windows that contain words."""

    def __init__(self, given: str, done: Sequence[WindowTranscript] = ()) -> None:
        self.name = given
        self._doubtful: list[tuple[float, str]] = []
        self._undetected = False
        for transcript in done:
            self.learn(transcript)

    @property
    def is_fixed(self) -> bool:
        """True for one language, and where the model detects none; else False for `auto` and several candidates."""
        return self._undetected or (not is_auto(self.name) and "," not in self.name)

    def learn(self, transcript: Transcript | WindowTranscript) -> None:
        """Fix the language of `transcript` if it is confident, or after some doubtful ones the most probable."""
        if self.is_fixed or not transcript.segments:
            return
        if not transcript.language:
            self._undetected = True
            return
        self._doubtful.append((transcript.language_probability, transcript.language))
        probability, most_probable = max(self._doubtful)
        if probability >= _CONFIDENT or len(self._doubtful) == _DETECTIONS:
            self.name = most_probable


async def _next(windows: AsyncGenerator[Window]) -> Window | None:
    return await anext(windows, None)


async def _transcribed(
    window: Window, transcribe: TranscribeWindow, language: _Language, background: bool
) -> WindowTranscript:
    transcript = await transcribe(window, language.name, background)
    language.learn(transcript)
    timed = ordered_times(transcript.segments, window.seconds)
    segments = tuple(replace(s, text=s.text.rstrip()).shifted(window.start_seconds) for s in timed)
    return WindowTranscript(
        window.start_seconds, window.seconds, transcript.language, segments, transcript.language_probability
    )
