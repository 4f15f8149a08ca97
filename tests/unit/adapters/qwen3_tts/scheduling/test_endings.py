"""How a stream ends between two frames: by itself, at a limit or a guard, too late, or by an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.scheduling.scheduler import Limits
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
def test_a_guard_ends_speech_at_the_same_frame_however_late_the_host_hears_of_it(
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
        heard = min(made, since + 10)  # the first of them repeats nothing
        runs_away = made >= since + 10
    else:
        heard = next((end for end in [end for end in ends if end < made] if end - since >= 9), made)
        runs_away = heard - since >= 9
    assert len(collector.samples()) == heard * 1920
    own_end = "stop" if frames < limit else "length"
    assert collector.reason == ("runaway" if runs_away else own_end)
    assert bench.all_is_free()


def test_audio_that_never_arrives_ends_those_in_it() -> None:
    bench = Bench(codec=FakeCodec(copy=LostCopy))
    lost = bench.join(1, 5)
    bench.run()
    assert "illegal memory access" in str(lost.error)
    bench.codec.copy = AsyncCopy
    later = bench.join(2, 5)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_a_frame_that_never_arrives_ends_those_in_it_and_in_the_next_once() -> None:
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


def test_speech_is_cut_at_the_callers_limit_whose_last_token_is_not_spoken() -> None:
    bench = Bench()
    cut, whole = bench.join(1, 30, max_new_tokens=8), bench.join(2, 7, max_new_tokens=8)
    bench.run()
    assert (cut.reason, len(cut.samples())) == ("length", 7 * 1920)
    assert (whole.reason, len(whole.samples())) == ("stop", 7 * 1920)


def test_speech_is_cut_where_its_slot_is_full() -> None:
    bench = Bench(Limits(slots=1, positions=20, queue=0, queue_seconds=5.0))
    bench.stepper.ends = False
    collector = bench.join(1, 15)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("length", (20 - PROMPT - 1) * 1920)


def test_a_prompt_that_fills_a_slot_is_refused() -> None:
    bench = Bench(Limits(slots=1, positions=PROMPT + 1, queue=0, queue_seconds=5.0))
    with pytest.raises(InvalidInput, match="text: needs 5 positions with its prompt; at most 4"):
        bench.join(1, 15)


def test_speech_of_no_frame_at_all_ends_without_audio() -> None:
    bench = Bench()
    collector = bench.join(1, 0)
    bench.run()
    assert (collector.reason, collector.chunks) == ("stop", [])


def test_speech_that_repeats_itself_is_a_runaway() -> None:
    bench = Bench(runaway_frames=10)
    bench.stepper.stuck[1] = 0
    collector = bench.join(1, 60)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("runaway", 11 * 1920)


def test_speech_that_is_silent_is_a_runaway() -> None:
    bench = Bench(runaway_frames=10, codec=FakeCodec(level=1e-5))
    collector = bench.join(1, 60)
    bench.run()
    assert collector.reason == "runaway"
    assert 10 * 1920 <= len(collector.samples()) < 24 * 1920


def test_speech_that_ends_by_no_guard_is_cut_by_the_length_of_its_text() -> None:
    bench = Bench()
    bench.stepper.ends = False
    collector = bench.join(1, 60)
    bench.run()
    assert (collector.reason, len(collector.samples())) == ("runaway", 63 * 1920)


def test_a_stream_that_waits_for_too_long_is_told() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0))
    bench.join(1, 60)
    bench.loop.step()
    late = bench.join(2, 1)
    bench.now = 5.1
    bench.loop.step()
    assert isinstance(late.error, Overloaded)


def once(fail: Exception, work: Callable[..., None]) -> Callable[..., None]:
    """The same work, which fails the first time."""
    failed = []

    def work_or_fail(*arguments: object) -> None:
        if not failed:
            failed.append(True)
            raise fail
        work(*arguments)

    return work_or_fail


def test_a_stream_that_cannot_be_opened_fails_alone() -> None:
    bench = Bench()
    bad, good = bench.join(1, 5), bench.join(2, 5)
    bench.stepper.open = once(RuntimeError("no memory"), bench.stepper.open)  # type: ignore[method-assign]
    bench.run()
    assert str(bad.error) == "no memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_an_error_while_prompts_are_read_ends_those_that_were_read() -> None:
    bench = Bench(prefill_tokens=5)
    bad, good = bench.join(1, 5), bench.join(2, 5)
    bench.stepper.prefill = once(RuntimeError("no such token"), bench.stepper.prefill)  # type: ignore[method-assign]
    bench.run()
    assert str(bad.error) == "no such token"
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_a_request_whose_time_runs_out_while_it_waits_is_refused_and_nothing_is_done_for_it() -> None:
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
def test_a_request_whose_time_runs_out_while_it_is_spoken_ends_there_and_its_slot_is_free(pipeline_depth: int) -> None:
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


def test_when_to_try_again_is_told_by_how_far_those_who_are_spoken_have_come() -> None:
    bench = Bench(Limits(slots=2, positions=80, queue=0, queue_seconds=5.0))
    bench.stepper.ends = False
    bench.join(1, 5, max_new_tokens=60)
    bench.join(2, 15, max_new_tokens=60)
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 1  # nobody has begun
    for _ in range(8):
        bench.step()
        bench.now += 0.5
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 6  # four frames a word: 12 of 20 are to come, at half a second each


def test_who_has_drawn_the_end_is_about_to_leave() -> None:
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


def test_nobody_is_told_to_wait_for_more_than_a_minute() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=0, queue_seconds=5.0))
    bench.join(1, 60)
    bench.step()
    bench.now = 50.0
    with pytest.raises(Overloaded) as full:
        bench.join(2, 1)
    assert full.value.retry_after == 60
    bench.run()


def test_before_a_stream_has_a_pace_the_last_one_tells_when_to_try_again() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=0, queue_seconds=5.0))
    bench.join(1, 4)
    for _ in range(5):
        bench.step()
        bench.now += 0.5
    bench.join(2, 10)
    bench.step()
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 16  # 39 more frames; the four before, and their end, took 2 s
    bench.run()


def test_an_error_in_a_frame_ends_those_in_it_and_the_next_are_as_ever() -> None:
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


def test_an_error_while_decoding_ends_those_of_its_batch() -> None:
    bench = Bench(codec=FakeCodec(breaks_on_key=1))
    lost = bench.join(1, 5)
    bench.step()
    good = bench.join(2, 5)
    bench.run()
    assert str(lost.error) == "out of memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))


def test_audio_that_is_no_number_is_an_error() -> None:
    bench = Bench(codec=FakeCodec(level=float("nan")))
    collector = bench.join(1, 5)
    bench.run()
    with pytest.raises(RuntimeError, match="NaN"):
        collector.samples()
