"""Streams that join, leave and are cancelled between frames, on a fake model and on the test's own thread."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.loop import FrameLoop
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits, Scheduler
from adapters.qwen3_tts.inflight.stream import Stream
from tests.unit.adapters.qwen3_tts.inflight_fakes import PROMPT, FakeCodec, FakePreparation, FakeStepper, audio_of
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import InvalidInput, Overloaded

LIMITS = Limits(slots=3, positions=80, queue=4, queue_seconds=5.0, batch=3)
UNGUARDED = Guards(0)


@dataclass
class Bench:
    """A loop on a fake model, and a clock that stands until a test moves it."""

    limits: Limits = LIMITS
    profile: Profile = PROFILES["latency"]
    guards: Guards = UNGUARDED
    codec: FakeCodec = field(default_factory=FakeCodec)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.preparation = FakePreparation()
        self.stepper = FakeStepper(self.limits.slots, self.limits.positions)
        self.scheduler = Scheduler(self.limits, lambda: self.now)
        self.loop = FrameLoop(self.scheduler, self.stepper, self.codec, self.profile, lambda: self.now)

    def join(self, key: int, frames: int, **options: object) -> Recording:
        recording = Recording()
        utterance = self.preparation.utterance(request("w " * frames, seed=key, **options))
        stream = Stream(utterance, recording, self.now, self.guards.watch())
        self.scheduler.admit(stream)
        self.scheduler.ready(stream, self.preparation.prepare(utterance))
        return recording

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


@given(
    profile=st.sampled_from(list(PROFILES.values())),
    batch=st.integers(1, 3),
    script=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 40)),
            st.tuples(st.just("leave"), st.integers(0, 9)),
            st.tuples(st.just("turn"), st.integers(1, 9)),
        ),
        max_size=40,
    ),
)
def test_each_stream_is_what_it_is_alone_and_whoever_leaves_leaves_nothing(
    profile: Profile, batch: int, script: list[tuple[str, int]]
) -> None:
    bench = Bench(Limits(slots=3, positions=80, queue=4, queue_seconds=1e9, batch=batch), profile)
    spoken: list[tuple[Recording, int, int]] = []
    for act, number in script:
        if act == "join":
            try:
                spoken.append((bench.join(len(spoken), number), len(spoken), number))
            except Overloaded:
                assert len(bench.scheduler.open()) == 7 or bench.scheduler.load().reserved > 2 * 3 * 80 - 64
        elif act == "leave" and spoken:
            spoken[number % len(spoken)][0].gone = True
        elif act == "turn":
            for _ in range(number):
                bench.loop.turn()
                bench.now += 0.05
    bench.run()
    assert bench.all_is_free()
    for recording, key, frames in spoken:
        heard = recording.samples()
        assert np.array_equal(heard, audio_of(key, frames)[: len(heard)])
        assert recording.gone or (recording.reason, len(heard)) == ("stop", frames * 1920)
    assert {frames for _, frames in bench.codec.sizes} <= set(profile.sizes)


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


def test_running_streams_wait_for_one_prefill_a_frame() -> None:
    bench = Bench()
    for key in range(3):
        bench.join(key, 9)
    bench.run()
    assert bench.stepper.prefills == [0, 1, 2]


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
    bench.stepper.stuck = True
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


def test_an_error_of_one_prefill_is_that_streams_alone() -> None:
    bench = Bench()
    bench.join(1, 5)
    good = bench.join(2, 5)
    bad, prefill = [], bench.stepper.prefill

    def fail_once(slot: int, prompt: object, sampling: object) -> None:
        if not bad:
            bad.append(slot)
            raise RuntimeError("no such token")
        prefill(slot, prompt, sampling)  # type: ignore[arg-type]

    bench.stepper.prefill = fail_once  # type: ignore[method-assign]
    bench.run()
    assert np.array_equal(good.samples(), audio_of(2, 5))
    assert bench.all_is_free()


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
    lost, good = bench.join(1, 5), bench.join(2, 5)
    bench.run()
    assert str(lost.error) == "out of memory"
    assert np.array_equal(good.samples(), audio_of(2, 5))


def test_audio_that_is_no_number_is_an_error() -> None:
    bench = Bench(codec=FakeCodec(level=float("nan")))
    recording = bench.join(1, 5)
    bench.run()
    with pytest.raises(RuntimeError, match="NaN"):
        recording.samples()
