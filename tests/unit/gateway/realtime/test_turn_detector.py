"""The begin and the end of turns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.openai.realtime.session_config import TurnDetection
from gateway.openai.realtime.turn_detector import Change, TimedOut, TurnDetector, TurnEnded, TurnStarted
from tritone.contract import LISTEN_RATE
from tritone.windowing import MAX_SAMPLES, Samples, VadOptions


def probabilities(frames: Samples) -> NDArray[np.float32]:
    """Return each frame's loudness as its probability of speech."""
    return np.abs(frames).max(axis=1)


def audio_of(*stretches: tuple[float, float]) -> Samples:
    """Return stretches of so many seconds and so probable speech."""
    return np.concatenate([np.full(int(seconds * LISTEN_RATE), level, np.float32) for seconds, level in stretches])


def detect(*stretches: tuple[float, float]) -> tuple[list[Change], Samples]:
    """Return the turns in stretches of so many seconds and so probable speech, and the whole audio."""
    audio = audio_of(*stretches)
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


@pytest.fixture
def semantic() -> TurnDetector:
    """A detector whose turns end after at most 4 s of silence."""
    detector = TurnDetector(probabilities)
    detector.detection = TurnDetection(type="semantic_vad", eagerness="medium")
    return detector


def test_a_turn_ends_after_the_silence_that_its_text_asks_for(semantic: TurnDetector) -> None:
    (started,) = semantic.feed(audio_of((1, 0.9), (0.5, 0.0)))
    assert isinstance(started, TurnStarted)
    assert semantic.pauses == 1
    assert semantic.wait(1000, len(semantic.samples)) is None
    (ended,) = semantic.feed(audio_of((0.6, 0.0)))
    assert isinstance(ended, TurnEnded)
    assert ended.end_ms == pytest.approx(1500, abs=32), "half a second of the silence stays"


def test_a_turn_whose_silence_is_long_enough_ends_at_once(semantic: TurnDetector) -> None:
    list(semantic.feed(audio_of((1, 0.9), (2, 0.0))))
    ended = semantic.wait(1000, len(semantic.samples))
    assert ended is not None
    assert ended.end_ms == pytest.approx(1500, abs=32)
    assert not semantic.in_turn
    assert semantic.wait(0, 10 * LISTEN_RATE) is None


def test_an_unknown_text_gets_the_longest_silence(semantic: TurnDetector) -> None:
    assert len(list(semantic.feed(audio_of((1, 0.9), (3.9, 0.0))))) == 1
    (ended,) = semantic.feed(audio_of((0.2, 0.0)))
    assert isinstance(ended, TurnEnded)


def test_speech_after_the_text_makes_it_void(semantic: TurnDetector) -> None:
    list(semantic.feed(audio_of((1, 0.9), (0.3, 0.0))))
    heard = len(semantic.samples)
    assert semantic.wait(600, heard) is None
    assert not list(semantic.feed(audio_of((0.1, 0.9), (0.3, 0.0)))), "as the speaker went on in time"
    assert semantic.pauses == 2
    assert not list(semantic.feed(audio_of((1.5, 0.0))))
    assert semantic.wait(600, heard) is None, "what was heard lacks the last words"
    assert semantic.wait(600, len(semantic.samples)) is not None


def test_a_long_silence_times_out_again_and_again() -> None:
    detector = TurnDetector(probabilities)
    detector.detection = TurnDetection(idle_timeout_ms=5000)
    started, ended, *timeouts = detector.feed(audio_of((1, 0.9), (0.5, 0.0), (10.2, 0.0)))
    assert isinstance(started, TurnStarted)
    assert isinstance(ended, TurnEnded)
    first, second = timeouts
    assert isinstance(first, TimedOut)
    assert isinstance(second, TimedOut)
    assert first.start_ms == ended.end_ms
    assert second.start_ms == first.end_ms == pytest.approx(ended.end_ms + 5000, abs=32)
    assert len(first.samples) == (first.end_ms - first.start_ms) * LISTEN_RATE // 1000


def test_silence_of_a_listener_is_not_idle() -> None:
    listens = True
    detector = TurnDetector(probabilities, lambda: listens)
    detector.detection = TurnDetection(idle_timeout_ms=5000)
    assert not list(detector.feed(audio_of((7, 0.0))))
    listens = False
    assert not list(detector.feed(audio_of((4.9, 0.0))))
    (timed_out,) = detector.feed(audio_of((0.2, 0.0)))
    assert isinstance(timed_out, TimedOut)
    assert timed_out.start_ms == pytest.approx(7000, abs=64)


def test_speech_before_a_timeout_is_a_turn_with_the_usual_padding() -> None:
    detector = TurnDetector(probabilities)
    detector.detection = TurnDetection(idle_timeout_ms=5000)
    started, ended = detector.feed(audio_of((4, 0.0), (1, 0.9), (0.6, 0.0)))
    assert isinstance(started, TurnStarted)
    assert started.start_ms == pytest.approx(3700, abs=64)
    assert isinstance(ended, TurnEnded)
    assert len(ended.samples) / LISTEN_RATE == pytest.approx(1.8, abs=0.1)
