"""The end of a stream: at its end token, a limit, a runaway, a deadline or an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from tests.unit.adapters.qwen3_tts.scheduling.bench import Bench
from tests.unit.adapters.qwen3_tts.scheduling.fakes import PROMPT, FakeCodec, LateCopy, LostCopy, audio_of
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded


@pytest.mark.parametrize(("pipeline_depth", "late"), [(0, 0), (1, 0), (1, 3)])
@settings(deadline=None)
@given(
    kind=st.sampled_from(["stuck", "silent"]),
    since=st.integers(0, 40),
    frames=st.integers(0, 60),
    beside=st.integers(0, 60),
    limit=st.integers(2, 60),
)
def test_runaway_ends_at_the_same_frame_at_any_pipeline_depth_and_copy_delay(
    pipeline_depth: int, late: int, kind: str, since: int, frames: int, beside: int, limit: int
) -> None:
    codec = FakeCodec(copy=partial(LateCopy, polls=late))
    bench = Bench(runaway_frames=9, codec=codec, pipeline_depth=pipeline_depth)
    getattr(bench.stepper, kind)[1] = since
    bench.join(2, beside)
    collector = bench.join(1, frames, max_new_tokens=limit)
    bench.run()
    made = min(frames, limit - 1)
    ends = [2, 6, 14, *range(26, 99, 12)]
    if kind == "stuck":
        sent = min(made, since + 10)  # the first of them repeats nothing
        runs_away = made >= since + 10
    else:
        sent = next((end for end in [end for end in ends if end < made] if end - since >= 9), made)
        runs_away = sent - since >= 9
    assert len(collector.samples()) == sent * 1920
    own_end = "stop" if frames < limit else "length"
    assert collector.reason == ("runaway" if runs_away else own_end)
    assert bench.all_is_free()


def test_lost_audio_fails_the_streams_of_its_batch() -> None:
    bench = Bench(codec=FakeCodec(copy=LostCopy))
    lost = bench.join(1, 5)
    bench.run()
    assert "illegal memory access" in str(lost.error)
    bench.codec.copy = AsyncCopy
    later = bench.join(2, 5)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_lost_frame_fails_each_stream_of_it_and_the_next_frame_once() -> None:
    bench = Bench(pipeline_depth=1)
    lost = bench.join(1, 9), bench.join(2, 9)
    bench.step(2)
    bench.copy_frame = LostCopy
    bench.step(2)
    bench.copy_frame = AsyncCopy
    assert all("illegal memory access" in str(collector.error) for collector in lost)
    later = bench.join(3, 9)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(3, 9))
    assert bench.all_is_free()


def test_stream_stops_at_max_new_tokens_without_the_last_token() -> None:
    bench = Bench()
    cut, whole = bench.join(1, 30, max_new_tokens=8), bench.join(2, 7, max_new_tokens=8)
    bench.run()
    assert (cut.reason, len(cut.samples())) == ("length", 7 * 1920)
    assert (whole.reason, len(whole.samples())) == ("stop", 7 * 1920)


def test_stream_stops_when_its_slot_is_full() -> None:
    bench = Bench(Limits(slots=1, positions=20, queue=0, queue_seconds=5.0))
    bench.stepper.ends = False
    collector = bench.join(1, 15)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("length", (20 - PROMPT - 1) * 1920)


def test_prompt_that_fills_a_slot_is_rejected() -> None:
    bench = Bench(Limits(slots=1, positions=PROMPT + 1, queue=0, queue_seconds=5.0))
    with pytest.raises(InvalidInput, match="text: needs 5 positions with its prompt; at most 4"):
        bench.join(1, 15)


def test_stream_without_frames_ends_without_audio() -> None:
    bench = Bench()
    collector = bench.join(1, 0)
    bench.run()
    assert (collector.reason, collector.chunks) == ("stop", [])


def test_repeating_stream_is_a_runaway() -> None:
    bench = Bench(runaway_frames=10)
    bench.stepper.stuck[1] = 0
    collector = bench.join(1, 60)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("runaway", 11 * 1920)


def test_silent_stream_is_a_runaway() -> None:
    bench = Bench(runaway_frames=10, codec=FakeCodec(level=1e-5))
    collector = bench.join(1, 60)
    bench.run()
    assert collector.reason == "runaway"
    assert 10 * 1920 <= len(collector.samples()) < 24 * 1920


def test_endless_stream_stops_at_the_runaway_limit_of_its_text() -> None:
    bench = Bench()
    bench.stepper.ends = False
    collector = bench.join(1, 60)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("runaway", 63 * 1920)


def test_stream_that_waits_too_long_fails_as_overloaded() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0))
    bench.join(1, 60)
    bench.loop.step()
    late = bench.join(2, 1)
    bench.now = 5.1
    bench.loop.step()
    assert isinstance(late.error, Overloaded)


def once(fail: Exception, work: Callable[..., None]) -> Callable[..., None]:
    """Return the same work, except that the first call fails."""
    failed = []

    def work_or_fail(*arguments: object) -> None:
        if not failed:
            failed.append(True)
            raise fail
        work(*arguments)

    return work_or_fail


def test_stream_that_cannot_be_opened_fails_alone() -> None:
    bench = Bench()
    bad, good = bench.join(1, 5), bench.join(2, 5)
    bench.stepper.open = once(RuntimeError("no memory"), bench.stepper.open)  # type: ignore[method-assign]
    bench.run()
    assert str(bad.error) == "no memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_prefill_error_fails_only_the_prefilled_streams() -> None:
    bench = Bench(prefill_tokens=5)
    bad, good = bench.join(1, 5), bench.join(2, 5)
    bench.stepper.prefill = once(RuntimeError("no such token"), bench.stepper.prefill)  # type: ignore[method-assign]
    bench.run()
    assert str(bad.error) == "no such token"
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_request_that_times_out_in_the_queue_fails_without_any_work() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0))
    bench.join(1, 60)
    bench.step()
    late = bench.join(2, 1, timeout=2.0)
    bench.now = 1.9
    bench.step()
    assert late.error is None
    bench.now = 2.0
    bench.step()
    assert isinstance(late.error, Overloaded)
    bench.run()
    assert bench.stepper.prefills == [(0, {1: 5})]


@pytest.mark.parametrize("pipeline_depth", [0, 1])
def test_request_that_times_out_while_decoding_ends_and_frees_its_slot(pipeline_depth: int) -> None:
    bench = Bench(pipeline_depth=pipeline_depth)
    late, other = bench.join(1, 60, timeout=2.0), bench.join(2, 60)
    bench.step(5)
    bench.now = 2.0
    bench.step()
    assert isinstance(late.error, DeadlinePassed)
    assert bench.stepper.steps[-1] == [2]
    bench.run()
    assert not bench.loop.faults
    assert len(other.samples()) == 60 * 1920
    assert bench.all_is_free()


def test_retry_after_is_estimated_from_the_progress_of_the_streams() -> None:
    bench = Bench(Limits(slots=2, positions=80, queue=0, queue_seconds=5.0))
    bench.stepper.ends = False
    bench.join(1, 5, max_new_tokens=60)
    bench.join(2, 15, max_new_tokens=60)
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 1  # no stream has a frame yet
    for _ in range(8):
        bench.step()
        bench.now += 0.5
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 6  # four frames a word: 12 of 20 are left, at half a second each


def test_retry_after_is_a_second_if_a_stream_has_drawn_its_end_token() -> None:
    one = Limits(slots=1, positions=80, queue=0, queue_seconds=5.0)
    bench = Bench(one, codec=FakeCodec(copy=partial(LateCopy, polls=99)))
    bench.join(1, 5)
    for _ in range(6):
        bench.step()
        bench.now += 0.5
    with pytest.raises(Overloaded) as full:
        bench.join(2, 1)
    assert full.value.retry_after == 1
    bench.run()


def test_retry_after_is_at_most_a_minute() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=0, queue_seconds=5.0))
    bench.join(1, 60)
    bench.step()
    bench.now = 50.0
    with pytest.raises(Overloaded) as full:
        bench.join(2, 1)
    assert full.value.retry_after == 60
    bench.run()


def test_retry_after_uses_the_last_streams_pace_before_the_first_frame() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=0, queue_seconds=5.0))
    bench.join(1, 4)
    for _ in range(5):
        bench.step()
        bench.now += 0.5
    bench.join(2, 10)
    bench.step()
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 16  # 39 more frames; the last stream took 2 s for four and the end token
    bench.run()


def test_frame_error_fails_its_streams_and_later_ones_work() -> None:
    bench = Bench()
    lost = bench.join(1, 5), bench.join(2, 5)
    bench.loop.step()
    bench.loop.step()
    bench.stepper.breaks = RuntimeError("out of memory")
    bench.loop.step()
    assert all(str(collector.error) == "out of memory" for collector in lost)
    assert bench.loop.faults == len(lost)
    bench.stepper.breaks = None
    assert bench.all_is_free()
    later = bench.join(3, 5)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(3, 5))


def test_decode_error_fails_only_the_streams_of_its_batch() -> None:
    bench = Bench(codec=FakeCodec(breaks_on_key=1))
    lost = bench.join(1, 5)
    bench.step()
    good = bench.join(2, 5)
    bench.run()
    assert str(lost.error) == "out of memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))


def test_nan_audio_is_an_error() -> None:
    bench = Bench(codec=FakeCodec(level=float("nan")))
    collector = bench.join(1, 5)
    bench.run()
    with pytest.raises(RuntimeError, match="NaN"):
        collector.samples()
