"""The engine's threads and its clients, on a fake model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inflight.scheduler import Limits
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import to_int16
from tests.unit.adapters.qwen3_tts.engine_bench import Model, ended, tensors
from tests.unit.adapters.qwen3_tts.requests import request
from tests.unit.adapters.qwen3_tts.scheduling.fakes import WAIT, audio_of
from tritone.errors import InvalidInput, Overloaded


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.engine.close()


@pytest.fixture
def held() -> Iterator[Model]:
    """A model whose steps wait for the test."""
    model = Model(gated=True)
    yield model
    model.release_steps()
    model.engine.close()


def test_audio_is_sent_in_chunks_and_the_last_response_has_the_finish_reason(model: Model) -> None:
    sender = model.submit(9, key=4)
    assert ended(sender) == [None]
    audio = tensors(sender, "audio")
    assert [len(chunk) // 1920 for chunk in audio] == [2, 4, 3, 0]
    assert np.array_equal(np.concatenate(audio), to_int16(audio_of(4, 9)))
    assert tensors(sender, "finish_reason") == [[b"stop"]]
    assert tensors(sender, "audio_frames") == tensors(sender, "text_tokens") == [[9]]


def test_first_audio_is_sent_before_the_last_frame(held: Model) -> None:
    sender = held.submit(60)
    assert held.stepper.gate
    held.stepper.gate.release(3)
    while not tensors(sender, "audio"):
        sender.ended.wait(0.001)
    assert not sender.ended.is_set()


def test_only_the_sending_thread_uses_response_senders(model: Model) -> None:
    senders = [model.submit(60, key) for key in range(2)]
    ended(*senders)
    assert {thread for sender in senders for thread in sender.threads} == {"qwen3-tts-sender"}


@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=12))
def test_simultaneous_requests_equal_their_solo_runs_and_leave_nothing(requests: list[tuple[int, int]]) -> None:
    model = Model(Limits(slots=3, positions=100, queue=9, queue_seconds=WAIT))
    try:
        senders = []
        for key, (frames, cancels) in enumerate(requests):
            try:
                senders.append((model.submit(frames, key), key, frames))
            except Overloaded:
                continue
            if cancels == 0:
                senders[-1][0].cancelled = True
        for sender, key, frames in senders:
            (code,) = ended(sender)
            audio = np.concatenate([*tensors(sender, "audio"), np.empty(0, np.int16)])
            expected = to_int16(audio_of(key, frames))
            assert np.array_equal(audio, expected[: len(audio)])
            assert code == pb_utils.TritonError.CANCELLED if code is not None else len(audio) == len(expected)
    finally:
        model.engine.close()
    assert model.is_idle()
    assert not model.stepper.made


def test_cancelled_request_frees_its_slot_at_the_next_frame(held: Model) -> None:
    left, stays = held.submit(60, 1), held.submit(60, 2)
    assert held.stepper.gate
    for _ in range(3):
        held.stepper.gate.release()
        assert held.stepper.began.acquire(timeout=WAIT)
    left.cancelled = True
    assert ended(left) == [pb_utils.TritonError.CANCELLED]
    made = len(held.stepper.steps)
    held.release_steps()
    ended(stays)
    assert all(keys == [2] for keys in held.stepper.steps[made + 1 :])


def test_request_cancelled_during_preparation_is_removed(model: Model) -> None:
    model.input_processor.held = threading.Event()
    sender = model.submit(5)
    sender.cancelled = True
    assert ended(sender) == [pb_utils.TritonError.CANCELLED]
    while not model.is_idle():
        sender.ended.wait(0.001)
        model.engine._scheduler.wake()
    model.input_processor.held.set()
    assert not model.stepper.prefills


def test_full_engine_rejects_requests_at_once(held: Model) -> None:
    senders = [held.submit(5, key) for key in range(3)]
    with pytest.raises(Overloaded, match=r"at capacity \(2 slots, 1 waiting\); try again in [0-9]+ s"):
        held.submit(5)
    held.release_steps()
    assert ended(*senders) == [None] * 3
    assert ended(held.submit(5)) == [None]


def test_requests_beyond_the_reservable_frames_are_rejected() -> None:
    model = Model(Limits(slots=1, positions=100, queue=9, queue_seconds=WAIT), gated=True)
    for frames in (100, 80):
        model.submit(5, max_new_tokens=frames)
    with pytest.raises(Overloaded, match="at capacity for a request of this length"):
        model.submit(5, max_new_tokens=21)
    model.submit(5, max_new_tokens=20)
    model.release_steps()
    model.engine.close()


def test_invalid_request_is_rejected_at_once(model: Model) -> None:
    sender = pb_utils.ResponseSender()
    with pytest.raises(InvalidInput):
        model.engine.submit(request("?"), ResponseStream(sender, Metrics("qwen", "speech")))
    assert not sender.sent
    assert model.is_idle()


def test_encoding_a_new_voice_delays_only_other_new_voices(model: Model) -> None:
    model.input_processor.new_voices = frozenset({1, 2})
    new = [model.submit(5, key) for key in (1, 2)]
    assert ended(model.submit(5, 3)) == [None]
    assert not any(sender.sent for sender in new)
    model.input_processor.encoding.set()
    assert ended(*new) == [None, None]


def test_voice_of_a_cancelled_request_is_not_encoded(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Mock(side_effect=model.input_processor.prepare)
    monkeypatch.setattr(model.input_processor, "prepare", prepare)
    model.input_processor.new_voices = frozenset({1, 2, 3})
    stays, left = model.submit(5, 1), model.submit(5, 2)
    left.cancelled = True
    assert ended(left) == [pb_utils.TritonError.CANCELLED]
    model.input_processor.encoding.set()
    assert ended(stays, model.submit(5, 3)) == [None, None]
    assert [call.args[0].options.seed for call in prepare.call_args_list] == [1, 3]


def test_request_that_times_out_during_preparation_fails_on_an_idle_engine() -> None:
    model = Model()
    model.input_processor.held = threading.Event()
    assert ended(model.submit(5, timeout=0.05)) == [pb_utils.TritonError.UNAVAILABLE]
    model.input_processor.held.set()
    assert ended(model.submit(5)) == [None]
    model.engine.close()
    assert len(model.stepper.prefills) == 1


def test_request_that_times_out_while_decoding_fails(held: Model) -> None:
    sender = held.submit(60, timeout=WAIT)
    assert held.stepper.began.acquire(timeout=WAIT)
    held.clock_offset = WAIT
    held.release_steps()
    assert ended(sender) == [pb_utils.TritonError.CANCELLED]
    assert sender.sent[-1].error().message().startswith("deadline: ")


def test_request_that_cannot_be_prepared_fails_alone(model: Model) -> None:
    model.input_processor.breaks_on = "w " * 7
    assert ended(model.submit(7), model.submit(6)) == [pb_utils.TritonError.INTERNAL, None]


def test_stepping_thread_error_fails_open_requests_and_the_engine_continues(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, raised = model.engine._loop.step, []

    def fail_once() -> None:
        step()
        if not raised:
            raised.append(True)
            raise RuntimeError("an internal error")

    monkeypatch.setattr(model.engine._loop, "step", fail_once)
    assert ended(model.submit(60)) == [pb_utils.TritonError.INTERNAL]
    assert "an internal error" in pb_utils.Logger.lines[-1][1]
    assert ended(model.submit(60)) == [None]
    assert not model.stepper.made


def test_lost_gpu_fails_all_requests_and_exits_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exited = threading.Event()
    model = Model(is_usable=lambda device: False, exit_process=lambda status: exited.set())
    monkeypatch.setattr(model.stepper, "step", Mock(side_effect=RuntimeError("CUDA error: an illegal memory access")))
    client = model.submit(60)
    assert ended(client) == [pb_utils.TritonError.INTERNAL]
    assert exited.wait(WAIT)
    assert "CUDA device lost, exiting" in pb_utils.Logger.lines[-1][1]
    model.engine.close()


def test_gpu_that_is_lost_while_a_request_is_prepared_exits_the_process() -> None:
    exited = threading.Event()
    model = Model(is_usable=lambda device: False, exit_process=lambda status: exited.set())
    model.input_processor.breaks_on = "w " * 7
    assert ended(model.submit(7)) == [pb_utils.TritonError.INTERNAL]
    assert exited.wait(WAIT)
    model.engine.close()


def test_client_that_cannot_be_reached_ends_only_its_own_stream(held: Model) -> None:
    lost, good = held.submit(60, 1), held.submit(20, 2)
    lost.breaks = True
    held.release_steps()
    assert ended(lost, good) == [pb_utils.TritonError.INTERNAL, None]


def test_close_fails_open_requests_and_rejects_new_ones(held: Model) -> None:
    senders = [held.submit(60, key) for key in range(3)]
    assert held.stepper.began.acquire(timeout=WAIT)
    closing = threading.Thread(target=held.engine.close)
    closing.start()
    while not held.engine._scheduler._closing:
        closing.join(0.001)
    with pytest.raises(Overloaded, match="shutting down"):
        held.submit(5)
    held.release_steps()
    closing.join(WAIT)
    assert ended(*senders) == [pb_utils.TritonError.UNAVAILABLE] * 3
    assert held.is_idle()
