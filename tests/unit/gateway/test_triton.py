"""The gRPC client: what goes over the wire, what comes back, and what becomes of errors."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode

from gateway.errors import ApiError, BadRequest, GatewayTimeout, ServerError, Unavailable
from gateway.triton import Triton
from tests.fake_triton import Call, FakeTriton, Status
from tests.unit.gateway.conftest import DESCRIPTION, QWEN, FakeSpeech
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded, TritoneError

INPUTS = {
    "audio": np.linspace(-1, 1, 5, dtype=np.float32).reshape(1, 5),
    "words": np.array(["a", "ü", ""], np.object_),
}


@pytest.fixture
async def client(triton: FakeTriton) -> AsyncIterator[Triton]:
    client = Triton([triton.address])
    yield client
    await client.close()


async def test_tensors_and_parameters_arrive_as_they_were(client: Triton, triton: FakeTriton) -> None:
    triton.handlers["echo"] = lambda call: iter([call.inputs])
    parameters = {"flag": True, "count": 3, "ratio": 0.5, "word": "ö"}
    answer = await client.infer("echo", INPUTS, parameters, request_id="r1", priority=2, timeout=5)
    call = triton.calls[0]
    assert (call.request_id, call.parameters, call.timeout) == ("r1", {**parameters, "priority": 2}, 5)
    np.testing.assert_array_equal(answer["audio"], INPUTS["audio"])
    assert answer["words"].tolist() == [b"a", "ü".encode(), b""]


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, triton: FakeTriton) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    triton.handlers["echo"] = lambda call: iter([call.inputs])
    client = Triton([triton.address])
    try:
        answer = await client.infer("echo", INPUTS, {}, request_id="r1", timeout=5)
    finally:
        await client.close()
    np.testing.assert_array_equal(answer["audio"], INPUTS["audio"])


async def test_a_stream_gives_each_answer_and_ends_after_the_last(client: Triton, triton: FakeTriton) -> None:
    triton.handlers["count"] = lambda call: ({"n": np.array([n], np.int32)} for n in range(3))
    stream = client.stream("count", {}, {}, request_id="r1", timeout=5)
    assert [int(answer["n"].item()) async for answer in stream] == [0, 1, 2]


OURS = "the server failed on this request; its log says why"


@pytest.mark.parametrize(
    ("raised", "error", "message", "param"),
    [
        (InvalidInput("text", "too long"), BadRequest, "input: too long", "input"),
        (InvalidInput("audio", "empty"), BadRequest, "file: empty", "file"),
        (InvalidInput("voice", "unknown"), BadRequest, "voice: unknown", "voice"),
        (TritoneError("[request id: r1] speed: odd"), BadRequest, "speed: odd", "speed"),
        (TritoneError("device: /secret"), ServerError, OURS, None),
        (TritoneError("unexpected shape of /secret"), ServerError, OURS, None),
        (Overloaded("2"), Unavailable, "model 'm' takes no more requests at present; try again", None),
        (DeadlinePassed("2 s"), GatewayTimeout, "model 'm' did not finish in time", None),
        (
            TritoneError("Request for unknown model: 'm' is not found"),
            Unavailable,
            "model 'm' is not loaded at present; try again",
            None,
        ),
        (
            TritoneError("Stub process 'm_0_0' is not healthy."),
            Unavailable,
            "model 'm' is not loaded at present; try again",
            None,
        ),
        (TritoneError("unexpected: /secret"), ServerError, OURS, None),
        (Status(StatusCode.UNAVAILABLE, "x"), Unavailable, "model 'm' is out of reach at present; try again", None),
        (Status(StatusCode.INTERNAL, "/secret"), ServerError, OURS, None),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_failure_becomes_the_error_that_http_clients_know(
    client: Triton,
    triton: FakeTriton,
    raised: Exception,
    error: type[ApiError],
    message: str,
    param: str | None,
    streaming: bool,
) -> None:
    def fails(call: Call) -> Iterator[Any]:
        raise raised
        yield

    triton.handlers["m"] = fails
    asked = (
        anext(client.stream("m", {}, {}, request_id="r1", timeout=5))
        if streaming
        else client.infer("m", {}, {}, request_id="r1", timeout=5)
    )
    with pytest.raises(error) as caught:
        await asked
    assert (caught.value.message, caught.value.param) == (message, param)


async def endless(call: Call) -> AsyncIterator[Any]:
    yield {"n": np.zeros(1, np.int32)}
    await asyncio.Event().wait()


async def stuck(call: Call) -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield {}


async def test_a_call_over_its_time_is_a_timeout(client: Triton, triton: FakeTriton) -> None:
    triton.handlers["stuck"] = stuck
    with pytest.raises(GatewayTimeout):
        await client.infer("stuck", {}, {}, request_id="r1", timeout=0.05)


async def test_closing_a_stream_cancels_it_in_triton(client: Triton, triton: FakeTriton) -> None:
    triton.handlers["endless"] = endless
    async with aclosing(client.stream("endless", {}, {}, request_id="r1", timeout=60)) as stream:
        await anext(stream)
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 10)


@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelling_the_task_cancels_the_call_in_triton(
    client: Triton, triton: FakeTriton, streaming: bool
) -> None:
    asked = asyncio.Event()

    def begin(call: Call) -> AsyncIterator[Any]:
        asked.set()
        return stuck(call)

    triton.handlers["stuck"] = begin
    asking = asyncio.ensure_future(
        anext(client.stream("stuck", {}, {}, request_id="r1", timeout=60))
        if streaming
        else client.infer("stuck", {}, {}, request_id="r1", timeout=60)
    )
    await asyncio.wait_for(asked.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 10)


async def test_a_model_that_is_taken_away_ends_what_it_was_speaking_and_no_more(
    client: Triton, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.triton._LOOK", 0.01)
    monkeypatch.setattr("gateway.triton._PATIENCE", 0.02)
    later = asyncio.Event()

    async def lives(call: Call) -> AsyncIterator[Any]:
        yield {"n": np.zeros(1, np.int32)}
        await later.wait()
        yield {"n": np.ones(1, np.int32)}

    triton.handlers |= {"dies": endless, "lives": lives}
    lost, kept = (client.stream(name, {}, {}, request_id="r1", timeout=60) for name in ("dies", "lives"))
    await anext(lost)
    await anext(kept)
    triton.away.add("dies")
    with pytest.raises(Unavailable, match="not loaded"):
        await asyncio.wait_for(anext(lost), 20)
    later.set()
    assert [answer["n"].item() async for answer in kept] == [1]


async def test_what_goes_on_speaking_is_not_lost_when_its_model_is_taken_away(
    client: Triton, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.triton._LOOK", 0.01)
    monkeypatch.setattr("gateway.triton._PATIENCE", 1.0)
    over = asyncio.Event()

    async def speaks(call: Call) -> AsyncIterator[Any]:
        while not over.is_set():
            yield {"n": np.zeros(1, np.int32)}
            await asyncio.sleep(0.001)

    async def read(answers: AsyncIterator[Any]) -> None:
        async for _ in answers:
            pass

    triton.away.add("m")
    triton.handlers["m"] = speaks
    stream = client.stream("m", {}, {}, request_id="r1", timeout=60)
    await anext(stream)
    kept = asyncio.create_task(read(stream))
    triton.handlers["m"] = stuck
    with pytest.raises(Unavailable, match="not loaded"):
        await client.infer("m", {}, {}, request_id="r2", timeout=60)
    over.set()
    await asyncio.wait_for(kept, 20)


CALLS, WORKERS = 20_000, 8
STALLED = 60
"""Seconds without a turn of the event loop after which it is taken for stopped; a turn takes milliseconds."""


@contextmanager
def stall_alarm() -> Iterator[Callable[[], object]]:
    """Raise `TimeoutError` in the main thread when the yielded function was not called for `STALLED` seconds."""

    def stalled(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the event loop made no turn in {STALLED} s")

    before = signal.signal(signal.SIGALRM, stalled)
    try:
        signal.alarm(STALLED)
        yield lambda: signal.alarm(STALLED)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


async def test_the_event_loop_keeps_turning_through_20000_short_failing_and_cancelled_calls(
    client: Triton, triton: FakeTriton
) -> None:
    async def at_once(call: Call) -> AsyncIterator[Any]:
        yield {"n": np.zeros(1, np.int32)}

    def rejects(call: Call) -> Iterator[Any]:
        raise InvalidInput("text", "is empty")
        yield

    triton.handlers |= {"short": at_once, "failing": rejects, "cancelled": endless}
    numbers = iter(range(CALLS))
    ended = Counter[str]()

    async def worker() -> None:
        for number in numbers:
            model = ("short", "failing", "cancelled")[number % 3]
            try:
                async with aclosing(client.stream(model, {}, {}, request_id="", timeout=STALLED)) as answers:
                    async for _ in answers:
                        if model == "cancelled":
                            break
            except BadRequest:
                pass
            ended[model] += 1

    with stall_alarm() as alive:

        async def beat() -> None:
            while True:
                alive()
                await asyncio.sleep(0.05)

        beating = asyncio.create_task(beat())
        await asyncio.gather(*(worker() for _ in range(WORKERS)))
        beating.cancel()
    assert ended == {"short": 6667, "failing": 6667, "cancelled": 6666}


async def test_a_model_is_ready_where_it_says_so(client: Triton, triton: FakeTriton) -> None:
    assert await client.ready("kokoro-82m")
    assert not await client.ready("qwen3-tts-0.6b")


async def test_a_description_that_failed_is_asked_for_again(
    client: Triton, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    del triton.handlers["kokoro-82m"]
    with pytest.raises(Unavailable):
        await client.describe("kokoro-82m")
    triton.handlers["kokoro-82m"] = kokoro
    assert await client.describe("kokoro-82m") == kokoro.description


async def test_a_description_is_asked_for_again_after_a_while(
    client: Triton, kokoro: FakeSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.triton._DESCRIPTION_SECONDS", 0.0)
    assert await client.describe("kokoro-82m") == DESCRIPTION
    kokoro.description = QWEN["qwen3-tts-0.6b"]
    assert await client.describe("kokoro-82m") == kokoro.description


async def test_a_description_holds_on_while_nobody_answers(
    client: Triton, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.triton._DESCRIPTION_SECONDS", 0.0)
    await client.describe("kokoro-82m")
    del triton.handlers["kokoro-82m"]
    assert await client.describe("kokoro-82m") == DESCRIPTION


async def test_requests_go_to_every_server_in_turn_and_round_one_that_is_gone() -> None:
    echo = {"echo": lambda call: iter([INPUTS])}
    async with FakeTriton(echo) as one, FakeTriton(echo) as two:
        client = Triton([one.address, two.address, "127.0.0.1:1"])
        answered = 0
        for _ in range(12):
            try:
                await client.infer("echo", {}, {}, request_id="", timeout=5)
                answered += 1
            except Unavailable:
                pass  # the first call is how it is learned that the third is gone
        await client.close()
        assert answered >= 10
        assert min(len(one.calls), len(two.calls)) >= 4
