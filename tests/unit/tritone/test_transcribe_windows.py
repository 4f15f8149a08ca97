"""Windows driven through a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest

from tritone.contract import LISTEN_RATE as RATE
from tritone.transcribe_windows import IN_FLIGHT, WindowTranscript, transcribe_windows
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Window


def segment(text: str, start: float = 0.5, end: float = 2.0) -> Segment:
    """What a model might say of a window."""
    words = tuple(Word(start + i, start + i + 0.5, f" {word}", 0.9) for i, word in enumerate(text.split()))
    return Segment(start, end, text, (1, 2, 3), 0.0, -0.25, 1.5, 0.01, words)


class Refused(Exception):
    """Of the model."""


class Model:
    """Answers a window, named by its start in seconds, when it is told to; and remembers."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.languages: list[str] = []
        self.background: list[bool] = []
        self.cancelled: set[int] = set()
        self._answers: dict[int, asyncio.Future[Transcript]] = {}
        self._news = asyncio.Condition()

    async def hear(self, window: Window, language: str, background: bool) -> Transcript:
        name = window.start // RATE
        self._answers[name] = asyncio.get_running_loop().create_future()
        async with self._news:
            self.asked.append(name)
            self.languages.append(language)
            self.background.append(background)
            self._news.notify_all()
        try:
            return await self._answers[name]
        except asyncio.CancelledError:
            self.cancelled.add(name)
            raise

    async def asked_for(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.asked) >= count)

    def answer(self, name: int, language: str = "de", probability: float = 0.9, text: str | None = None) -> None:
        said = f" {name}" if text is None else text
        self._answers[name].set_result(Transcript(language, probability, (segment(said),) if said else ()))

    def fail(self, name: int) -> None:
        self._answers[name].set_exception(Refused)


async def windows(count: int) -> AsyncGenerator[Window]:
    for i in range(count):
        yield Window(i * RATE, np.zeros(RATE, np.float32))


class Reader:
    """Reads passages in a task of its own."""

    def __init__(self, passages: AsyncGenerator[WindowTranscript]) -> None:
        self.read: list[str] = []
        self.task = asyncio.create_task(self._run(passages))

    async def _run(self, passages: AsyncGenerator[WindowTranscript]) -> list[str]:
        async with aclosing(passages):
            async for passage in passages:
                self.read += [segment.text for segment in passage.segments]
        return self.read


@pytest.fixture
def model() -> Model:
    return Model()


async def test_passages_come_in_order_whatever_finishes_first(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(4), model.hear, "en"))
    await model.asked_for(4)
    for name in (3, 1, 2, 0):
        assert reader.read == []
        model.answer(name)
        for _ in range(20):  # Whatever would be read now, would be read within these turns of the loop.
            await asyncio.sleep(0)
    assert await reader.task == [" 0", " 1", " 2", " 3"]


async def test_at_most_four_windows_are_at_the_model(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.hear, "en"))
    for name in range(9):
        await model.asked_for(min(9, name + IN_FLIGHT))
        assert model.asked == list(range(min(9, name + IN_FLIGHT)))
        model.answer(name)
    assert len(await reader.task) == 9


async def test_one_in_flight_is_one_after_the_other(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.hear, "en", in_flight=1))
    for name in range(3):
        await model.asked_for(name + 1)
        assert model.asked == list(range(name + 1))
        model.answer(name)
    assert await reader.task == [" 0", " 1", " 2"]


async def test_candidates_are_told_until_one_of_them_is_detected(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.hear, "en,fr"))
    await model.asked_for(1)
    assert model.asked == [0]
    model.answer(0, "fr")
    await model.asked_for(3)
    assert model.languages == ["en,fr", "fr", "fr"]
    for name in (1, 2):
        model.answer(name, "fr")
    await reader.task


async def test_only_the_first_window_goes_ahead_of_other_recordings(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.hear, "en"))
    await model.asked_for(3)
    assert model.background == [False, True, True]
    for name in range(3):
        model.answer(name)
    await reader.task


async def test_the_language_is_detected_by_the_first_window_alone_and_told_to_the_rest(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(5), model.hear, "auto"))
    await model.asked_for(1)
    assert model.asked == [0]
    model.answer(0, "fr")
    await model.asked_for(5)
    assert model.languages == ["auto", "fr", "fr", "fr", "fr"]
    for name in range(1, 5):
        model.answer(name, "fr")
    await reader.task


async def test_a_window_without_words_tells_no_language(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(3), model.hear, "auto"))
    await model.asked_for(1)
    model.answer(0, "la", 0.99, text="")
    await model.asked_for(2)
    model.answer(1, "fr")
    await model.asked_for(3)
    model.answer(2)
    await reader.task
    assert model.languages == ["auto", "auto", "fr"]


async def test_after_three_doubtful_windows_the_likeliest_language_is_taken(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(4), model.hear, "auto"))
    for name, (language, probability) in enumerate([("cy", 0.2), ("nn", 0.4), ("haw", 0.3)]):
        await model.asked_for(name + 1)
        assert len(model.asked) == name + 1
        model.answer(name, language, probability)
    await model.asked_for(4)
    model.answer(3)
    await reader.task
    assert model.languages == ["auto", "auto", "auto", "nn"]


async def test_a_window_that_fails_ends_the_recording_and_cancels_the_others(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.hear, "en"))
    await model.asked_for(4)
    model.fail(2)
    with pytest.raises(Refused):
        await reader.task
    assert model.cancelled == {0, 1, 3}
    assert model.asked == [0, 1, 2, 3]


async def test_leaving_cancels_what_is_at_the_model(model: Model) -> None:
    reader = Reader(transcribe_windows(windows(9), model.hear, "en"))
    await model.asked_for(4)
    reader.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader.task
    assert model.cancelled == {0, 1, 2, 3}


async def test_times_are_the_recordings_and_end_with_the_window() -> None:
    async def hear(window: Window, language: str, background: bool) -> Transcript:
        return Transcript("en", 1.0, (segment(" one two ", 0.25, 29.0),))

    async def late() -> AsyncGenerator[Window]:
        yield Window(100 * RATE, np.zeros(RATE, np.float32))

    (passage,) = [passage async for passage in transcribe_windows(late(), hear, "en")]
    (heard,) = passage.segments
    assert (passage.start, passage.seconds) == (100.0, 1.0)
    assert (heard.start, heard.end, heard.text) == (100.25, 101.0, " one two")
    assert [(word.start, word.end) for word in heard.words] == [(100.25, 100.75), (101.0, 101.0)]
