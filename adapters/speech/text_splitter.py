"""Text split into parts that are synthesized one after the other. The first is short, for an early first audio."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

from adapters.speech.chinese_words import word_ends

FIRST, LONGEST = 32, 120
"""The most letters of the first part, and of any part; a Chinese character or a digit counts as four."""
GROWTH = 3
"""A part may be so many times as long as all parts before it: they play while it is synthesized."""
STRETCH = 1.5
"""A part may be so many times longer to end at the end of a sentence, of a clause or of the text."""


class Break(IntEnum):
    """The end of a part, the weakest first."""

    NONE = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    LINE = 4


class _Place(NamedTuple):
    """A place where a text may be split."""

    cut: int
    end: Break
    strength: float
    """The value of `end`, or a smaller one than that of any word's end."""


_COUNTED, _HAN_WORD, _IN_NUMBER = 0.75, 0.5, 0.25
"""Strengths of a space between a number and the word that it counts, of a place between two Chinese words, and of a
space between the digits of a number."""


@dataclass(frozen=True)
class TextPart:
    """A part of a text, with the space after it, and its end."""

    text: str
    end: Break

    def halves(self) -> tuple[TextPart, TextPart]:
        """Split this part at the best place near its middle; its text must have two characters or more."""
        middle = len(self.text) / 2
        inside = [place for place in _places(self.text) if middle / 2 <= place.cut <= middle * 1.5]
        best = max(inside, key=lambda place: (place.strength, -abs(place.cut - middle)), default=None)
        cut, end = (best.cut, best.end) if best else (_outside_number(self.text, 0, int(middle)), Break.NONE)
        return TextPart(self.text[:cut], end), TextPart(self.text[cut:], self.end)


_BREAK = re.compile(
    r"""
    (?P<SENTENCE> (?: [!?…] | (?<! \b [A-Z] ) \. ) ["”')]{0,8} \s+ (?! [a-zà-ÿ] ) )
    | (?P<LINE> \n\s* )
    | (?P<CLAUSE> [!?…,;:)”] ["”')]{0,8} \s+ | —\s* )
    | (?P<WORD> \s+ )
    """,
    re.VERBOSE,
)
_NUMBER_GOES_ON = re.compile(r"\d|(?:oh|hundred|thousand|million|billion|trillion|point|dot)\b")
_NUMBER_BEFORE = re.compile(r"\W(?:oh|point|dot|plus)$|^plus$")
_SINGLE_DIGIT = re.compile(r"\d\b")
_DIGITS_BEFORE = 15
"""The most digits of a number in a normalized text; longer ones are read digit by digit."""


def split_text(text: str) -> Iterator[TextPart]:
    """Yield the parts of a normalized text; their texts together are the text again. The time is linear."""
    splitter = _Splitter(text)
    start = 0
    while start < len(text):
        cut, end = splitter.cut(start)
        yield TextPart(text[start:cut], end)
        start = cut


class _Splitter:
    """A text, the places where it may be split, and the weights of its characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places = _places(text)
        self._weights = [0, *accumulate(4 if char >= "\u2e80" or char.isdigit() else 1 for char in text)]
        self._reach = [self._weights[place.cut] for place in self._places]
        """The weight of the text up to each of the places."""

    def cut(self, start: int) -> tuple[int, Break]:
        """Return the end of the part that begins at `start`."""
        weights, places = self._weights, self._places
        limit = weights[start] + min(LONGEST, max(FIRST, GROWTH * weights[start]))
        stretched = weights[start] + (limit - weights[start]) * STRETCH
        longest = weights[start] + LONGEST * STRETCH
        if weights[-1] <= stretched:
            return places[-1].cut, places[-1].end
        for candidates, weakest in self._candidates(weights[start], limit, stretched, longest):
            for place in candidates:
                if place.strength >= weakest:
                    return place.cut, place.end
        if weights[-1] <= longest:
            return places[-1].cut, places[-1].end
        nearest = max(start + 1, bisect_right(weights, limit) - 1)
        return _outside_number(self._text, start, nearest), Break.NONE

    def _candidates(
        self, begin: int, limit: int, stretched: float, longest: float
    ) -> Iterator[tuple[list[_Place], float]]:
        """Yield places to end a part at, the best first, with the least strength of each of these lists."""
        reach, places = self._reach, self._places
        first, near, far = (bisect_right(reach, bound) for bound in (begin, limit, stretched))
        within, beyond = places[first:near][::-1], places[near:far]
        worthwhile = begin + (limit - begin) / 3
        yield within, Break.SENTENCE
        yield places[max(first, bisect_left(reach, worthwhile)) : near][::-1], Break.CLAUSE
        yield beyond, Break.CLAUSE
        for weakest in (Break.WORD, _COUNTED, _HAN_WORD):
            yield within, weakest
            yield beyond, weakest
        yield places[far : bisect_right(reach, longest)], _HAN_WORD
        yield within, _IN_NUMBER


def _outside_number(text: str, start: int, cut: int) -> int:
    """Return the last place up to `cut` that is not between two digits; `cut` if no such place is near."""
    for place in range(cut, max(start, cut - _DIGITS_BEFORE), -1):
        if not (text[place - 1].isdigit() and text[place : place + 1].isdigit()):
            return place
    return cut


def _places(text: str) -> list[_Place]:
    """Return every place where `text` may be split, its end included, with the kind of break there."""
    found = [_place(match) for match in _BREAK.finditer(text) if match.end() < len(text)]
    found.extend(_Place(cut, Break.NONE, _HAN_WORD) for cut in word_ends(text))
    return [*sorted(found), _Place(len(text), Break.SENTENCE, Break.SENTENCE)]


def _place(match: re.Match[str]) -> _Place:
    text, before = match.string, match.start() - 1
    end = Break.LINE if "\n" in match[0] else Break[match.lastgroup or "WORD"]
    if end is Break.WORD and text[before : before + 1].isdigit() and _NUMBER_GOES_ON.match(text, match.end()):
        return _Place(match.end(), Break.NONE, _IN_NUMBER)
    if (
        match[0] == ", "
        and _SINGLE_DIGIT.match(text, match.end())
        and re.match(r"(?:\W|^)\d", text[max(0, before - 1) : before + 1])
    ):
        return _Place(match.end(), Break.NONE, _IN_NUMBER)
    if text[match.end() : match.end() + 1].isdigit() and _NUMBER_BEFORE.search(text[max(0, before - 5) : before + 1]):
        return _Place(match.end(), Break.NONE, _IN_NUMBER)
    counted = end is Break.WORD and text[before : before + 1].isdigit()
    return _Place(match.end(), end, _COUNTED if counted else end)
