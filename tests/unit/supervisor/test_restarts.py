"""A part that dies is started again after a pause that grows, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from supervisor import restarts
from supervisor.errors import StartError
from supervisor.processes import ProcessDiedError
from supervisor.restarts import Backoff, before, kept, together


class Clock:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def failures(backoff: Backoff, clock: Clock, *seconds: float) -> Iterator[float]:
    for each in seconds:
        backoff.ready()
        clock.now += each
        yield backoff.fail("SIGKILL")


def test_the_pause_grows_with_every_quick_failure(clock: Clock) -> None:
    assert list(failures(Backoff(), clock, *[59] * 8)) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_first_pause_can_be_none(clock: Clock) -> None:
    assert list(failures(Backoff(at_once=True), clock, *[1] * 4)) == [0, 1, 2, 4]


def test_a_minute_of_service_begins_the_pauses_anew(clock: Clock) -> None:
    assert list(failures(Backoff(), clock, 1, 1, 60, 1)) == [1, 2, 1, 2]


def test_a_start_that_fails_is_a_quick_failure_however_long_it_takes(clock: Clock) -> None:
    backoff = Backoff()
    assert list(failures(backoff, clock, 1)) == [1]
    clock.now += 1000
    assert backoff.fail("not ready") == 2
    assert backoff.failures == ["SIGKILL", "not ready"]


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "PAUSES", (0.0,))


class Script:
    """Runs that end with these errors, after they served; `StartError` and an abort end a run before."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = iter(errors)
        self.runs = 0

    async def __call__(self, ready: Callable[[], None]) -> NoReturn:
        self.runs += 1
        error = next(self.errors, None)
        if not (isinstance(error, StartError) or getattr(error, "reason", "") == "SIGABRT"):
            ready()
        if error:
            raise error
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.usefixtures("_no_pause")
async def test_a_part_is_started_again_until_it_has_died_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    killed = ProcessDiedError("triton was killed by SIGKILL\n  the last line", "SIGKILL")
    script = Script(killed, StartError("not started: weights are damaged"), killed)
    async with kept("triton", script, 2) as part:
        with pytest.raises(ProcessDiedError) as died:
            await part.task
    assert script.runs == 3
    reasons = "SIGKILL, weights are damaged, SIGKILL"
    assert str(died.value) == f"triton died 3 times without a minute of service: {reasons}\n  the last line"
    assert capsys.readouterr().err.splitlines() == [
        "triton died (SIGKILL), restarting in 0 s",
        "  the last line",
        "triton died (weights are damaged), restarting in 0 s",
    ]


async def test_a_part_that_never_served_is_not_started_again() -> None:
    script = Script(StartError("not started: weights are damaged"))
    async with kept("triton", script, 2) as part:
        with pytest.raises(StartError, match="weights are damaged"):
            await part.serving()
    assert script.runs == 1


@pytest.mark.usefixtures("_no_pause")
async def test_a_part_that_aborts_before_it_served_is_started_again() -> None:
    script = Script(ProcessDiedError("triton was killed by SIGABRT\n  what(): lock_exception", "SIGABRT"))
    async with kept("triton", script, 2) as part:
        await part.serving()
    assert script.runs == 2


@pytest.mark.usefixtures("_no_pause")
async def test_a_part_that_aborts_at_every_start_is_given_up() -> None:
    script = Script(*[ProcessDiedError("triton was killed by SIGABRT\n  what()", "SIGABRT") for _ in range(4)])
    async with kept("triton", script, 2) as part:
        with pytest.raises(ProcessDiedError, match="triton died 3 times without a minute of service: SIGABRT, SIGABRT"):
            await part.serving()
    assert script.runs == 3


async def test_a_part_without_restarts_ends_at_its_first_death() -> None:
    async with kept("gateway", Script(ProcessDiedError("gateway ended", "status 1")), 0) as part:
        with pytest.raises(ProcessDiedError, match="gateway died 1 times without a minute of service: status 1"):
            await part.task


async def test_work_ends_with_the_error_of_a_part_that_ends_before() -> None:
    async def fail() -> NoReturn:
        raise ProcessDiedError("triton died")

    with pytest.raises(ProcessDiedError):
        await before(asyncio.Event().wait(), asyncio.create_task(fail()))


async def test_the_first_error_cancels_the_other_works() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ProcessDiedError("triton died")

    with pytest.raises(ProcessDiedError, match="triton died"):
        await together(wait(), fail())
    assert cancelled.is_set()
