"""The clock of an engine stands still while its thread is kept from computing, and its work is told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.capacity.engine_meter import EngineClock, WorkMeter

WAIT = 120


class FakeScheduler:
    """Has open requests, and a thread that waits for work or is kept from it."""

    def __init__(self) -> None:
        self.requests = 0
        self.work, self.done, self.waits = threading.Event(), threading.Event(), threading.Semaphore(0)

    def load(self) -> SimpleNamespace:
        return SimpleNamespace(active=self.requests, waiting=0)

    def enqueue(self) -> None:
        self.requests += 1

    def wait_for_work(self) -> None:
        self.waits.release()
        assert self.work.wait(WAIT)
        self.work.clear()

    def run(self) -> None:
        self.wait_for_work()
        assert self.done.wait(WAIT)  # the machine does something else
        self.requests -= 1
        self.wait_for_work()


@pytest.fixture
def scheduler() -> Iterator[FakeScheduler]:
    scheduler = FakeScheduler()
    yield scheduler
    scheduler.work.set()


def test_the_clock_runs_while_no_request_is_open_or_the_thread_computes(scheduler: FakeScheduler) -> None:
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    assert scheduler.waits.acquire(timeout=WAIT)
    engine: Any = SimpleNamespace(_stepping=SimpleNamespace(_thread=thread), _scheduler=scheduler)
    clock = EngineClock(engine)
    clock.sleep_until(clock() + 0.01)
    scheduler.enqueue()
    blocked, until = clock(), time.thread_time() + 0.05
    while time.thread_time() < until:
        compute(10)
    assert clock() - blocked < 0.025, "the thread did not compute, though a request was open"
    scheduler.done.set()
    scheduler.work.set()
    assert scheduler.waits.acquire(timeout=WAIT)
    clock.sleep_until(clock() + 0.01)
    scheduler.work.set()
    thread.join(WAIT)


def compute(rounds: int) -> None:
    """Use the CPU."""
    for _ in range(rounds):
        np.ones(20_000).sum()


class FakeStepper:
    """Takes some CPU time for tokens and streams."""

    def prefill(self, tokens_by_slot: Mapping[int, int]) -> None:
        compute(20 + sum(tokens_by_slot.values()))

    def step(self, slots: Sequence[int]) -> None:
        compute(20 * len(slots))


class FakeCodec:
    """Takes some CPU time for frames."""

    def decode(self, slots: Sequence[int], codes: Any) -> None:
        compute(10 * codes.shape[0] * codes.shape[1])


class FakeLoop:
    """Reads a prompt, makes a frame, and decodes a chunk of each stream."""

    def __init__(self) -> None:
        self._stepper, self._codec = FakeStepper(), FakeCodec()
        self.tokens, self.streams = 0, 0

    def step(self) -> None:
        slots = range(self.streams)
        if self.tokens:
            self._stepper.prefill({0: self.tokens})
        self._stepper.step(slots)
        self._codec.decode(slots, np.zeros((len(slots), 2, 16)))


def test_each_kind_of_work_has_its_seconds_and_none_is_lost() -> None:
    loop = FakeLoop()
    engine: Any = SimpleNamespace(_loop=loop)
    meter = WorkMeter(engine)
    began = time.thread_time()
    for loop.tokens, loop.streams in ((32, 1), (32, 2), (11, 2), (0, 2)):
        loop.step()
    took = time.thread_time() - began
    assert [tokens for tokens, _ in meter.prefills] == [32, 32, 11]
    assert {streams: len(seconds) for streams, seconds in meter.frames.items()} == {1: 1, 2: 3}
    assert {frames: len(seconds) for frames, seconds in meter.chunks.items()} == {2: 7}
    metered = sum(seconds for _, seconds in meter.prefills)
    metered += sum(sum(seconds) for kind in (meter.frames, meter.chunks) for seconds in kind.values())
    assert 0.9 * took < metered <= took
    meter.clear()
    assert not any((meter.prefills, meter.frames, meter.chunks))


def test_a_prefill_has_a_part_that_each_piece_takes() -> None:
    engine: Any = SimpleNamespace(_loop=FakeLoop())
    meter = WorkMeter(engine)
    meter.prefills = [(32, 0.005), (64, 0.006), (11, 0.004 + 0.001 * 11 / 32)]
    speeds = meter.speeds(96)
    assert (speeds["piece_seconds"], speeds["prefill_seconds"]) == pytest.approx((0.004, 0.007))
