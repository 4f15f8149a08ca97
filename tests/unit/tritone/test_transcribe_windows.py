"""The windows of a recording, transcribed by a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest

from tritone.contract import LISTEN_RATE as RATE
from tritone.transcribe_windows import IN_FLIGHT, TranscribeWindow, WindowTranscript, next_prompt, transcribe_windows
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Window


def segment(text: str, start: float = 0.5, end: float = 2.0) -> Segment:
    """Make a segment as a model might return it."""
    words = tuple(Word(start + i, start + i + 0.5, f" {word}", 0.9) for i, word in enumerate(text.split()))
    return Segment(start, end, text, (1, 2, 3), 0.0, -0.25, 1.5, 0.01, words)


class ModelError(Exception):
    """The failure of a window."""


class Model:
    """A model that answers a window when the test says so, and records its calls; windows are named by their second."""

    def __init__(self) -> None:
        self.called: list[int] = []
        self.languages: list[str] = []
        self.background: list[bool] = []
        self.cancelled: set[int] = set()
        self._answers: dict[int, asyncio.Future[Transcript]] = {}
        self._changed = asyncio.Condition()

    async def transcribe(self, window: Window, language: str, background: bool) -> Transcript:
        name = window.start // RATE
        self._answers[name] = asyncio.get_running_loop().create_future()
        async with self._changed:
            self.called.append(name)
            self.languages.append(language)
            self.background.append(background)
            self._changed.notify_all()
        try:
            return await self._answers[name]
        except asyncio.CancelledError:
            self.cancelled.add(name)
            raise

    async def wait_for_calls(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.called) >= count)

    def answer(self, name: int, language: str = "de", probability: float = 0.9, text: str | None = None) -> None:
        text = f" {name}" if text is None else text
        self._answers[name].set_result(Transcript(language, probability, (segment(text),) if text else ()))

    def fail(self, name: int) -> None:
        self._answers[name].set_exception(ModelError)


async def windows(count: int) -> AsyncGenerator[Window]:
    for i in range(count):
        yield Window(i * RATE, np.zeros(RATE, np.float32))


class Reader:
    """Reads transcripts in a task of its own."""

    def __init__(self, transcripts: AsyncGenerator[WindowTranscript]) -> None:
        self.read: list[str] = []
        self.task = asyncio.create_task(self._run(transcripts))

    async def _run(self, transcripts: AsyncGenerator[WindowTranscript]) -> list[str]:
        async with aclosing(transcripts):
            async for transcript in transcripts:
                self.read += [segment.text for segment in transcript.segments]
        return self.read


async def everything_else() -> None:
    """Let the other tasks run until nothing is left for them to do."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def model() -> Model:
    return Model()


async def test_transcripts_are_in_order_whichever_window_finishes_first(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(4), model.transcribe, "en"))
    await model.wait_for_calls(4)
    for name in (3, 1, 2, 0):
        assert reader.read == []
        model.answer(name)
        await everything_else()  # A transcript that may be read now is read meanwhile.
    assert await reader.task == [" 0", " 1", " 2", " 3"]


async def test_at_most_four_windows_are_in_flight(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.transcribe, "en"))
    for name in range(9):
        await model.wait_for_calls(min(9, name + IN_FLIGHT))
        assert model.called == list(range(min(9, name + IN_FLIGHT)))
        model.answer(name)
    assert len(await reader.task) == 9


async def test_windows_are_sent_one_at_a_time_with_one_in_flight(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.transcribe, "en", in_flight=1))
    for name in range(3):
        await model.wait_for_calls(name + 1)
        assert model.called == list(range(name + 1))
        model.answer(name)
    assert await reader.task == [" 0", " 1", " 2"]


async def test_windows_of_a_model_that_detects_no_language_are_sent_at_once(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(4), model.transcribe, "auto"))
    await model.wait_for_calls(1)
    assert model.called == [0]
    model.answer(0, "", 0.0)
    await model.wait_for_calls(4)
    assert model.languages == ["auto"] * 4
    for name in (1, 2, 3):
        model.answer(name, "", 0.0)
    assert await reader.task == [" 0", " 1", " 2", " 3"]


async def test_candidates_are_sent_until_one_of_them_is_detected(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.transcribe, "en,fr"))
    await model.wait_for_calls(1)
    assert model.called == [0]
    model.answer(0, "fr")
    await model.wait_for_calls(3)
    assert model.languages == ["en,fr", "fr", "fr"]
    for name in (1, 2):
        model.answer(name, "fr")
    await reader.task


async def test_only_the_first_window_may_not_wait_behind_other_recordings(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.transcribe, "en"))
    await model.wait_for_calls(3)
    assert model.background == [False, True, True]
    for name in range(3):
        model.answer(name)
    await reader.task


