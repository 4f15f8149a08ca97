"""The times of segments and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.transcript import Segment, Word
from tritone.word_times import SHORTEST, ordered_times


def segment(start: float, end: float, *words: tuple[float, float]) -> Segment:
    return Segment(start, end, " text", (1,), words=tuple(Word(s, e, " word", 0.5) for s, e in words))


def times(segments: tuple[Segment, ...]) -> list[list[tuple[float, float]]]:
    return [[(round(w.start, 3), round(w.end, 3)) for w in segment.words] for segment in segments]


def test_right_times_stay_as_they_are() -> None:
    given = (segment(0.5, 2.0, (0.5, 1.0), (1.0, 1.02), (1.5, 2.0)), segment(2.0, 4.0, (2.5, 4.0)))
    assert ordered_times(given, 4.0) == given


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ([(1.18, 1.18), (1.18, 1.5)], [(1.18, 1.2), (1.2, 1.5)]),
        ([(1.0, 1.18), (1.18, 1.18), (1.18, 1.18), (1.19, 1.3)], [(1.0, 1.18), (1.18, 1.2), (1.2, 1.22), (1.22, 1.3)]),
        ([(1.0, 1.5), (1.5, 1.4), (1.6, 1.8)], [(1.0, 1.5), (1.5, 1.52), (1.6, 1.8)]),
        ([(1.0, 2.0), (2.0, 2.0)], [(1.0, 1.98), (1.98, 2.0)]),
        ([(1.0, 1.5), (2.0, 9.0), (9.0, 30.0)], [(1.0, 1.5), (1.96, 1.98), (1.98, 2.0)]),
        ([(-0.1, 0.0), (0.0, 0.5)], [(0.0, 0.02), (0.02, 0.5)]),
    ],
)
def test_word_without_length_gets_the_shortest_and_moves_its_neighbours(
    words: list[tuple[float, float]], right: list[tuple[float, float]]
) -> None:
    assert times(ordered_times([segment(0.0, 2.0, *words)], 2.0)) == [right]


def test_words_are_ordered_across_segments() -> None:
    found = ordered_times([segment(0.0, 1.0, (0.5, 1.0), (1.0, 1.0)), segment(1.0, 2.0, (1.0, 1.4))], 2.0)
    assert times(found) == [[(0.5, 1.0), (1.0, 1.02)], [(1.02, 1.4)]]
    assert found[0].end <= found[1].start


_TIMES = st.floats(-1, 40, allow_nan=False)
_SPANS = st.lists(st.tuples(_TIMES, _TIMES), max_size=12)


@given(st.lists(st.tuples(_TIMES, _TIMES, _SPANS), max_size=5), st.floats(0.01, 30))
def test_times_are_in_order_within_the_window_and_have_a_length(
    given: list[tuple[float, float, list[tuple[float, float]]]], seconds: float
) -> None:
    found = ordered_times([segment(start, end, *words) for start, end, words in given], seconds)
    least = min(SHORTEST, seconds / max(1, sum(max(1, len(words)) for _, _, words in given)))
    for spans in (
        [(s.start, s.end) for s in found],
        [(w.start, w.end) for segment in found for w in segment.words],
    ):
        bounds = [time for span in spans for time in span]
        assert all(time >= -1e-9 for time in bounds)
        assert all(time <= seconds + 1e-9 for time in bounds)
        assert bounds == pytest.approx(sorted(bounds))
        assert all(end - start > 0.99 * least for start, end in spans)
    for segment_ in found:
        for word in segment_.words:
            assert segment_.start - 1e-9 <= word.start
            assert word.end <= segment_.end + 1e-9
