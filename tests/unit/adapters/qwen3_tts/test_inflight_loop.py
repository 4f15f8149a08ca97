"""Streams that join, leave and are cancelled between frames, on a fake model and on the test's own thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight import loop
from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.loop import FrameLoop
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits, Scheduler
from adapters.qwen3_tts.inflight.stream import Stream
from adapters.qwen3_tts.inflight.transfer import Transfer
from tests.unit.adapters.qwen3_tts.inflight_fakes import (
    PROMPT,
    FakeCodec,
    FakePreparation,
    FakeStepper,
    LateTransfer,
    LostTransfer,
    audio_of,
)
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded

LIMITS = Limits(slots=3, positions=80, queue=4, queue_seconds=5.0, batch=3)
UNGUARDED = Guards(0)


@dataclass
class Bench:
    """A loop on a fake model, and a clock that stands until a test moves it."""

    limits: Limits = LIMITS
    profile: Profile = PROFILES["latency"]
    guards: Guards = UNGUARDED
    codec: FakeCodec = field(default_factory=FakeCodec)
    behind: int = 0
    prefill_tokens: int = 256
    now: float = 0.0

    def __post_init__(self) -> None:
        self.preparation = FakePreparation()
        self.stepper = FakeStepper(self.limits.slots, self.limits.positions, issued_ahead=self.behind)
        self.scheduler = Scheduler(self.limits, lambda: self.now)
        self.loop = FrameLoop(
            self.scheduler,
            self.stepper,
            self.codec,
            self.profile,
            prefill_tokens=self.prefill_tokens,
            behind=self.behind,
            clock=lambda: self.now,
        )

    def join(
        self, key: int, frames: int, *, prompt: int = PROMPT, timeout: float = math.inf, **options: object
    ) -> Recording:
        recording = Recording()
        self.preparation.prompts[key] = prompt
        utterance = self.preparation.utterance(request("w " * frames, seed=key, **options))
        stream = Stream(utterance, recording, self.now, self.guards.watch(), deadline=self.now + timeout)
        self.scheduler.admit(stream)
        prepared = self.preparation.prepare_soon(utterance)
        assert prepared
        self.scheduler.ready(stream, prepared)
        return recording

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn()

    def run(self) -> None:
        """Turn until nothing is open."""
        for _ in range(10_000):
            if not self.scheduler.open():
                return
            self.loop.turn()
        raise AssertionError("it does not end")

    def all_is_free(self) -> bool:
        load = self.scheduler.load()
        return (load.free_slots, load.reserved, len(self.stepper.made)) == (self.limits.slots, 0, 0)


@pytest.mark.parametrize("behind", [0, 1, 2])
@settings(deadline=None)
@given(
    profile=st.sampled_from(list(PROFILES.values())),
    batch=st.integers(1, 3),
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
def test_each_stream_is_what_it_is_alone_and_whoever_leaves_leaves_nothing(
    behind: int, profile: Profile, batch: int, late: int, prefill_tokens: int, script: list[tuple[str, ...]]
) -> None:
    limits = Limits(slots=3, positions=80, queue=4, queue_seconds=1e9, batch=batch)
    codec = FakeCodec(transfer=partial(LateTransfer, asked=late))
    bench = Bench(limits, profile, codec=codec, behind=behind, prefill_tokens=prefill_tokens)
    spoken: list[tuple[Recording, int, int, int]] = []
    for act, number, *more in script:
        if act == "join":
            prompt, limit = more
            try:
                recording = bench.join(len(spoken), number, prompt=prompt, max_new_tokens=limit)
            except Overloaded:
                assert len(bench.scheduler.open()) == 7 or bench.scheduler.load().reserved > 2 * 3 * 80 - 64
            else:
                spoken.append((recording, len(spoken), number, limit))
        elif act == "leave" and spoken:
            spoken[number % len(spoken)][0].gone = True
        elif act == "turn":
            for _ in range(number):
                bench.loop.turn()
                bench.now += 0.05
    bench.run()
    assert bench.all_is_free()
    for recording, key, frames, limit in spoken:
        heard = recording.samples()
        assert np.array_equal(heard, audio_of(key, frames)[: len(heard)])
        end = ("stop", frames * 1920) if frames < limit else ("length", (limit - 1) * 1920)
        assert recording.gone or (recording.reason, len(heard)) == end
    assert {frames for _, frames in bench.codec.sizes} <= set(profile.sizes)


@pytest.mark.parametrize(("behind", "late"), [(0, 0), (1, 0), (1, 3)])
@settings(deadline=None)
@given(
    kind=st.sampled_from(["stuck", "silent"]),
    since=st.integers(0, 40),
    frames=st.integers(0, 60),
    beside=st.integers(0, 60),
    limit=st.integers(2, 60),
)
def test_a_guard_ends_speech_at_the_same_frame_however_late_the_host_hears_of_it(
    behind: int, late: int, kind: str, since: int, frames: int, beside: int, limit: int
) -> None:
    bench = Bench(
        guards=Guards(9), codec=FakeCodec(transfer=partial(LateTransfer, asked=late)), behind=behind
    )  # fmt: skip
    getattr(bench.stepper, kind)[1] = since
    bench.join(2, beside)
    recording = bench.join(1, frames, max_new_tokens=limit)
    bench.run()
    made = min(frames, limit - 1)
    ends = [2, 6, 14, *range(26, 99, 12)]
    if kind == "stuck":
        heard = min(made, since + 10)  # the first of them repeats nothing
        runs_away = made >= since + 10
    else:
        heard = next((end for end in [end for end in ends if end < made] if end - since >= 9), made)
        runs_away = heard - since >= 9
    assert len(recording.samples()) == heard * 1920
    own_end = "stop" if frames < limit else "length"
    assert recording.reason == ("runaway" if runs_away else own_end)
    assert bench.all_is_free()


def test_the_host_reads_a_frame_while_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(behind=1)
    waits: list[int] = []

    class Watched(Transfer):
        def __init__(self, tensor: torch.Tensor) -> None:
            super().__init__(tensor)
            self.frame = len(bench.stepper.steps)

        def wait(self) -> np.ndarray:
            waits.append(len(bench.stepper.steps) - self.frame)
            return super().wait()

    monkeypatch.setattr(loop, "Transfer", Watched)
    recordings = bench.join(1, 20), bench.join(2, 9)
    bench.run()
    assert [recording.reason for recording in recordings] == ["stop", "stop"]
    *while_there_was_more, codes, ended = waits
    assert set(while_there_was_more) == {1}
    assert (codes, ended) == (0, 0)  # the last frame, which had been issued before the end was known


@pytest.mark.parametrize("behind", [0, 1])
def test_no_frame_is_issued_beyond_the_limit(behind: int) -> None:
    bench = Bench(behind=behind)
    bench.stepper.ends = False
    bench.join(1, 30, max_new_tokens=8)
    bench.run()
    assert bench.stepper.steps == [[1]] * 8


def test_a_slot_is_taken_again_while_a_frame_of_its_last_stream_is_on_its_way() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0, batch=1), behind=1)
    left, heard = bench.join(1, 30), bench.join(2, 5)
    bench.turn(4)
    left.gone = True
    bench.run()
    assert np.array_equal(heard.samples(), audio_of(2, 5))


def test_audio_that_is_not_there_yet_holds_nobody_up() -> None:
    bench = Bench(codec=FakeCodec(transfer=partial(LateTransfer, asked=99)))
    recording = bench.join(1, 40)
    bench.turn(30)
    assert (len(bench.stepper.steps), recording.chunks) == (30, [])
    bench.run()
    assert np.array_equal(recording.samples(), audio_of(1, 40))


def test_a_caller_that_leaves_while_its_audio_is_on_its_way_hears_no_more_of_it() -> None:
    bench = Bench(codec=FakeCodec(transfer=partial(LateTransfer, asked=9)))
    left, stays = bench.join(1, 40), bench.join(2, 40)
    bench.turn(3)
    left.gone = True
    bench.run()
    assert left.chunks == []
    assert np.array_equal(stays.samples(), audio_of(2, 40))
    assert bench.all_is_free()


def test_audio_that_never_arrives_ends_those_in_it() -> None:
    bench = Bench(codec=FakeCodec(transfer=LostTransfer))
    lost = bench.join(1, 5)
    bench.run()
    assert "illegal memory access" in str(lost.error)
    bench.codec.transfer = Transfer
    later = bench.join(2, 5)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_a_frame_that_never_arrives_ends_those_in_it_and_in_the_next_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(behind=1)
    lost = bench.join(1, 9), bench.join(2, 9)
    bench.turn(2)
    monkeypatch.setattr(loop, "Transfer", LostTransfer)
    bench.turn(2)
    monkeypatch.undo()
    assert all("illegal memory access" in str(recording.error) for recording in lost)
    later = bench.join(3, 9)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(3, 9))
    assert bench.all_is_free()


def test_a_cancelled_stream_is_not_in_the_next_frame() -> None:
    bench = Bench()
    left = bench.join(1, 40)
    bench.join(2, 40)
    for _ in range(4):
        bench.loop.turn()
    left.gone = True
    bench.loop.turn()
    assert bench.stepper.steps[-2:] == [[1, 2], [2]]
    assert bench.scheduler.load().free_slots == 2


def test_running_streams_wait_for_one_portion_of_prompts_a_frame() -> None:
    bench = Bench(prefill_tokens=8)
    bench.join(0, 30)
    bench.turn()
    bench.join(1, 9, prompt=20)
    bench.turn(2)
    bench.join(2, 9, prompt=4)
    bench.turn(1)
    bench.run()
    assert bench.stepper.reads == [(0, {0: 5}), (1, {1: 8}), (2, {1: 8}), (3, {1: 4, 2: 4})]
    assert bench.stepper.steps[2:5] == [[0], [0, 1, 2], [0, 1, 2]]


def test_a_prompt_is_read_whole_where_nobody_is_spoken_whom_it_could_delay() -> None:
    bench = Bench(prefill_tokens=8)
    bench.join(1, 9, prompt=20)
    bench.join(2, 9, prompt=3)
    bench.turn(2)
    assert bench.stepper.reads == [(0, {1: 20}), (1, {2: 3})]


def test_a_caller_may_leave_while_its_prompt_is_read() -> None:
    bench = Bench(prefill_tokens=4)
    stays = bench.join(1, 30)
    bench.turn()
    left = bench.join(2, 9, prompt=20)
    bench.turn(2)
    left.gone = True
    bench.run()
    assert 2 not in {key for keys in bench.stepper.steps for key in keys}
    assert len(stays.samples()) == 30 * 1920
    assert bench.all_is_free()


def test_chunks_grow_and_the_last_is_whatever_is_left() -> None:
    bench = Bench()
    recording = bench.join(1, 31)
    bench.run()
    assert [len(chunk) // 1920 for chunk in recording.chunks] == [2, 4, 8, 12, 5]
    assert bench.codec.sizes[-1] == (1, 8)


def test_chunks_of_equal_length_are_decoded_together() -> None:
    bench = Bench()
    for key in range(3):
        bench.join(key, 50)
        bench.turn()
    bench.run()
    assert bench.codec.sizes[:9] == [(1, 2)] * 3 + [(1, 4)] * 3 + [(1, 8)] * 3  # nobody has much audio yet
    assert bench.codec.sizes[9:] == [(3, 12)] * 3


def test_who_is_heard_first_goes_before_who_has_audio_left() -> None:
    bench = Bench(Limits(slots=3, positions=80, queue=0, queue_seconds=5.0, batch=1))
    first = bench.join(1, 30)
    for _ in range(6):
        bench.loop.turn()
    assert len(first.chunks) == 2
    second = bench.join(2, 30)
    while not second.chunks:
        bench.loop.turn()
    assert bench.stepper.steps[6:] == [[2], [2]]


def test_who_runs_dry_first_is_stepped_first() -> None:
    bench = Bench(Limits(slots=2, positions=80, queue=0, queue_seconds=5.0, batch=1), Profile((2,)))
    bench.join(1, 30)
    bench.loop.turn()
    bench.loop.turn()
    bench.now = 0.1
    bench.join(2, 30)
    bench.loop.turn()
    bench.loop.turn()
    bench.now = 0.12  # the first has 0.04 s of its 0.16 left, the second 0.14
    bench.loop.turn()
    assert bench.stepper.steps == [[1], [1], [2], [2], [1]]


def test_speech_is_cut_at_the_callers_limit_whose_last_token_is_not_spoken() -> None:
    bench = Bench()
    cut, whole = bench.join(1, 30, max_new_tokens=8), bench.join(2, 7, max_new_tokens=8)
    bench.run()
    assert (cut.reason, len(cut.samples())) == ("length", 7 * 1920)
    assert (whole.reason, len(whole.samples())) == ("stop", 7 * 1920)


def test_speech_is_cut_where_its_slot_is_full() -> None:
    bench = Bench(Limits(slots=1, positions=20, queue=0, queue_seconds=5.0, batch=1))
    bench.stepper.ends = False
    recording = bench.join(1, 15)
    bench.run()
    assert (recording.reason, len(recording.samples())) == ("length", (20 - PROMPT - 1) * 1920)


def test_a_prompt_that_fills_a_slot_is_refused() -> None:
    bench = Bench(Limits(slots=1, positions=PROMPT + 1, queue=0, queue_seconds=5.0, batch=1))
    with pytest.raises(InvalidInput, match="text: comes to 5 positions with its prompt; 4 fit"):
        bench.join(1, 15)


def test_speech_of_no_frame_at_all_ends_without_audio() -> None:
    bench = Bench()
    recording = bench.join(1, 0)
    bench.run()
    assert (recording.reason, recording.chunks) == ("stop", [])


def test_speech_that_repeats_itself_is_a_runaway() -> None:
    bench = Bench(guards=Guards(10))
    bench.stepper.stuck[1] = 0
    recording = bench.join(1, 60)
    bench.run()
    assert (recording.reason, len(recording.samples())) == ("runaway", 11 * 1920)


def test_speech_that_is_silent_is_a_runaway() -> None:
    bench = Bench(guards=Guards(10), codec=FakeCodec(level=1e-5))
    recording = bench.join(1, 60)
    bench.run()
    assert recording.reason == "runaway"
    assert 10 * 1920 <= len(recording.samples()) < 24 * 1920


def test_speech_that_ends_by_no_guard_is_cut_by_the_length_of_its_text() -> None:
    bench = Bench()
    bench.stepper.ends = False
    recording = bench.join(1, 60)
    bench.run()
    assert (recording.reason, len(recording.samples())) == ("runaway", 63 * 1920)


def test_a_stream_that_waits_for_too_long_is_told() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0, batch=1))
    bench.join(1, 60)
    bench.loop.turn()
    late = bench.join(2, 1)
    bench.now = 5.1
    bench.loop.turn()
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
    bench.stepper.read = once(RuntimeError("no such token"), bench.stepper.read)  # type: ignore[method-assign]
    bench.run()
    assert str(bad.error) == "no such token"
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


def test_a_request_whose_time_runs_out_while_it_waits_is_refused_and_nothing_is_done_for_it() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=1, queue_seconds=5.0, batch=1))
    bench.join(1, 60)
    bench.turn()
    late = bench.join(2, 1, timeout=2.0)
    bench.now = 1.9
    bench.turn()
    assert late.error is None
    bench.now = 2.0
    bench.turn()
    assert isinstance(late.error, Overloaded)
    bench.run()
    assert bench.stepper.reads == [(0, {1: 5})]


@pytest.mark.parametrize("behind", [0, 1])
def test_a_request_whose_time_runs_out_while_it_is_spoken_ends_there_and_its_slot_is_free(behind: int) -> None:
    bench = Bench(behind=behind)
    late, other = bench.join(1, 60, timeout=2.0), bench.join(2, 60)
    bench.turn(5)
    bench.now = 2.0
    bench.turn()
    assert isinstance(late.error, DeadlinePassed)
    assert bench.stepper.steps[-1] == [2]
    bench.run()
    assert len(other.samples()) == 60 * 1920
    assert bench.all_is_free()


def test_when_to_try_again_is_told_by_how_far_those_who_are_spoken_have_come() -> None:
    bench = Bench(Limits(slots=2, positions=80, queue=0, queue_seconds=5.0, batch=2))
    bench.stepper.ends = False
    bench.join(1, 5, max_new_tokens=60)
    bench.join(2, 15, max_new_tokens=60)
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 1  # nobody has begun
    for _ in range(8):
        bench.turn()
        bench.now += 0.5
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 6  # four frames a word: 12 of 20 are to come, at half a second each


def test_before_a_stream_has_a_pace_the_last_one_tells_when_to_try_again() -> None:
    bench = Bench(Limits(slots=1, positions=80, queue=0, queue_seconds=5.0, batch=1))
    bench.join(1, 4)
    for _ in range(5):
        bench.turn()
        bench.now += 0.5
    bench.join(2, 10)
    bench.turn()
    with pytest.raises(Overloaded) as full:
        bench.join(3, 1)
    assert full.value.retry_after == 16  # 39 more frames; the four before, and their end, took 2 s
    bench.run()


@pytest.mark.parametrize("batch", [1, 2])
def test_nobody_starves_where_more_are_open_than_a_batch_holds(batch: int) -> None:
    bench = Bench(Limits(slots=5, positions=80, queue=0, queue_seconds=5.0, batch=batch), Profile((2,)))
    recordings = [bench.join(key, 60) for key in range(5)]
    while bench.scheduler.open():
        bench.turn()
        bench.now += 0.05
    assert all(len(recording.samples()) == 60 * 1920 for recording in recordings)
    begun = 5 * 2 // batch  # everybody is heard once
    stepped = [[turn for turn, keys in enumerate(bench.stepper.steps) if key in keys] for key in range(5)]
    assert all(turns[0] < begun for turns in stepped)
    waits = [after - before for turns in stepped for before, after in pairwise(turns)]
    assert max(waits) <= 2 * begun


def test_an_error_in_a_frame_ends_those_in_it_and_the_next_are_as_ever() -> None:
    bench = Bench()
    lost = bench.join(1, 5), bench.join(2, 5)
    bench.loop.turn()
    bench.loop.turn()
    bench.stepper.breaks = RuntimeError("out of memory")
    bench.loop.turn()
    assert all(str(recording.error) == "out of memory" for recording in lost)
    bench.stepper.breaks = None
    assert bench.all_is_free()
    later = bench.join(3, 5)
    bench.run()
    assert np.array_equal(later.samples(), audio_of(3, 5))


def test_an_error_while_decoding_ends_those_of_its_batch() -> None:
    bench = Bench(codec=FakeCodec(breaks_on_key=1))
    lost = bench.join(1, 5)
    bench.turn()
    good = bench.join(2, 5)
    bench.run()
    assert str(lost.error) == "out of memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))


def test_audio_that_is_no_number_is_an_error() -> None:
    bench = Bench(codec=FakeCodec(level=float("nan")))
    recording = bench.join(1, 5)
    bench.run()
    with pytest.raises(RuntimeError, match="NaN"):
        recording.samples()
