from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speech.word_match import match_words

_WORDS = st.lists(st.sampled_from(["it", "costs", "5", "five", "dollars", "$5", "km"]), max_size=8)


@pytest.mark.parametrize(
    ("written", "spoken", "ranges"),
    [
        ("Good morning.", "good morning.", [(0, 1), (1, 2)]),
        ("It costs $5 now.", "It costs five dollars now.", [(0, 1), (1, 2), (2, 4), (4, 5)]),
        ("It is 5% more", "It is 5 percent more", [(0, 1), (1, 2), (2, 4), (4, 5)]),
        ("Run 10 km/h here", "Run ten kilometers per hour here", [(0, 1), (1, 3), (3, 5), (5, 6)]),
        ("See 😀x here", "See here", [(0, 1), None, (1, 2)]),
        ("here", "Well here", [(0, 2)]),
    ],
)
def test_written_word_has_the_spoken_words_that_it_stands_for(
    written: str, spoken: str, ranges: list[tuple[int, int] | None]
) -> None:
    assert match_words(written.split(), spoken.split()) == ranges


@given(_WORDS, _WORDS)
def test_ranges_are_in_order_and_hold_every_spoken_word_once(written: list[str], spoken: list[str]) -> None:
    ranges = match_words(written, spoken)
    assert len(ranges) == len(written)
    held = [word for range_ in ranges if range_ for word in range(*range_)]
    assert held == (list(range(len(spoken))) if written else [])


def test_words_that_stand_often_in_both_are_found_in_a_long_text() -> None:
    assert match_words(["$1"] * 2000, ["1", "dollar"] * 2000) == [(2 * i, 2 * i + 2) for i in range(2000)]


def test_word_of_an_expansion_is_not_taken_for_a_later_one() -> None:
    written, spoken = ["14:30,", "1:00", "y"], ["catorce", "y", "treinta,", "una", "y"]
    assert match_words(written, spoken) == [(0, 2), (2, 4), (4, 5)]
