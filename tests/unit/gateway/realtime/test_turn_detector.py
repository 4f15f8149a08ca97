"""Turns that are longer than a model's window."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.openai.realtime.session_config import TurnDetection
from gateway.openai.realtime.turn_detector import TurnDetector, TurnEnded, TurnStarted
from tritone.contract import LISTEN_RATE
from tritone.windowing import MAX_SAMPLES, Samples, VadOptions


def probabilities(frames: Samples) -> NDArray[np.float32]:
    """Return each frame's loudness as its probability of speech."""
    return np.abs(frames).max(axis=1)


def detect(*stretches: tuple[float, float]) -> tuple[list[TurnStarted | TurnEnded], Samples]:
    """Return the turns in stretches of so many seconds and so probable speech, and the whole audio."""
    audio = np.concatenate([np.full(int(seconds * LISTEN_RATE), level, np.float32) for seconds, level in stretches])
    detector = TurnDetector(probabilities)
    detector.detection = TurnDetection()
    return list(detector.feed(audio)), audio


def test_an_endless_turn_is_cut_at_its_longest_late_pause_and_loses_nothing() -> None:
    events, audio = detect((8, 0.9), (0.45, 0.0), (14, 0.8), (0.4, 0.0), (15, 0.7), (1, 0.0))
    first_start, first, second_start, second = events
    assert isinstance(first_start, TurnStarted)
    assert isinstance(first, TurnEnded)
    assert isinstance(second_start, TurnStarted)
    assert isinstance(second, TurnEnded)
    assert first.end_ms == second_start.start_ms == pytest.approx(22_650, abs=32)
    joined = np.concatenate([first.samples, second.samples])
    assert np.array_equal(joined, audio[: len(joined)])
    assert len(joined) >= 37.85 * LISTEN_RATE


def test_a_turn_without_a_pause_is_cut_where_speech_is_least_probable() -> None:
    events, audio = detect((27, 0.9), (0.2, 0.6), (10, 0.9), (1, 0.0))
    ends = [event.end_ms for event in events if isinstance(event, TurnEnded)]
    samples = [event.samples for event in events if isinstance(event, TurnEnded)]
    assert ends[0] == pytest.approx(27_100, abs=64)
    assert len(ends) == 2
    assert sum(map(len, samples)) >= 37.2 * LISTEN_RATE
    assert max(map(len, samples)) <= MAX_SAMPLES
    assert samples[0].tolist() == audio[: len(samples[0])].tolist()


def test_silence_after_a_turn_of_full_length_is_no_turn() -> None:
    events, _ = detect((29.7, 0.9), (2, 0.0))
    assert [type(event) for event in events] == [TurnStarted, TurnEnded]


def test_speech_that_fades_to_the_release_threshold_does_not_end_its_turn() -> None:
    release = VadOptions(TurnDetection().threshold).release_threshold
    events, _ = detect((2, 0.9), (2, release + 0.01), (2, 0.9))
    assert [type(event) for event in events] == [TurnStarted]
    events, _ = detect((2, 0.9), (2, release - 0.01), (2, 0.9))
    assert [type(event) for event in events] == [TurnStarted, TurnEnded, TurnStarted]
