"""Work that waits for a model at capacity."""

from __future__ import annotations

import time

import pytest

from gateway.core import at_capacity
from gateway.core.at_capacity import wait_for_room
from gateway.core.errors import ModelUnavailable, ServiceError, TooManyRequests, VoiceNotFound

FULL = ModelUnavailable("full")
FOREVER = 1e9


class Work:
    """Fails with each of some errors, then succeeds."""

    def __init__(self, *errors: ServiceError) -> None:
        self.errors = [*errors]
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_capacity, "_PAUSE", 0.0)


async def test_work_is_repeated_while_the_model_is_full() -> None:
    work = Work(FULL, FULL)
    assert await wait_for_room(work, time.monotonic() + FOREVER) == "done"
    assert work.calls == 3


@pytest.mark.parametrize("error", [ModelUnavailable("full", retry_after=60), TooManyRequests("yours", 60.0)])
async def test_error_is_raised_if_the_next_try_would_be_too_late(error: ServiceError) -> None:
    work = Work(error)
    with pytest.raises(type(error)):
        await wait_for_room(work, time.monotonic() + 30)
    assert work.calls == 1


async def test_work_that_must_not_be_repeated_fails_at_once() -> None:
    work = Work(FULL)
    with pytest.raises(ModelUnavailable):
        await wait_for_room(work, time.monotonic() + FOREVER, may_repeat=lambda: False)
    assert work.calls == 1


async def test_other_errors_are_raised_at_once() -> None:
    work = Work(VoiceNotFound("no such voice"))
    with pytest.raises(VoiceNotFound):
        await wait_for_room(work, time.monotonic() + FOREVER)
    assert work.calls == 1
