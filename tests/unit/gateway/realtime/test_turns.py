"""Turns that are longer than a model can hear at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.realtime.protocol import TurnDetection
from gateway.realtime.turns import Started, Stopped, Turns
from tritone.contract import LISTEN_RATE
from tritone.windowing import MAX_SAMPLES, Samples


def probabilities(frames: Samples) -> NDArray[np.float32]:
    """Of speech: a frame's loudness."""
    return np.abs(frames).max(axis=1)


def hear(*stretches: tuple[float, float]) -> tuple[list[Started | Stopped], Samples]:
    """The turns in stretches of so many seconds and so probable speech, and all of the audio."""
    audio = np.concatenate([np.full(int(seconds * LISTEN_RATE), level, np.float32) for seconds, level in stretches])
    turns = Turns(probabilities)
    turns.detection = TurnDetection()
    return list(turns.hear(audio)), audio


def test_a_turn_without_an_end_is_parted_in_its_longest_late_pause_and_loses_nothing() -> None:
    events, audio = hear((8, 0.9), (0.45, 0.0), (14, 0.8), (0.4, 0.0), (15, 0.7), (1, 0.0))
    first_start, first, second_start, second = events
    assert isinstance(first_start, Started)
    assert isinstance(first, Stopped)
    assert isinstance(second_start, Started)
    assert isinstance(second, Stopped)
    assert first.end_ms == second_start.start_ms == pytest.approx(22_650, abs=32)
    heard = np.concatenate([first.samples, second.samples])
    assert np.array_equal(heard, audio[: len(heard)])
    assert len(heard) >= 37.85 * LISTEN_RATE


def test_a_turn_without_a_pause_is_parted_where_speech_is_least_probable() -> None:
    events, audio = hear((27, 0.9), (0.2, 0.6), (10, 0.9), (1, 0.0))
    ends = [event.end_ms for event in events if isinstance(event, Stopped)]
    samples = [event.samples for event in events if isinstance(event, Stopped)]
    assert ends[0] == pytest.approx(27_100, abs=64)
    assert len(ends) == 2
    assert sum(map(len, samples)) >= 37.2 * LISTEN_RATE
    assert max(map(len, samples)) <= MAX_SAMPLES
    assert samples[0].tolist() == audio[: len(samples[0])].tolist()


def test_silence_behind_a_turn_of_full_length_is_no_turn() -> None:
    events, _ = hear((29.7, 0.9), (2, 0.0))
    assert [type(event) for event in events] == [Started, Stopped]
