"""Recordings split into windows.

The recordings here are scripts: a sample's value is the probability of speech at its time, and the detector reads it
off. So a window's samples show the part of the script that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tritone.windowing import FRAME, MAX_SAMPLES, Samples, VadOptions, Window, split_at_silence

RATE = 16_000
SPEECH, SILENCE = 0.9, 0.1


def script(*parts: tuple[float, float]) -> Samples:
    """Make PCM of (probability, seconds) stretches, in whole frames."""
    return np.concatenate([np.full(round(s * RATE / FRAME) * FRAME, p, np.float32) for p, s in parts])


def read_off(frames: Samples) -> NDArray[np.float32]:
    return frames[:, 0]


def windows(*parts: tuple[float, float]) -> list[Window]:
    return list(split_at_silence([script(*parts)], read_off))


recordings = st.lists(
    st.tuples(st.sampled_from([SPEECH, SILENCE, 0.4, 0.0]), st.floats(0.0, 25.0)), min_size=1, max_size=6
).map(lambda parts: script(*parts))


@given(recordings, st.lists(st.integers(1, 40 * RATE), max_size=6), st.integers(0, FRAME - 1))
def test_windows_do_not_depend_on_the_sizes_of_the_blocks(pcm: Samples, sizes: list[int], odd: int) -> None:
    pcm = pcm[: max(0, len(pcm) - odd)]
    whole = list(split_at_silence([pcm], read_off))
    pieces = list(split_at_silence(np.split(pcm, np.cumsum(sizes)), read_off))
    assert [window.start for window in pieces] == [window.start for window in whole]
    for one, other in zip(pieces, whole, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


@given(recordings, st.integers(0, FRAME - 1))
def test_speech_is_in_exactly_one_window(pcm: Samples, odd: int) -> None:
    pcm = pcm[: max(0, len(pcm) - odd)]
    covered = np.zeros(len(pcm), np.int64)
    for window in split_at_silence([pcm], read_off):
        end = window.start + len(window.samples)
        np.testing.assert_array_equal(window.samples, pcm[window.start : end])
        covered[window.start : end] += 1
    assert covered.max(initial=0) <= 1
    assert covered[pcm == np.float32(SPEECH)].all()


@given(recordings)
def test_windows_are_in_order_and_fit_the_model(pcm: Samples) -> None:
    found = list(split_at_silence([pcm], read_off))
    assert all(0 < len(window.samples) <= MAX_SAMPLES for window in found)
    assert all(one.start + len(one.samples) <= other.start for one, other in pairwise(found))


@given(recordings)
def test_windows_hold_sound_with_little_silence_around_it(pcm: Samples) -> None:
    for window in split_at_silence([pcm], read_off):
        sound = np.flatnonzero(window.samples >= np.float32(0.4))
        assert sound[0] <= 0.4 * RATE
        assert len(window.samples) - sound[-1] - 1 <= 0.4 * RATE


@pytest.mark.parametrize("samples", [0, 1, FRAME, FRAME + 1, RATE])
def test_recording_without_speech_gives_no_window(samples: int) -> None:
    assert list(split_at_silence([np.zeros(samples, np.float32)], read_off)) == []


def test_recording_without_blocks_gives_no_window() -> None:
    assert list(split_at_silence([], read_off)) == []


@pytest.mark.parametrize("samples", [MAX_SAMPLES, MAX_SAMPLES - 1, 5 * RATE, 7])
def test_recording_that_fits_one_window_stays_whole(samples: int) -> None:
    pcm = np.full(samples, SPEECH, np.float32)
    (window,) = split_at_silence([pcm], read_off)
    np.testing.assert_array_equal(window.samples, pcm)
    assert window.whole


@pytest.mark.parametrize(
    "parts",
    [
        [(SPEECH, 3), (SILENCE, 28), (SPEECH, 3)],
        [(SPEECH, 28), (SILENCE, 1), (SPEECH, 3)],
        [(SPEECH, 3), (SILENCE, 40)],
    ],
)
def test_no_window_that_is_cut_from_a_longer_recording_is_whole(parts: list[tuple[float, float]]) -> None:
    found = windows(*parts)
    assert found
    assert not any(window.whole for window in found)


@pytest.mark.parametrize("seconds", [1, 10, 60])
@given(pcm=recordings)
def test_windows_have_the_length_that_is_asked_for(seconds: int, pcm: Samples) -> None:
    found = list(split_at_silence([pcm], read_off, window_seconds=seconds))
    assert all(0 < len(window.samples) <= seconds * RATE for window in found)
    assert sum((window.samples > 0.5).sum() for window in found) == (pcm > 0.5).sum()


def test_recording_with_one_sample_too_many_is_cut() -> None:
    found = list(split_at_silence([np.full(MAX_SAMPLES + 1, SPEECH, np.float32)], read_off))
    assert sum(len(window.samples) for window in found) == MAX_SAMPLES + 1
    assert len(found) == 2


def test_pause_in_a_short_recording_is_kept() -> None:
    (window,) = windows((SPEECH, 3), (SILENCE, 20), (SPEECH, 3))
    assert window.seconds == pytest.approx(26, abs=0.1)


def test_silence_around_speech_is_left_out_except_a_margin() -> None:
    (window,) = windows((SILENCE, 50), (SPEECH, 5), (SILENCE, 50))
    assert window.start_seconds == pytest.approx(49.6, abs=0.1)
    assert window.seconds == pytest.approx(5.8, abs=0.1)


def test_cut_falls_into_the_longest_late_pause() -> None:
    parts = [(SPEECH, 10), (SILENCE, 2), (SPEECH, 10), (SILENCE, 0.6), (SPEECH, 3), (SILENCE, 0.4), (SPEECH, 20)]
    first, second = windows(*parts)
    assert first.seconds == pytest.approx(22.3, abs=0.1)
    assert second.start_seconds == pytest.approx(22.3, abs=0.1)


def test_early_pause_is_preferred_to_a_cut_within_speech() -> None:
    first, second, *_ = windows((SPEECH, 8), (SILENCE, 2), (SPEECH, 25))
    assert first.seconds == pytest.approx(8.4, abs=0.1)
    assert second.start_seconds == pytest.approx(9.6, abs=0.1)


def test_long_silence_ends_the_window_wherever_it_lies() -> None:
    first, second = windows((SPEECH, 4), (SILENCE, 8), (SPEECH, 10), (SILENCE, 1), (SPEECH, 12))
    assert first.seconds == pytest.approx(4.4, abs=0.1)
    assert second.start_seconds == pytest.approx(11.6, abs=0.1)


def test_gap_as_short_as_a_consonant_is_no_pause() -> None:
    first, _ = windows((SPEECH, 15), (SILENCE, 0.1), (SPEECH, 11.9), (0.36, 0.3), (SPEECH, 10))
    assert first.seconds == pytest.approx(27.15, abs=0.1)


def test_speech_without_a_pause_is_cut_where_it_is_least_probable() -> None:
    first, second = windows((SPEECH, 27), (0.6, 0.2), (SPEECH, 10))
    assert first.seconds == pytest.approx(27.1, abs=0.1)
    assert second.start == len(first.samples)


def test_speech_continues_while_it_fades() -> None:
    (window,) = windows((SILENCE, 1), (SPEECH, 1), (0.4, 2), (SILENCE, 5))
    assert window.seconds == pytest.approx(3.8, abs=0.1)


def test_silence_is_not_given_to_the_detector_block_after_block() -> None:
    given = 0

    def detect(frames: Samples) -> NDArray[np.float32]:
        nonlocal given
        given += len(frames)
        return read_off(frames)

    parts = [script((0.0, 1))] * 100 + [script((SPEECH, 1))] + [script((0.0, 1))] * 100
    (window,) = split_at_silence(parts, detect)
    assert window.start_seconds == pytest.approx(98.8, abs=0.1)
    assert given * FRAME / RATE < 5


def test_faint_sound_without_speech_before_it_is_no_speech() -> None:
    assert windows((0.4, 20)) == []


def test_windows_are_yielded_while_the_recording_is_still_read() -> None:
    taken = 0

    def endless() -> Iterator[Samples]:
        nonlocal taken
        while True:
            taken += 1
            yield script((SPEECH, 9), (SILENCE, 1))

    for window in islice(split_at_silence(endless(), read_off), 20):
        # Blocks are 10 s: the audio that is read and in no window yet is shorter than a window and a block.
        assert taken * 10 - (window.start_seconds + window.seconds) < 30 + 10


def test_options_set_the_threshold_of_speech_and_the_audio_kept_before_it() -> None:
    faint = script((SILENCE, 10), (0.4, 5), (SILENCE, 10))
    assert list(split_at_silence([faint], read_off)) == []
    (window,) = split_at_silence([faint], read_off, VadOptions(threshold=0.3, pad_before=2.0))
    assert window.start_seconds == pytest.approx(8.0, abs=0.05)
    assert list(split_at_silence([faint], read_off, VadOptions(threshold=0.45))) == []


def test_cut_falls_into_no_pause_shorter_than_the_option() -> None:
    pcm = script((SPEECH, 18), (SILENCE, 0.6), (SPEECH, 6), (SILENCE, 0.4), (SPEECH, 10))
    at_any, at_long = (list(split_at_silence([pcm], read_off, VadOptions(pause=pause)))[1] for pause in (0.3, 0.5))
    assert at_any.start_seconds == pytest.approx(24.8, abs=0.1)
    assert at_long.start_seconds == pytest.approx(18.3, abs=0.1)


@pytest.mark.parametrize(("threshold", "release"), [(0.5, 0.35), (0.3, 0.15), (0.2, 0.1), (0.9, 0.75)])
def test_speech_is_released_below_its_threshold_and_never_below_half_of_it(threshold: float, release: float) -> None:
    assert VadOptions(threshold).release_threshold == pytest.approx(release)


def test_release_threshold_decides_where_fading_speech_ends() -> None:
    (window,) = split_at_silence([script((SPEECH, 1), (0.36, 1), (0.34, 1), (SILENCE, 5))], read_off)
    assert window.seconds == pytest.approx(2.4, abs=0.1)