async def test_language_is_detected_in_the_first_window_and_sent_with_the_others(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(5), model.transcribe, "auto"))
    await model.wait_for_calls(1)
    assert model.called == [0]
    model.answer(0, "fr")
    await model.wait_for_calls(5)
    assert model.languages == ["auto", "fr", "fr", "fr", "fr"]
    for name in range(1, 5):
        model.answer(name, "fr")
    await reader.task


async def test_window_without_words_does_not_set_the_language(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.transcribe, "auto"))
    await model.wait_for_calls(1)
    model.answer(0, "la", 0.99, text="")
    await model.wait_for_calls(2)
    model.answer(1, "fr")
    await model.wait_for_calls(3)
    model.answer(2)
    await reader.task
    assert model.languages == ["auto", "auto", "fr"]


async def test_most_probable_language_is_taken_after_three_doubtful_windows(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(4), model.transcribe, "auto"))
    for name, (language, probability) in enumerate([("cy", 0.2), ("nn", 0.4), ("haw", 0.3)]):
        await model.wait_for_calls(name + 1)
        assert len(model.called) == name + 1
        model.answer(name, language, probability)
    await model.wait_for_calls(4)
    model.answer(3)
    await reader.task
    assert model.languages == ["auto", "auto", "auto", "nn"]


async def test_failed_window_ends_the_recording_and_cancels_the_other_calls(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.transcribe, "en"))
    await model.wait_for_calls(4)
    model.fail(2)
    with pytest.raises(ModelError):
        await reader.task
    assert model.cancelled == {0, 1, 3}
    assert model.called == [0, 1, 2, 3]


async def test_closing_cancels_the_open_calls(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.transcribe, "en"))
    await model.wait_for_calls(4)
    reader.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader.task
    assert model.cancelled == {0, 1, 2, 3}


class SlowReader:
    """Reads a transcript, lets the next window be found, and is busy until all tasks have nothing left to do."""

    def __init__(self, count: int, fails: int | None = None) -> None:
        """The window `fails` cannot be read."""
        self.read: list[str] = []
        self._count, self._fails = count, fails
        self._busy = asyncio.Semaphore(1)

    async def run(self, transcribe: TranscribeWindow, in_flight: int = IN_FLIGHT) -> list[str]:
        async for transcript in transcribe_windows(self._windows(), transcribe, "en", in_flight=in_flight):
            self.read += [segment.text for segment in transcript.segments]
            self._busy.release()
            await everything_else()
        return self.read

    async def _windows(self) -> AsyncGenerator[Window]:
        for i in range(self._count):
            await self._busy.acquire()
            if i == self._fails:
                raise OSError("disk")
            yield Window(i * RATE, np.zeros(RATE, np.float32))


async def name_window(window: Window, language: str, background: bool) -> Transcript:
    return Transcript("en", 1.0, (segment(f" {window.start // RATE}"),))


async def test_slow_reader_gets_every_window() -> None:
    assert await SlowReader(5).run(name_window) == [f" {i}" for i in range(5)]


async def test_slow_reader_gets_the_error_of_the_recording() -> None:
    reader = SlowReader(5, fails=3)
    with pytest.raises(OSError, match="disk"):
        await reader.run(name_window)
    assert reader.read == [" 0", " 1", " 2"]


@pytest.mark.parametrize("in_flight", [1, IN_FLIGHT])
async def test_slow_reader_gets_the_error_of_a_window(in_flight: int) -> None:
    async def transcribe(window: Window, language: str, background: bool) -> Transcript:
        if window.start == 3 * RATE:
            raise ModelError
        return await name_window(window, language, background)

    reader = SlowReader(5)
    with pytest.raises(ModelError):
        await reader.run(transcribe, in_flight)
    assert reader.read == [" 0", " 1", " 2"]


async def test_times_are_from_the_start_of_the_recording_and_end_with_the_window() -> None:
    async def transcribe(window: Window, language: str, background: bool) -> Transcript:
        return Transcript("en", 1.0, (segment(" one two ", 0.25, 29.0),))

    async def late() -> AsyncGenerator[Window]:
        yield Window(100 * RATE, np.zeros(RATE, np.float32))

    (transcript,) = [transcript async for transcript in transcribe_windows(late(), transcribe, "en")]
    (only,) = transcript.segments
    assert (transcript.start, transcript.seconds) == (100.0, 1.0)
    assert (only.start, only.end, only.text) == (100.25, 101.0, " one two")
    assert [(word.start, word.end) for word in only.words] == [(100.25, 100.75), (100.98, 101.0)]


@pytest.mark.parametrize(
    ("temperatures", "prompt"),
    [
        ((0.0, 0.5), "before 0 1"),
        ((0.0, 0.6), ""),
        ((0.6, 0.0), " 1"),
        ((None, None), "before 0 1"),
        ((), "before"),
    ],
)
def test_prompt_is_the_text_since_the_last_unreliable_segment(
    temperatures: tuple[float | None, ...], prompt: str
) -> None:
    segments = [replace(segment(f" {i}"), temperature=value) for i, value in enumerate(temperatures)]
    assert next_prompt(segments, "before") == prompt
