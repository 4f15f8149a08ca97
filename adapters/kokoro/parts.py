"""Text cut into the parts that are spoken one after the other: the first short, so that it sounds soon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

FIRST, LONGEST = 32, 240
"""Letters that the first part, and any, should have at most (a Chinese character or a digit counts as four)."""
GROWTH = 3
"""A part may be this much longer than all before it: while those play, it must be spoken."""
STRETCH = 1.5
"""A part may be this much longer to end where a sentence or a clause ends, or the text."""


class Break(IntEnum):
    """What ends a part, the weakest first."""

    NONE = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    LINE = 4


@dataclass(frozen=True)
class Part:
    """A piece of text, with the space after it, and what it ends with."""

    text: str
    end: Break

    def halves(self) -> tuple[Part, Part]:
        """This part in two, cut at the best place near its middle; its text must have two characters or more."""
        middle = len(self.text) / 2
        inside = [(cut, end) for cut, end in _breaks(self.text) if middle / 2 <= cut <= middle * 1.5]
        cut, end = max(inside, key=lambda b: (b[1], -abs(b[0] - middle)), default=(int(middle), Break.NONE))
        return Part(self.text[:cut], end), Part(self.text[cut:], self.end)


_BREAK = re.compile(
    r"""
    (?P<line> \n\s* )
    | (?P<sentence> (?: [!?…] | (?<![\s.(][A-Z]) \. ) ["”')]* (?: \n\s* | \s+ (?![a-zà-ÿ]) ) )
    | (?P<clause> [!?…,;:)”] ["”')]* \s+ | —\s* )
    | (?P<word> \s+ )
    """,
    re.VERBOSE,
)


def split(text: str) -> Iterator[Part]:
    """Cut normalized text; the parts' texts, one after the other, are the text again."""
    breaks = [(0, Break.NONE), *_breaks(text)]
    weights = [0, *accumulate(4 if char >= "\u2e80" or char.isdigit() else 1 for char in text)]
    spoken = 0
    while (start := breaks[0][0]) < len(text):
        limit = min(LONGEST, max(FIRST, GROWTH * spoken))


"""tbd"""
