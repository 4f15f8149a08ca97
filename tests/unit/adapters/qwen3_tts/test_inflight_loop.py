"""Streams that join, leave and are cancelled between frames, on a fake model and on the test's own thread."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight import loop
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits
from adapters.qwen3_tts.inflight.transfer import Transfer
from tests.unit.adapters.qwen3_tts.inflight_bench import Bench
from tests.unit.adapters.qwen3_tts.inflight_fakes import FakeCodec, LateTransfer, audio_of
from tritone.errors import Overloaded


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


def test_audio_that_arrives_while_a_frame_is_made_is_heard_before_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(codec=FakeCodec(transfer=partial(LateTransfer, asked=3)), behind=1)
    recording = bench.join(1, 40)
    chunks: list[int] = []

    class Slow(LateTransfer):
        def __init__(self, tensor: torch.Tensor) -> None:
            super().__init__(tensor, asked=9)

        def wait(self) -> np.ndarray:
            chunks.append(len(recording.chunks))
            return super().wait()

    monkeypatch.setattr(loop, "Transfer", Slow)
    bench.turn(4)
    assert chunks == [0, 0, 0, 0, 1, 1]  # codes and end of three frames, the first two of which are the first chunk
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


def test_who_has_audio_left_waits_a_few_frames_for_company_and_goes_along_with_who_has_none() -> None:
    bench = Bench(profile=Profile((2,)))
    ahead, chunks = bench.join(1, 60), []
    bench.turn(16)
    for _ in range(4):
        bench.turn()
        chunks.append(len(ahead.chunks))
    assert chunks == [8, 8, 8, 9]  # it has more than a second, and would be decoded at the 18th
    bench.turn()
    first = bench.join(2, 60)
    bench.turn(2)
    assert (len(ahead.chunks), len(first.chunks), bench.codec.sizes[-1]) == (10, 1, (2, 2))


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


def test_of_those_who_have_heard_nothing_who_came_first_goes_first() -> None:
    bench = Bench(Limits(slots=2, positions=80, queue=0, queue_seconds=5.0, batch=1))
    bench.join(1, 30)
    bench.now = 0.01
    bench.join(2, 30)
    bench.turn(4)
    assert bench.stepper.steps == [[1], [1], [2], [2]]


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
