"""Runaways, and speech that is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight.scheduling.runaway import RunawayDetector

LIMIT = 20


def frames_until_it_repeats(codes: list[int]) -> int | None:
    detector = RunawayDetector(LIMIT)
    return next((index + 1 for index, code in enumerate(codes) if detector.add_code(code)), None)


@example([*range(32)], [])
@given(st.lists(st.integers(0, 2047), min_size=1, max_size=32), st.lists(st.integers(0, 2047), max_size=50))
def test_repeated_sequence_is_detected(sequence: list[int], before: list[int]) -> None:
    found = frames_until_it_repeats(before + sequence * (1 + LIMIT // len(sequence) + 1))
    assert found is not None
    assert found <= len(before) + len(sequence) + LIMIT


@given(st.permutations(range(60)))
def test_speech_with_different_codes_is_no_runaway(codes: list[int]) -> None:
    assert frames_until_it_repeats(codes) is None


def test_pause_is_no_runaway() -> None:
    codes = np.random.default_rng(0).integers(0, 2048, 500).tolist()
    codes[100 : 100 + LIMIT] = [7] * LIMIT
    assert frames_until_it_repeats(codes) is None


def tone(frames: int, level: float) -> np.ndarray:
    return np.full(frames * 1920, level, np.float32)


def test_silence_is_counted_across_chunks_and_reset_by_sound() -> None:
    detector = RunawayDetector(LIMIT)
    chunks = [tone(12, 0), tone(4, 0), np.concatenate([tone(3, 0), tone(1, 0.1), tone(8, 1e-4)]), tone(11, 0)]
    assert [detector.add_audio(chunk) for chunk in chunks] == [False] * 4
    assert detector.add_audio(tone(2, 0))


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_detector_can_be_turned_off(level: float) -> None:
    detector = RunawayDetector(0)
    assert not any(detector.add_code(1) for _ in range(200))
    assert not detector.add_audio(tone(200, level))
