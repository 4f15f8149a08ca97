"""Text split into parts that are synthesized one after the other. The first is short, for an early first audio."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate

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


@dataclass(frozen=True)
class TextPart:
    """A part of a text, with the space after it, and its end."""

    text: str
    end: Break

    def halves(self) -> tuple[TextPart, TextPart]:
        """Split this part at the best place near its middle; its text must have two characters or more."""
        middle = len(self.text) / 2
        inside = [(cut, end) for cut, end in _breaks(self.text) if middle / 2 <= cut <= middle * 1.5]
        cut, end = max(inside, key=lambda b: (b[1], -abs(b[0] - middle)), default=(int(middle), Break.NONE))
        return TextPart(self.text[:cut], end), TextPart(self.text[cut:], self.end)


_BREAK = re.compile(
    r"""
    (?P<SENTENCE> (?: [!?…] | (?<! \b [A-Z] ) \. ) ["”')]* \s+ (?! [a-zà-ÿ] ) )
    | (?P<LINE> \n\s* )
    | (?P<CLAUSE> [!?…,;:)”] ["”')]* \s+ | —\s* )
    | (?P<WORD> \s+ )
    """,
    re.VERBOSE,
)


def split_text(text: str) -> Iterator[TextPart]:
    """Yield the parts of a normalized text; their texts together are the text again."""
    breaks = _breaks(text)
    weights = [0, *accumulate(4 if char >= "\u2e80" or char.isdigit() else 1 for char in text)]
    start = 0
    while start < len(text):
        limit = weights[start] + min(LONGEST, max(FIRST, GROWTH * weights[start]))
        cut, end = _cut(breaks, weights, start, limit)
        yield TextPart(text[start:cut], end)
        start = cut


def _cut(breaks: list[tuple[int, Break]], weights: list[int], start: int, limit: int) -> tuple[int, Break]:
    """Return the end of the part that begins at `start`; `limit` is the most weight of the text up to there."""
    stretched = weights[start] + (limit - weights[start]) * STRETCH
    if weights[-1] <= stretched:
        return breaks[-1]
    within = [b for b in breaks if b[0] > start and weights[b[0]] <= limit]
    beyond = [b for b in breaks if limit < weights[b[0]] <= stretched]
    worthwhile = weights[start] + (limit - weights[start]) / 3
    for candidates, weakest in (
        (within[::-1], Break.SENTENCE),
        ([b for b in within[::-1] if weights[b[0]] >= worthwhile], Break.CLAUSE),
        (beyond, Break.CLAUSE),
        (within[::-1], Break.WORD),
        (beyond, Break.WORD),
    ):
        for cut, end in candidates:
            if end >= weakest:
                return cut, end
    return max(start + 1, bisect_right(weights, limit) - 1), Break.NONE


def _breaks(text: str) -> list[tuple[int, Break]]:
    """Return every place where `text` may be split, its end included, with the kind of break there."""
    found = [
        (match.end(), Break.LINE if "\n" in match[0] else Break[match.lastgroup or "WORD"])
        for match in _BREAK.finditer(text)
        if match.end() < len(text)
    ]
    return [*found, (len(text), Break.SENTENCE)]
