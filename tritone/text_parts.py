"""Split a long text into the parts that are synthesized one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PART_CHARS: Final = 500
"""Characters of a part, at most: about half a minute of speech."""

_BREAKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n\s*\n\s*",  # between paragraphs
        r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])[”’」』）]*",  # between sentences
        r"(?<=[,;:—])\s+|(?<=[，、；：])",  # between clauses
        r"\s+",
    )
)
"""The places where a part may end, the best first."""


def split_text(text: str, most: int = PART_CHARS) -> Iterator[str]:
    """Yield the parts of `text`, at most `most` characters each, without the space around them.

    A part ends at the last end of a paragraph that fits; without one, at that of a sentence, a clause or a word.
    """
    rest = text.strip()
    while len(rest) > most:
        end = _last_break(rest, most)
        yield rest[:end].rstrip()
        rest = rest[end:].lstrip()
    if rest:
        yield rest


def _last_break(text: str, most: int) -> int:
    """Return the best end of a part, in the second half if there is one."""
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, 0, most + 1)]
        if late := [end for end in ends if end > most // 2 and len(text[:end].rstrip()) <= most]:
            return late[-1]
    return most
