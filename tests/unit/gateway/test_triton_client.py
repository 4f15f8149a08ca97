"""The gRPC client: requests, responses and errors."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode

from gateway.core.errors import DeadlineExceeded, InternalError, ModelUnavailable, ServerUnreachable
from gateway.core.triton_client import TritonClient
from tests.fake_triton import Call, FakeTriton, Handler, Status
from tests.unit.gateway.servers import follow
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded, TritoneError
from tritone.options import Value

INPUTS = {
    "audio": np.linspace(-1, 1, 5, dtype=np.float32).reshape(1, 5),
    "words": np.array(["a", "ü", ""], np.object_),
}


@pytest.fixture
async def triton() -> AsyncIterator[FakeTriton]:
    """A server of its own for each test, because the tests change its models."""
    async with FakeTriton({}) as fake:
        yield fake


@pytest.fixture
async def client(triton: FakeTriton) -> AsyncIterator[TritonClient]:
    async with connected(triton) as client:
        yield client


@asynccontextmanager
async def connected(*tritons: FakeTriton) -> AsyncIterator[TritonClient]:
    client = TritonClient([triton.address for triton in tritons])
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def serve(client: TritonClient, triton: FakeTriton, **handlers: Handler) -> None:
    """Add models to a server, and wait until the client knows them."""
    triton.handlers |= handlers
    await follow(client, triton)


async def test_tensors_and_parameters_arrive_unchanged(client: TritonClient, triton: FakeTriton) -> None:
    await serve(client, triton, echo=lambda call: iter([call.inputs]))
    parameters: dict[str, Value] = {"flag": True, "count": 3, "ratio": 0.5, "word": "ö"}
    answer = await client.infer("echo", INPUTS, parameters, request_id="r1", priority=2, timeout=300)
    call = triton.calls[0]
    assert (call.request_id, call.parameters, call.timeout) == ("r1", {**parameters, "priority": 2}, 300)
    np.testing.assert_array_equal(answer["audio"], INPUTS["audio"])
    assert answer["words"].tolist() == [b"a", "ü".encode(), b""]


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, triton: FakeTriton) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    triton.handlers["echo"] = lambda call: iter([call.inputs])
    async with connected(triton) as client:
        await follow(client, triton)
        answer = await client.infer("echo", INPUTS, {}, request_id="r1", timeout=300)
    np.testing.assert_array_equal(answer["audio"], INPUTS["audio"])


async def test_a_stream_yields_each_response_and_ends_after_the_last(client: TritonClient, triton: FakeTriton) -> None:
    await serve(client, triton, count=lambda call: ({"n": np.array([n], np.int32)} for n in range(3)))
    stream = client.stream("count", {}, {}, request_id="r1", timeout=300)
    assert [int(answer["n"].item()) async for answer in stream] == [0, 1, 2]


GENERAL = "the server failed on this request; its log says why"


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (InvalidInput("text", "too long"), InvalidInput, "text: too long"),
        (InvalidInput("audio", "empty"), InvalidInput, "audio: empty"),
        (InvalidInput("voice", "unknown"), InvalidInput, "voice: unknown"),
        (TritoneError("[request id: r1] speed: odd"), InvalidInput, "speed: odd"),
        (TritoneError("device: /secret"), InternalError, GENERAL),
        (TritoneError("unexpected shape of /secret"), InternalError, GENERAL),
        (Overloaded("2"), ModelUnavailable, "model 'm' is at capacity; try again"),
        (DeadlinePassed("2 s"), DeadlineExceeded, "model 'm' did not finish in time"),
        (
            TritoneError("Request for unknown model: 'm' is not found"),
            ModelUnavailable,
            "model 'm' is not loaded at present; try again",
        ),
        (
            TritoneError("Stub process 'm_0_0' is not healthy."),
            ModelUnavailable,
            "model 'm' is not loaded at present; try again",
        ),
        (TritoneError("unexpected: /secret"), InternalError, GENERAL),
        (
            Status(StatusCode.UNAVAILABLE, "x"),
            ServerUnreachable,
            "model 'm' is out of reach at present; try again",
        ),
        (Status(StatusCode.INTERNAL, "/secret"), InternalError, GENERAL),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_failure_becomes_an_error_without_internal_details(
    client: TritonClient,
    triton: FakeTriton,
    raised: Exception,
    error: type[Exception],
    message: str,
    streaming: bool,
) -> None:
    def fails(call: Call) -> Iterator[Any]:
        raise raised

    await serve(client, triton, m=fails)
    request = (
        anext(client.stream("m", {}, {}, request_id="r1", timeout=300))
        if streaming
        else client.infer("m", {}, {}, request_id="r1", timeout=300)
    )
    with pytest.raises(error) as caught:
        await request
    assert str(caught.value) == message


async def endless(call: Call) -> AsyncIterator[Any]:
    yield {"n": np.zeros(1, np.int32)}
    await asyncio.Event().wait()


async def stuck(call: Call) -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield {}


async def test_a_call_past_its_deadline_is_an_error(client: TritonClient, triton: FakeTriton) -> None:
    await serve(client, triton, stuck=stuck)
    with pytest.raises(DeadlineExceeded):
        await client.infer("stuck", {}, {}, request_id="r1", timeout=0.05)


async def test_closing_a_stream_cancels_it_in_triton(client: TritonClient, triton: FakeTriton) -> None:
    await serve(client, triton, endless=endless)
    async with aclosing(client.stream("endless", {}, {}, request_id="r1", timeout=300)) as stream:
        await anext(stream)
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 300)


@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelling_the_task_cancels_the_call_in_triton(
    client: TritonClient, triton: FakeTriton, streaming: bool
) -> None:
    called = asyncio.Event()

    def begin(call: Call) -> AsyncIterator[Any]:
        called.set()
        return stuck(call)

    await serve(client, triton, stuck=begin)
    request = asyncio.ensure_future(
        anext(client.stream("stuck", {}, {}, request_id="r1", timeout=300))
        if streaming
        else client.infer("stuck", {}, {}, request_id="r1", timeout=300)
    )
    await asyncio.wait_for(called.wait(), 300)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 300)


class Unreachable(FakeTriton):
    """Polls fail in two ways by turns, as for a name with two addresses; `polled` is set after six."""

    def __init__(self) -> None:
        super().__init__({})
        self.polls = 0
        self.polled = asyncio.Event()

    async def _poll(self, *_parameters: Any, **_more: Any) -> bytes:
        self.polls += 1
        if self.polls > 6:
            self.polled.set()
        raise Status(StatusCode.UNAVAILABLE, f"address {self.polls % 2} refused")


async def test_each_problem_of_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with Unreachable() as triton, connected(triton):
        await asyncio.wait_for(triton.polled.wait(), 300)
    problems = [
        f"it is out of reach; check that it runs, and TRITON_GRPC_URL (UNAVAILABLE: address {n} refused)"
        for n in (1, 0)
    ]
    assert caplog.messages == [f"no document from triton {triton.address}: {problem}" for problem in problems]


CALLS, WORKERS = 20_000, 8
STALLED = 300
"""Seconds without a turn of the event loop after which it counts as stopped; a turn takes milliseconds."""


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
    client: TritonClient, triton: FakeTriton
) -> None:
    async def at_once(call: Call) -> AsyncIterator[Any]:
        yield {"n": np.zeros(1, np.int32)}

    def rejects(call: Call) -> Iterator[Any]:
        raise InvalidInput("text", "is empty")

    await serve(client, triton, short=at_once, failing=rejects, cancelled=endless)
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
            except InvalidInput:
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
