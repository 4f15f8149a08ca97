"""Batching, order and errors of the static-batch engine, with a runner that the test controls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.request import QwenRequest
from adapters.qwen3_tts.stock.batch_engine import StaticBatchEngine
from adapters.qwen3_tts.stock.package_runner import SpeechResult
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.clock import ManualClock
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.contract import SpeechDescription
from tritone.errors import InvalidInput, Overloaded

WAIT = 300
DESCRIPTION = SpeechDescription((), ("en",), "", (1.0, 1.0))


@dataclass
class HeldRunner:
    """Synthesizes one batch per release of `steps`; a request has as many frames as its text has words."""

    description: SpeechDescription = DESCRIPTION
    batches: list[list[str]] = field(default_factory=list)
    breaks_on: str = ""
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    steps: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def check(self, request_: SpeechRequest) -> QwenRequest:
        if request_.text == "?":
            raise InvalidInput("text", "is not supported")
        return QwenRequest(
            request_.text, len(request_.text.split()), "", "auto", "", None, None, request_.options, 100, "length"
        )

    def synthesize(
        self, requests: Sequence[QwenRequest], cancelled: Callable[[], Sequence[bool]]
    ) -> list[SpeechResult]:
        self.batches.append([checked.text for checked in requests])
        self.began.release()
        assert self.steps.acquire(timeout=WAIT)
        cancelled()
        if self.breaks_on in [checked.text for checked in requests]:
            raise RuntimeError("out of memory")
        return [SpeechResult(np.zeros(1920 * checked.text_tokens, np.float32), "stop") for checked in requests]


@pytest.fixture
def runner() -> HeldRunner:
    return HeldRunner()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(runner: HeldRunner, clock: ManualClock) -> Iterator[StaticBatchEngine]:
    engine = StaticBatchEngine(runner, max_requests=6, max_batch=3, clock=clock)  # type: ignore[arg-type]
    yield engine
    for _ in range(20):
        runner.steps.release()
    engine.close()


def submit(engine: StaticBatchEngine, text: str, **options: object) -> pb_utils.ResponseSender:
    sender = pb_utils.ResponseSender()
    engine.submit(request(text, **options), ResponseStream(sender, Metrics("qwen", "speech")))
    return sender


def held(engine: StaticBatchEngine, runner: HeldRunner) -> pb_utils.ResponseSender:
    """Submit a request that runs until the test releases a step, so that later ones wait."""
    sender = submit(engine, "first")
    assert runner.began.acquire(timeout=WAIT)
    return sender


def ended(*senders: pb_utils.ResponseSender) -> list[int | None]:
    """Wait for the end of each, and return the codes of their errors."""
    assert all(sender.ended.wait(WAIT) for sender in senders)
    assert all(sender.finals == 1 for sender in senders)
    errors = [sender.sent[-1].error() for sender in senders]
    return [error.code() if error else None for error in errors]


def outputs(sender: pb_utils.ResponseSender) -> dict[str, np.ndarray]:
    return {tensor.name(): tensor.as_numpy() for tensor in sender.sent[-1].output_tensors()}


def test_waiting_requests_share_a_batch(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    senders = [held(engine, runner), submit(engine, "one"), submit(engine, "one two"), submit(engine, "three")]
    runner.steps.release(2)
    assert ended(*senders) == [None] * 4
    assert runner.batches == [["first"], ["one", "one two", "three"]]
    assert outputs(senders[2])["audio_frames"] == 2


def test_batch_has_at_most_max_batch_requests(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    senders = [held(engine, runner), *(submit(engine, text) for text in "abcd")]
    runner.steps.release(3)
    ended(*senders)
    assert runner.batches == [["first"], ["a", "b", "c"], ["d"]]


def test_only_requests_with_equal_sampling_share_a_batch(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    senders = [
        held(engine, runner),
        submit(engine, "a", temperature=0.5),
        submit(engine, "b"),
        submit(engine, "c", temperature=0.5, max_new_tokens=50),
    ]
    runner.steps.release(3)
    ended(*senders)
    assert runner.batches == [["first"], ["a", "c"], ["b"]]


def test_request_with_a_seed_runs_alone(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    senders = [held(engine, runner), submit(engine, "a", seed=1), submit(engine, "b", seed=1)]
    runner.steps.release(3)
    ended(*senders)
    assert runner.batches == [["first"], ["a"], ["b"]]


def test_audio_is_sent_one_second_at_a_time(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    sender = submit(engine, "w " * 20)
    runner.steps.release()
    assert ended(sender) == [None]
    tensors = [tensor for sent in sender.sent for tensor in sent.output_tensors()]
    assert [tensor.as_numpy().size for tensor in tensors if tensor.name() == "audio"] == [24_000, 14_400, 0]


def test_full_engine_rejects_requests(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    held(engine, runner)
    for text in "abcde":
        submit(engine, text)
    with pytest.raises(Overloaded, match=r"at capacity \(6 requests\)"):
        submit(engine, "f")


def test_invalid_request_is_rejected_at_once(engine: StaticBatchEngine) -> None:
    with pytest.raises(InvalidInput):
        submit(engine, "?")


def test_request_cancelled_in_the_queue_is_dropped(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    first, left, stayed = held(engine, runner), submit(engine, "left"), submit(engine, "stayed")
    left.cancelled = True
    runner.steps.release(2)
    assert ended(first, left, stayed) == [None, pb_utils.TritonError.CANCELLED, None]
    assert runner.batches == [["first"], ["stayed"]]


def test_cancelled_request_ends(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    first = held(engine, runner)
    first.cancelled = True
    runner.steps.release()
    assert ended(first) == [pb_utils.TritonError.CANCELLED]


def test_request_whose_deadline_passes_ends_in_the_queue_and_in_its_batch(
    engine: StaticBatchEngine, runner: HeldRunner, clock: ManualClock
) -> None:
    first = submit(engine, "first", timeout=5.0)
    assert runner.began.acquire(timeout=WAIT)
    late, patient = submit(engine, "late", timeout=5.0), submit(engine, "patient")
    clock.now += 5.0
    runner.steps.release(2)
    assert ended(first, late, patient) == [pb_utils.TritonError.CANCELLED, pb_utils.TritonError.UNAVAILABLE, None]
    assert first.sent[-1].error().message() == "deadline: the request timed out before its first audio"
    assert runner.batches == [["first"], ["patient"]]


def test_request_that_breaks_a_batch_fails_alone(engine: StaticBatchEngine, runner: HeldRunner) -> None:
    runner.breaks_on = "bad"
    senders = [held(engine, runner), submit(engine, "good"), submit(engine, "bad")]
    runner.steps.release(4)
    assert ended(*senders) == [None, None, pb_utils.TritonError.INTERNAL]
    assert runner.batches == [["first"], ["good", "bad"], ["good"], ["bad"]]


def test_close_fails_open_requests_and_rejects_new_ones(runner: HeldRunner) -> None:
    engine = StaticBatchEngine(runner, max_requests=6, max_batch=3)  # type: ignore[arg-type]
    senders = [held(engine, runner), submit(engine, "waiting")]
    closing = threading.Thread(target=engine.close)
    closing.start()
    while not engine._closing:
        closing.join(0.01)
    runner.steps.release()
    closing.join(WAIT)
    assert ended(*senders) == [pb_utils.TritonError.UNAVAILABLE] * 2
    with pytest.raises(Overloaded):
        submit(engine, "late")
