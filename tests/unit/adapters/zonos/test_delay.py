"""The delay pattern: which codes of a column count, and when a text is over."""

from __future__ import annotations

from adapters.zonos.checkpoint import CODEBOOKS
from adapters.zonos.delay import DelayPattern

END, MASK = 1024, 1025


def drawn(step: int, first: int | None = None) -> list[int]:
    """Return a column that names its step and its codebooks; `first`: the code of codebook 0."""
    column = [10 * step + book for book in range(CODEBOOKS)]
    return column if first is None else [first, *column[1:]]


def test_a_codebook_begins_as_many_steps_late_as_its_number() -> None:
    pattern = DelayPattern(END, MASK)
    assert pattern.start == [MASK] * 9
    assert pattern.place(drawn(0)) == [0] + [MASK] * 8
    assert pattern.place(drawn(1)) == [10, 11] + [MASK] * 7
    assert pattern.frames == 0


def test_a_frame_is_complete_when_its_last_codebook_is_drawn() -> None:
    pattern = DelayPattern(END, MASK)
    for step in range(8):
        pattern.place(drawn(step))
        assert pattern.frames == 0
    pattern.place(drawn(8))
    assert pattern.frames == 1
    pattern.place(drawn(9))
    assert pattern.codes(0, 2) == [[11 * book for book in range(9)], [10 + 11 * book for book in range(9)]]


def test_after_the_end_the_other_codebooks_complete_the_frames_before_it() -> None:
    pattern = DelayPattern(END, MASK)
    for step in range(3):
        pattern.place(drawn(step))
    assert pattern.place(drawn(3, END))[:2] == [END, 31]
    assert pattern.place(drawn(4, 7))[:3] == [MASK, END, 42]
    assert pattern.place(drawn(5, END))[:4] == [MASK, MASK, END, 53]
    step = 6
    while not pattern.is_over:
        pattern.place(drawn(step))
        step += 1
    assert pattern.frames == 3
    assert pattern.codes(2, 3) == [[20 + 11 * book for book in range(9)]]
    assert step == 3 + 8  # the last codebook of the last frame
