"""Admission to a model: what would be too late is rejected at once, and one caller does not fill the queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

import gateway.core.admission as admission
from gateway.core.admission import Admission, Work
from gateway.core.errors import ModelAtCapacity, ModelTooSlow, ModelUnavailable, TooManyRequests
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import FakeSpeech, Serve

SPEECH = "/v1/audio/speech"
HELLO = {"model": "tts-1", "input": "Hello there.", "response_format": "pcm"}
MODEL = "kokoro-82m"


class Clock:
    """The clock of the estimates."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(admission, "time", clock)
    return clock


@pytest.fixture
def limits() -> Admission:
    return Admission(max_wait=30.0, work_timeout=600.0, share=0.5)


async def serve_some(limits: Admission, clock: Clock, seconds: float, audio: float = 0.0) -> None:
    """Serve four requests at once, one result every so many seconds."""
    for work in [await limits.admit(MODEL, "other", audio) for _ in range(4)]:
        with work:
            clock.now += seconds
            work.progress(audio)


async def admitted(limits: Admission, callers: int) -> list[Work]:
    """Return the places of the requests that are admitted, each of another caller."""
    requests = (limits.admit(MODEL, f"caller {number}") for number in range(callers))
    results = [(await asyncio.gather(request, return_exceptions=True))[0] for request in requests]
    assert all((error.retry_after or 0) >= 15 for error in results if isinstance(error, ModelUnavailable))
    return [work for work in results if isinstance(work, Work)]


@pytest.mark.parametrize(("seconds", "count"), [(0.1, 64), (1.9, 15), (60.0, 2)])
async def test_as_many_wait_as_can_be_in_time(limits: Admission, clock: Clock, seconds: float, count: int) -> None:
    await serve_some(limits, clock, seconds)
    assert len(await admitted(limits, 64)) == count


async def test_one_slow_request_alone_does_not_show_the_pace(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 0.1)
    with await limits.admit(MODEL, "first after a pause") as work:
        clock.now += 300
        work.progress()
    assert len(await admitted(limits, 64)) == 64


async def test_what_a_model_does_at_once_counts_as_its_pace(limits: Admission, clock: Clock) -> None:
    works = await admitted(limits, 4)
    clock.now += 8.0
    for work in works:
        work.progress()
    assert len(await admitted(limits, 64)) > 10


async def test_a_model_that_slows_down_is_sent_less(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 0.1)
    places = await admitted(limits, 8)
    clock.now += 20  # nothing came meanwhile
    assert not await admitted(limits, 8)
    for place in places:
        place.progress()
    assert await admitted(limits, 1)


async def test_a_model_that_stood_still_is_tried_again(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 0.1)
    for place in await admitted(limits, 8):
        clock.now += 1000
        with place:
            pass
    assert len(await admitted(limits, 8)) == 2


async def test_while_the_pace_is_unknown_a_few_show_it_and_the_others_wait(limits: Admission, clock: Clock) -> None:
    places = await admitted(limits, 4)
    others = [asyncio.create_task(limits.admit(MODEL, f"other {number}")) for number in range(60)]
    await asyncio.sleep(0)
    assert not any(other.done() for other in others)
    for place in places[:3]:
        clock.now += 1.9
        place.progress()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert Counter(map(type, results)) == {Work: 14, ModelTooSlow: 46}  # beside the fourth of those before


async def test_an_unknown_pace_is_waited_for_the_shorter_the_more_requests_are_before() -> None:
    limits = Admission(max_wait=2.0, work_timeout=600.0, share=0.5)
    await admitted(limits, 4)
    order = []

    async def ask(number: int) -> None:
        with pytest.raises(ModelUnavailable):
            await limits.admit(MODEL, f"other {number}")
        order.append(number)

    await asyncio.gather(*map(ask, (1, 2, 3)))
    assert order == [3, 2, 1]


async def test_a_caller_has_a_share_of_the_wait(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 1.0)
    for _ in range(15):
        await limits.admit(MODEL, "greedy")
    with pytest.raises(TooManyRequests) as caught:
        await limits.admit(MODEL, "greedy")
    assert caught.value.retry_after >= 1
    await limits.admit(MODEL, "lone")


async def test_long_texts_count_by_their_length(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 10.0, audio=10.0)
    await limits.admit(MODEL, "one", 200.0)
    with pytest.raises(ModelUnavailable) as caught:
        await limits.admit(MODEL, "two", 200.0)
    assert caught.value.retry_after in (100, 101)
    await limits.admit(MODEL, "three", 50.0)


async def test_speech_that_is_shorter_than_expected_does_not_slow_the_estimate(limits: Admission, clock: Clock) -> None:
    for work in [await limits.admit(MODEL, "other", 100.0) for _ in range(4)]:
        with work:
            clock.now += 1.0
            work.progress(0.3)
    for number in range(8):
        await limits.admit(MODEL, f"caller {number}", 100.0)


async def test_a_client_that_reads_slowly_does_not_slow_the_estimate(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 10.0, audio=10.0)
    with await limits.admit(MODEL, "slow", 250.0) as slow:
        slow.progress(1.0)
        with slow.paused():
            clock.now += 500
            await limits.admit(MODEL, "other", 250.0)


async def test_a_caller_gets_its_share_of_a_model_that_was_full(limits: Admission, clock: Clock) -> None:
    await serve_some(limits, clock, 0.01)
    for _ in range(20):
        (await limits.admit(MODEL, "greedy")).progress()
    with pytest.raises(ModelAtCapacity), await limits.admit(MODEL, "lone"):
        raise ModelAtCapacity("full")
    with pytest.raises(TooManyRequests):
        await limits.admit(MODEL, "greedy")
    await limits.admit(MODEL, "lone")
    clock.now += 61
    await limits.admit(MODEL, "greedy")


async def test_of_64_at_once_those_admitted_are_answered_and_the_others_rejected(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    one_at_a_time = asyncio.Lock()

    async def slow(call: Call) -> AsyncIterator[Tensors]:
        async with one_at_a_time:
            await asyncio.sleep(0.05)
            async for tensors in kokoro(call):
                yield tensors

    triton.handlers[MODEL] = slow
    triton.overrides[MODEL] = {"description": kokoro.description}
    await triton.publish()
    async with serve(max_wait=1.0, caller_share=1.0) as gateway:
        await gateway.follow(triton)
        answers = await asyncio.gather(*(gateway.http.post(SPEECH, json=HELLO) for _ in range(64)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() == {200, 503}
    assert statuses[200] >= 2
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)


async def test_a_504_says_when_to_try_again(serve: Serve, kokoro: FakeSpeech) -> None:
    kokoro.gates = [asyncio.Event()]
    async with serve(first_audio_timeout=0.05) as gateway:
        answer = await gateway.http.post(SPEECH, json=HELLO)
    assert (answer.status_code, answer.headers["retry-after"]) == (504, "1")
