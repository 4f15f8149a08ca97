"""A small part of the clips is held out, and stays the same when clips are added."""

from __future__ import annotations

import pytest

from finetuning.clip_table import Row
from finetuning.holdout import held_out


def rows(count: int, recordings: int = 1) -> list[Row]:
    return [Row(f"clips/{i:04}.wav", "Hi.", "minsu", recording=f"{i % recordings}.wav") for i in range(count)]


@pytest.mark.parametrize(("clips", "expected"), [(3, 0), (10, 2), (40, 8), (400, 20), (5_000, 64)])
def test_a_twentieth_is_held_out_within_bounds(clips: int, expected: int) -> None:
    assert len(held_out(rows(clips))) == expected


def test_same_clips_are_held_out_after_others_were_added() -> None:
    assert held_out(rows(200)) & {row.id for row in rows(100)} <= held_out(rows(100))
    assert held_out(rows(100)) == held_out(rows(100)[::-1])
    assert held_out(rows(100), seed=1) != held_out(rows(100))


def test_whole_recordings_are_held_out_where_there_are_many() -> None:
    clips = rows(400, recordings=100)
    recordings = {row.recording for row in clips if row.id in held_out(clips)}
    assert len(recordings) == 5
