"""Streams that join, leave and are cancelled between frames, on a fake model and the test's own thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES, ChunkSchedule
from tests.unit.adapters.qwen3_tts.scheduling.bench import Bench
from tests.unit.adapters.qwen3_tts.scheduling.fakes import FakeCodec, LateCopy, audio_of
from tritone.errors import Overloaded


@pytest.mark.parametrize("pipeline_depth", [0, 1, 2])
@settings(deadline=None)
@given(
    chunk_schedule=st.sampled_from(list(CHUNK_SCHEDULES.values())),
    late=st.integers(0, 5),
    prefill_tokens=st.integers(1, 12),
    script=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 40), st.integers(1, 9), st.integers(2, 44)),
            st.tuples(st.just("leave"), st.integers(0, 9)),
            st.tuples(st.just("turn"), st.integers(1, 9)),
        ),
        max_size=40,
    ),
)
def test_streams_that_join_and_leave_equal_their_solo_runs_and_leave_nothing(
    pipeline_depth: int, chunk_schedule: ChunkSchedule, late: int, prefill_tokens: int, script: list[tuple[str, ...]]
) -> None:
    limits = Limits(slots=3, positions=80, queue=4, queue_seconds=1e9)
    codec = FakeCodec(copy=partial(LateCopy, polls=late))
    bench = Bench(limits, chunk_schedule, codec=codec, pipeline_depth=pipeline_depth, prefill_tokens=prefill_tokens)
    joined: list[tuple[AudioCollector, int, int, int]] = []
    for act, number, *more in script:
        if act == "join":
            prompt, limit = more
            try:
                collector = bench.join(len(joined), number, prompt=prompt, max_new_tokens=limit)
            except Overloaded:
                assert len(bench.scheduler.open_streams()) == 7 or bench.scheduler.load().reserved > 2 * 3 * 80 - 64
            else:
                joined.append((collector, len(joined), number, limit))
        elif act == "leave" and joined:
            joined[number % len(joined)][0].closed = True
        elif act == "turn":
            for _ in range(number):
                bench.loop.step()
                bench.now += 0.05
    bench.run()
    assert bench.all_is_free()
    for collector, key, frames, limit in joined:
        audio = collector.samples()
        assert np.array_equal(audio, audio_of(key, frames)[: len(audio)])
        end = ("stop", frames * 1920) if frames < limit else ("length", (limit - 1) * 1920)
        assert collector.closed or (collector.reason, len(audio)) == end
    assert {frames for _, frames in bench.codec.sizes} <= set(chunk_schedule.sizes)


def test_host_reads_a_frame_while_the_device_computes_the_next() -> None:
    bench = Bench(pipeline_depth=1)
    waits: list[int] = []

    class Watched(AsyncCopy):
        def __init__(self, tensor: torch.Tensor) -> None:
            super().__init__(tensor)
            self.frame = len(bench.stepper.steps)

        def wait(self) -> np.ndarray:
            waits.append(len(bench.stepper.steps) - self.frame)
            return super().wait()

    bench.copy_frame = Watched
    collectors = bench.join(1, 20), bench.join(2, 9)
    bench.run()
    assert [collector.reason for collector in collectors] == ["stop", "stop"]
    *while_there_was_more, codes, ended = waits
    assert set(while_there_was_more) == {1}
    assert (codes, ended) == (0, 0)  # the last frame, which was issued before the end was known


@pytest.mark.parametrize("pipeline_depth", [0, 1])
def test_no_frame_is_issued_beyond_the_limit(pipeline_depth: int) -> None:
    bench = Bench(pipeline_depth=pipeline_depth)
    bench.stepper.ends = False
    bench.join(1, 30, max_new_tokens=8)
    bench.run()
    assert bench.stepper.steps == [[1]] * 8


def test_slot_is_reused_while_a_frame_of_its_last_stream_is_being_copied() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0), pipeline_depth=1)
    cancelled, next_ = bench.join(1, 30), bench.join(2, 5)
    bench.step(4)
    cancelled.closed = True
    bench.run()
    assert np.array_equal(next_.samples(), audio_of(2, 5))


def test_audio_that_is_not_ready_delays_no_frame() -> None:
    bench = Bench(codec=FakeCodec(copy=partial(LateCopy, polls=99)))
    collector = bench.join(1, 40)
    bench.step(30)
    assert (len(bench.stepper.steps), collector.chunks) == (30, [])
    bench.run()
    assert np.array_equal(collector.samples(), audio_of(1, 40))


def test_first_audio_is_sent_before_the_chunks_of_other_streams_are_decoded() -> None:
    bench = Bench()
    sent: list[tuple[int, int]] = []
    decode = bench.codec.decode

    def record(slots: Sequence[int], codes: np.ndarray) -> AsyncCopy:
        sent.append((codes.shape[1], len(newcomer.chunks)))
        return decode(slots, codes)

    early = bench.join(1, 40)
    bench.step(4)
    newcomer = bench.join(2, 40)
    bench.codec.decode = record  # type: ignore[method-assign]
    bench.step(2)
    assert sent == [(2, 0), (4, 1)]  # both are due after the sixth frame
    bench.run()
    assert np.array_equal(early.samples(), audio_of(1, 40))


def test_audio_that_becomes_ready_during_a_frame_is_sent_before_the_frame_ends() -> None:
    bench = Bench(codec=FakeCodec(copy=partial(LateCopy, polls=3)), pipeline_depth=1)
    collector = bench.join(1, 40)
    chunks: list[int] = []

    class Slow(LateCopy):
        def __init__(self, tensor: torch.Tensor) -> None:
            super().__init__(tensor, polls=9)

        def wait(self) -> np.ndarray:
            chunks.append(len(collector.chunks))
            return super().wait()

    bench.copy_frame = Slow
    bench.step(4)
    assert chunks == [0, 0, 0, 0, 1, 1]  # codes and ends of three frames; the first two frames are the first chunk
    bench.run()
    assert np.array_equal(collector.samples(), audio_of(1, 40))


def test_audio_of_a_cancelled_stream_is_dropped() -> None:
    bench = Bench(codec=FakeCodec(copy=partial(LateCopy, polls=9)))
    cancelled, other = bench.join(1, 40), bench.join(2, 40)
    bench.step(3)
    cancelled.closed = True
    bench.run()
    assert cancelled.chunks == []
    assert np.array_equal(other.samples(), audio_of(2, 40))
    assert bench.all_is_free()


def test_cancelled_stream_is_not_in_the_next_frame() -> None:
    bench = Bench()
    cancelled = bench.join(1, 40)
    bench.join(2, 40)
    for _ in range(4):
        bench.loop.step()
    cancelled.closed = True
    bench.loop.step()
    assert bench.stepper.steps[-2:] == [[1, 2], [2]]
    assert bench.scheduler.load().free_slots == 2


def test_running_streams_wait_for_one_prefill_chunk_per_frame() -> None:
    bench = Bench(prefill_tokens=8)
    bench.join(0, 30)
    bench.step()
    bench.join(1, 9, prompt=20)
    bench.step(2)
    bench.join(2, 9, prompt=4)
    bench.step(1)
    bench.run()
    assert bench.stepper.prefills == [(0, {0: 5}), (1, {1: 8}), (2, {1: 8}), (3, {1: 4, 2: 4})]
    assert bench.stepper.steps[2:5] == [[0], [0, 1, 2], [0, 1, 2]]


def test_prompt_is_prefilled_whole_if_no_stream_decodes() -> None:
    bench = Bench(prefill_tokens=8)
    bench.join(1, 9, prompt=20)
    bench.join(2, 9, prompt=3)
    bench.step(2)
    assert bench.stepper.prefills == [(0, {1: 20}), (1, {2: 3})]


def test_stream_can_be_cancelled_during_prefill() -> None:
    bench = Bench(prefill_tokens=4)
    other = bench.join(1, 30)
    bench.step()
    cancelled = bench.join(2, 9, prompt=20)
    bench.step(2)
    cancelled.closed = True
    bench.run()
    assert 2 not in {key for keys in bench.stepper.steps for key in keys}
    assert len(other.samples()) == 30 * 1920
    assert bench.all_is_free()


def test_chunks_grow_and_the_last_has_the_remaining_frames() -> None:
    bench = Bench()
    collector = bench.join(1, 31)
    bench.run()
    assert [len(chunk) // 1920 for chunk in collector.chunks] == [2, 4, 8, 12, 5]
    assert bench.codec.sizes[-1] == (1, 8)


def test_chunks_of_equal_size_are_decoded_together() -> None:
    bench = Bench()
    for key in range(3):
        bench.join(key, 50)
        bench.step()
    bench.run()
    assert bench.codec.sizes[:9] == [(1, 2)] * 3 + [(1, 4)] * 3 + [(1, 8)] * 3  # no stream has much buffered audio yet
    assert bench.codec.sizes[9:] == [(3, 12)] * 3


def test_stream_with_buffered_audio_waits_a_few_frames_or_joins_a_chunk_that_is_due() -> None:
    bench = Bench(chunk_schedule=ChunkSchedule((2,)))
    ahead, chunks = bench.join(1, 60), []
    bench.step(16)
    for _ in range(4):
        bench.step()
        chunks.append(len(ahead.chunks))
    assert chunks == [8, 8, 8, 9]  # the stream has more than a second, and is decoded at every fourth step
    bench.step()
    first = bench.join(2, 60)
    bench.step(2)
    assert (len(ahead.chunks), len(first.chunks), bench.codec.sizes[-1]) == (10, 1, (2, 2))


def test_chunk_size_of_the_least_buffered_stream_is_decoded_first() -> None:
    bench = Bench()
    bench.join(1, 30)
    bench.step(4)
    bench.join(2, 30)
    bench.step(2)
    assert bench.codec.sizes == [(1, 2), (1, 2), (1, 4)]
