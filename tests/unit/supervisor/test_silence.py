"""A process that lives and does not serve is noticed, and a busy or a debugged one is left alone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

import pytest

from supervisor import silence as module
from supervisor.process_state import ProcessState
from supervisor.silence import silence

PID = 4711
LONG = 1000


class Process:
    """A process at each look: a letter of its state and its CPU seconds since the look before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: Iterator[tuple[str, float]] = itertools.repeat(("S", 0.0))
        self.count = 0
        self._cpu = 100.0
        monkeypatch.setattr(ProcessState, "read", self._read)
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
        monkeypatch.setattr(module, "_LEAST_CPU", 50.0)  # times a look: 0.05 seconds

    def _read(self, pid: int) -> ProcessState:
        assert pid == PID
        state, used = ("S", 0.0) if self.count == 0 else next(self.looks)
        self.count += 1
        self._cpu += used
        return ProcessState(state, 1, self._cpu, 0)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the process wait for so many seconds for a CPU between two looks; without a call it never waits."""
    waited = itertools.repeat(0.0)
    monkeypatch.setattr(module, "waiting_seconds", lambda pid: next(waited))

    def each_look(seconds: float) -> None:
        nonlocal waited
        waited = (seconds * look for look in itertools.count())  # type: ignore[assignment]

    return each_look


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


async def never() -> bool:
    await asyncio.Event().wait()
    return True


async def at_once() -> bool:
    return True


async def unreachable() -> bool:
    return False


async def judged(process: Process, **options: bool) -> tuple[str, int]:
    """Return the reason, and the number of looks at a process that never answers."""
    async with asyncio.timeout(300):
        reason = await silence(never, [PID], **options)
    return reason, process.count - 1


async def test_a_process_without_an_answer_is_silent_after_six_looks(process: Process) -> None:
    process.looks = itertools.repeat(("R", 1.0))
    assert await judged(process) == ("no answer for 0.006 s", 6)


async def test_a_process_out_of_reach_is_silent_too(process: Process) -> None:
    async with asyncio.timeout(300):
        assert await silence(unreachable, [PID]) == "no answer for 0.006 s"
    assert process.count - 1 == 6


@pytest.mark.parametrize("answers", [never, at_once])
async def test_a_stopped_process_is_noticed_at_the_second_look(
    process: Process, answers: Callable[[], Awaitable[bool]]
) -> None:
    process.looks = itertools.repeat(("T", 0.0))
    async with asyncio.timeout(300):
        assert await silence(answers, [PID], may_be_busy=True) == "stopped by a signal"
    assert process.count - 1 == 2


async def test_a_model_without_an_answer_and_without_progress_is_silent(process: Process) -> None:
    process.looks = itertools.chain([("R", 0.06)] * 50, itertools.repeat(("S", 0.04)))
    assert await judged(process, may_be_busy=True) == ("no answer for 0.056 s", 56)


async def test_a_model_that_gets_no_cpu_from_busy_neighbours_is_silent_after_ten_minutes(
    process: Process, waits: Callable[[float], None]
) -> None:
    process.looks = itertools.repeat(("R", 0.0))
    waits(0.06)
    assert (await judged(process, may_be_busy=True))[1] == 120


async def test_a_model_that_waits_for_its_memory_is_not_silent(process: Process) -> None:
    process.looks = itertools.chain([("D", 0.0)] * 50, itertools.repeat(("S", 0.0)))
    assert (await judged(process, may_be_busy=True))[1] == 56


async def test_a_model_that_computes_without_an_answer_is_silent_after_ten_minutes(process: Process) -> None:
    process.looks = itertools.repeat(("R", 1.0))
    assert (await judged(process, may_be_busy=True))[1] == 120


async def test_a_process_that_is_debugged_is_not_judged(process: Process) -> None:
    process.looks = itertools.chain([("t", 0.0)] * LONG, itertools.repeat(("S", 0.0)))
    assert (await judged(process))[1] == LONG + 6


async def test_a_process_that_answers_is_never_silent(process: Process) -> None:
    looked = asyncio.Event()

    def looks() -> Iterator[tuple[str, float]]:
        yield from [("S", 0.0)] * LONG
        looked.set()
        yield from itertools.repeat(("S", 0.0))

    process.looks = looks()
    judging = asyncio.create_task(silence(at_once, [PID]))
    async with asyncio.timeout(300):
        await looked.wait()
    assert not judging.done()
    judging.cancel()


async def test_an_answer_begins_the_count_anew(process: Process) -> None:
    answers = itertools.chain([False] * 5, [True], itertools.repeat(False))

    async def sometimes() -> bool:
        return next(answers)

    async with asyncio.timeout(300):
        assert await silence(sometimes, [PID]) == "no answer for 0.006 s"
    assert process.count - 1 == 12


async def test_one_process_of_several_without_progress_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = {1: itertools.count(0, 1), 2: itertools.repeat(0)}
    monkeypatch.setattr(ProcessState, "read", lambda pid: ProcessState("S", 1, float(next(cpu[pid])), 0))
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    async with asyncio.timeout(300):
        assert await silence(never, [1, 2], may_be_busy=True) == "no answer for 0.006 s"
