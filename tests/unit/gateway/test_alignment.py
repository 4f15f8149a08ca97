"""Written words with the times of a model's words, which may be divided in another way."""

from __future__ import annotations

import pytest

from gateway.core.alignment import words_in
from tritone.transcript import Word


def aligned(*texts: str) -> list[Word]:
    """Return words of a second each."""
    return [Word(float(i), float(i + 1), text, 0.9) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "given", "times"),
    [
        ("Good morning.", [" Good", " morning."], [("Good", 0, 1), (" morning.", 1, 2)]),
        ("a well-known and", [" a", " well", "-known", " and"], [("a", 0, 1), (" well-known", 1, 3), (" and", 3, 4)]),
        ("你好，再见", ["你好，", "再", "见"], [("你", 0, 1 / 3), ("好，", 1 / 3, 1), ("再", 1, 2), ("见", 2, 3)]),
        (
            "Well \u2014 \u201cyes\u201d!",
            [" Well", " \u2014", " \u201cyes\u201d!"],
            [("Well \u2014", 0, 1), (" \u201cyes\u201d!", 2, 3)],
        ),
        ("... so", [" ...", " so"], [("... so", 1, 2)]),
        ("...", [" ..."], []),
    ],
)
def test_written_word_has_the_time_of_its_characters(
    text: str, given: list[str], times: list[tuple[str, float, float]]
) -> None:
    words = words_in(text, aligned(*given))
    assert [word.text for word in words] == [word for word, *_ in times]
    assert [(word.start, word.end) for word in words] == pytest.approx([(start, end) for _, start, end in times])
