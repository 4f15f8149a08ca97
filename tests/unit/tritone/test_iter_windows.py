"""Windows that are read and cut in worker threads, when they are wanted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import numpy as np
import pytest
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE as RATE
from tritone.transcribe_windows import iter_windows
from tritone.windowing import FRAME, Samples, VadOptions, split_at_silence

WAIT = 300
"""Seconds after which a test that hangs fails."""


def probability(frames: Samples) -> NDArray[np.float32]:
    """Read the probability of speech off the samples."""
    return frames[:, 0]


def script(*parts: tuple[float, float]) -> Samples:
    """Make PCM of (probability, seconds) stretches, in whole frames."""
    return np.concatenate([np.full(round(s * RATE / FRAME) * FRAME, p, np.float32) for p, s in parts])


SENTENCE = script((0.9, 9), (0.0, 1))


class SlowBlocks:
    """Blocks whose reading waits for `go_on`; counts the blocks read."""

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.read = 0
        self.stopped = self.closed = False

    def stop(self) -> None:
        self.stopped = True

    def blocks(self) -> Generator[Samples]:
        try:
            while not self.stopped:
                self.reading.set()
                assert self.go_on.wait(WAIT)
                self.read += 1
                yield SENTENCE
        finally:
            self.closed = True


async def test_windows_are_those_of_split_at_silence() -> None:
    blocks, options = [script((0.4, 3), (0.0, 30), (0.9, 5), (0.0, 2))], VadOptions(threshold=0.3, pad_before=1.0)
    found = [window async for window in iter_windows(blocks, probability, options)]
    expected = list(split_at_silence(blocks, probability, options))
    assert [(window.start, len(window.samples)) for window in found] == [(w.start, len(w.samples)) for w in expected]
    assert len(found) == 2


async def test_blocks_are_read_in_another_thread_and_no_further_than_wanted() -> None:
    threads: list[int] = []

    def endless() -> Iterator[Samples]:
        while True:
            threads.append(threading.get_ident())
            yield SENTENCE

    async with aclosing(iter_windows(endless(), probability)) as windows:
        assert threads == []
        await anext(windows)
        assert len(threads) * 10 <= 30 + 10
        await anext(windows)
        assert len(threads) * 10 <= 60 + 10
    assert threading.get_ident() not in threads


async def test_long_recording_gives_its_thread_to_others_before_it_has_a_window() -> None:
    stopped = threading.Event()

    def silent() -> Iterator[Samples]:
        while not stopped.is_set():
            yield np.zeros(RATE, np.float32)

    with ThreadPoolExecutor(1) as threads:
        endless = iter_windows(silent(), probability, stop=stopped.set, threads=threads)
        searching = asyncio.ensure_future(anext(endless))
        async with asyncio.timeout(WAIT):
            short = [window async for window in iter_windows([SENTENCE], probability, threads=threads)]
        assert len(short) == 1
        assert not searching.done()
        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching
    assert stopped.is_set()


async def test_cancellation_takes_effect_only_when_no_thread_reads_the_blocks() -> None:
    slow = SlowBlocks()
    windows = iter_windows(slow.blocks(), probability, stop=slow.stop)
    fetching = asyncio.ensure_future(anext(windows))
    assert await asyncio.to_thread(slow.reading.wait, WAIT)
    for _ in range(3):  # a second cancellation does not cut the wait short
        fetching.cancel()
        done, _ = await asyncio.wait([fetching], timeout=0)
        assert not done
        await asyncio.sleep(0)
    assert slow.stopped
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert slow.closed
    assert slow.read == 1


async def test_closing_between_windows_stops_and_closes_the_blocks() -> None:
    slow = SlowBlocks()
    slow.go_on.set()
    windows = iter_windows(slow.blocks(), probability, stop=slow.stop)
    await anext(windows)
    assert not slow.closed
    await windows.aclose()
    assert slow.stopped
    assert slow.closed


async def test_error_of_the_blocks_is_raised_and_closes_the_generator() -> None:
    def broken() -> Iterator[Samples]:
        yield SENTENCE
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        async for _ in iter_windows(broken(), probability):
            pass


async def test_error_of_a_step_that_is_no_longer_wanted_is_dropped() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def fail_slowly(block: Samples) -> Samples:
        reading.set()
        assert go_on.wait(WAIT)
        raise OSError("disk")

    fetching = asyncio.ensure_future(anext(iter_windows(map(fail_slowly, [SENTENCE]), probability)))
    assert await asyncio.to_thread(reading.wait, WAIT)
    fetching.cancel()
    await asyncio.wait([fetching], timeout=0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
