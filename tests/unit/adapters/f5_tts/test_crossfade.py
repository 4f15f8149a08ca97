"""Joins between parts."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.f5_tts.crossfade import CrossFade

OVERLAP = 3600


def joined(*lengths: int) -> np.ndarray:
    joins = CrossFade()
    parts = [np.full(length, number + 1, np.float32) for number, length in enumerate(lengths)]
    return np.concatenate([joins.add(part, last=part is parts[-1]) for part in parts])


def test_one_part_is_sent_whole() -> None:
    assert np.array_equal(joined(10_000), np.ones(10_000))


def test_parts_overlap_by_a_fade() -> None:
    audio = joined(10_000, 10_000)
    assert len(audio) == 20_000 - OVERLAP
    fade = audio[10_000 - OVERLAP : 10_000]
    assert fade == pytest.approx(np.linspace(1, 2, OVERLAP), abs=1e-5)
    assert audio[10_000:] == pytest.approx(2)


@pytest.mark.parametrize("lengths", [(10_000, 100, 10_000), (100, 10_000), (1, 1, 1), (10_000, OVERLAP, OVERLAP)])
def test_short_parts_overlap_as_far_as_they_reach(lengths: tuple[int, ...]) -> None:
    audio = joined(*lengths)
    assert np.isfinite(audio).all()
    assert audio.min() >= 1
    assert audio.max() <= len(lengths)
    assert max(lengths) <= len(audio) <= sum(lengths)


def test_end_of_a_part_is_held_back() -> None:
    joins = CrossFade()
    assert len(joins.add(np.ones(10_000, np.float32), last=False)) == 10_000 - OVERLAP
    assert len(joins.add(np.ones(10, np.float32), last=True)) == OVERLAP
