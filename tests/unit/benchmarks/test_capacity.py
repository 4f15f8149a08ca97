"""The simulation of pools agrees with what queueing theory knows, and with arithmetic."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.capacity.pool import Scaling, simulate
from benchmarks.capacity.questions import gpus_for, policies
from benchmarks.capacity.speeds import Speeds
from benchmarks.capacity.traffic import Request, day, steady

ALONE = Speeds(frame_seconds={1: 0.01}, prefill_seconds=0.0, first_frames=1, slots=1)
SHARED = Speeds(frame_seconds={1: 0.01, 4: 0.04}, prefill_seconds=0.02, first_frames=2, slots=4)


def test_one_stream_at_a_time_waits_for_those_before_it() -> None:
    requests = simulate(steady(0.8, 2_000, seed=3, mean=100), ALONE, 1).requests
    wait = 0.0
    for request, later in pairwise(requests):
        assert request.first_audio == pytest.approx(request.at + wait + 0.01)
        takes = 0.01 * (request.frames + 1)  # the end is drawn in a frame of its own
        wait = max(0.0, wait + takes - (later.at - request.at))  # Lindley's recursion


def test_streams_share_the_engine_and_a_new_one_stops_them_while_it_is_read() -> None:
    first, second = simulate([Request(0.0, 4), Request(0.03, 2)], SHARED, 1).requests
    assert first.first_audio == pytest.approx(0.07)
    # A frame ends at 0.03; the second is read until 0.05; each frame of both takes 0.02, and the last one alone 0.01.
    assert second.first_audio == pytest.approx(0.09)
    assert second.ended == pytest.approx(0.11)
    assert first.ended == pytest.approx(0.12)


def test_a_prompt_is_read_in_pieces_with_a_frame_of_the_others_between_two() -> None:
    speeds = replace(SHARED, prompt_tokens=80, prefill_tokens=32, piece_seconds=0.01)
    alone, later = simulate([Request(0.0, 50), Request(0.025, 50)], speeds, 1).requests
    assert alone.first_audio == pytest.approx(0.02 + 0.01 + (0.014 + 0.01))  # read at once
    # A frame ends at 0.03; then pieces of 32, 32 and 16 tokens, two frames of the first, and two of both.
    assert later.first_audio == pytest.approx(0.03 + 2 * 0.014 + 0.012 + 2 * 0.01 + 2 * 0.02)


def test_requests_share_the_tokens_that_are_read_between_two_frames() -> None:
    speeds = replace(SHARED, prompt_tokens=16, prefill_tokens=32)
    _, *both = simulate([Request(0.0, 50), Request(0.025, 50), Request(0.025, 50)], speeds, 1).requests
    assert [each.first_audio for each in both] == pytest.approx([0.03 + 2 * 0.02 + 2 * 0.03] * 2)


def test_audio_is_decoded_after_the_frame_that_completes_a_chunk_and_first_audio_before_that_of_others() -> None:
    speeds = replace(SHARED, chunk_seconds={2: 0.001, 4: 0.002})
    (alone,) = simulate([Request(0.0, 11)], speeds, 1).requests
    assert alone.first_audio == pytest.approx(0.02 + 2 * 0.01 + 0.001)
    # Chunks of 2, 4 and 4 frames, the twelfth frame draws the end, and then one frame is left to decode.
    assert alone.ended == pytest.approx(0.02 + 12 * 0.01 + 0.001 + 2 * 0.002 + 0.001)
    early, late = simulate([Request(0.0, 11), Request(0.055, 11)], speeds, 1).requests
    # A frame ends at 0.061; the late one is read until 0.081; the second frame of both completes a chunk of each.
    assert late.first_audio == pytest.approx(0.122)
    assert early.first_audio == pytest.approx(0.041)


def test_speeds_are_read_from_json() -> None:
    speeds = replace(SHARED, chunk_seconds={2: 0.001, 4: 0.002})
    assert Speeds.read(json.loads(json.dumps(asdict(speeds)))) == speeds
    assert (speeds.decode(1), speeds.decode(3), speeds.decode(4)) == (0.001, 0.002, 0.002)


def test_more_requests_than_slots_wait_in_order() -> None:
    requests = simulate([Request(0.0, 10) for _ in range(6)], SHARED, 1).requests
    assert [request.first_audio for request in requests] == sorted(request.first_audio for request in requests)
    assert requests[4].first_audio > requests[0].ended


def test_a_pool_grows_after_the_start_of_a_server_and_shrinks_again() -> None:
    busy = [(float(second), 200) for second in range(1, 300)]
    scaling = Scaling(1, 4, open_requests=2, start_seconds=60.0)
    outcome = simulate([Request(*each) for each in [*busy, (4_000.0, 10)]], SHARED, 1, scaling=scaling)
    assert all(request.ended > request.first_audio > request.at for request in outcome.requests)
    assert outcome.requests[-1].waited == pytest.approx(0.04)
    alone = simulate([Request(*each) for each in busy], SHARED, 1)
    assert outcome.requests[-2].ended < 0.5 * alone.requests[-1].ended
    assert 4_000 < outcome.server_seconds < 2 * 4_000


def test_a_request_that_finds_no_server_waits_for_its_start() -> None:
    scaling = Scaling(0, 1, open_requests=2, start_seconds=60.0)
    outcome = simulate([Request(100.0, 10), Request(2_000.0, 10)], SHARED, 0, scaling=scaling)
    assert outcome.cold == 2
    assert all(60 < request.waited < 60 + 15 + 1 for request in outcome.requests)
    assert outcome.server_seconds < 1_000


def test_a_day_has_the_peak_that_was_asked_for() -> None:
    requests = day(2.0, seed=1)
    hours = np.bincount([int(request.at // 3600) for request in requests], minlength=24)
    assert hours.max() == pytest.approx(2.0 * 3600, rel=0.1)
    assert hours[3] < 0.1 * hours.max()


def test_more_requests_need_more_servers() -> None:
    rows = gpus_for(SHARED, (1, 4), limit=0.2, seconds=120)
    assert rows[0]["gpus"] < rows[1]["gpus"]
    assert all(row["p95_ms"] <= 200 for row in rows)


def test_policies_are_compared_at_the_same_load() -> None:
    (row,) = policies(SHARED, 3, (0.5,), 300)
    assert row["least silent"]["p95_ms"] <= row["round robin"]["p95_ms"]
    assert len(steady(row["requests_per_second"], 300, 7)) > 10


def test_a_limit_that_no_number_of_servers_can_keep_is_an_error() -> None:
    slow = replace(SHARED, prefill_seconds=0.2)
    with pytest.raises(ValueError, match=r"a request alone has its first audio after 220\.0 ms"):
        gpus_for(slow, (1,), 0.1, 60.0)
