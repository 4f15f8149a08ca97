"""Find the phonemes of each word in the phonemes of a text.

espeak-ng joins words (`for the` has one group of phonemes) and divides others (numbers). So each word is converted
alone, and the phonemes of all words, one after the other, are aligned with those of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def word_spans(words: Sequence[str], phonemes: str) -> list[tuple[int, int]]:
    """Return the range [first, last) in `phonemes` of each word, by the words' own phonemes.

    The ranges are in order and do not overlap; one is empty if nothing of its word is left in `phonemes`. Spaces and
    punctuation at a range's ends are left out.
    """
    owners = [index for index, word in enumerate(words) for _ in word]
    starts: dict[int, int] = {}
    for owner, place in zip(owners, _places("".join(words), phonemes), strict=True):
        if place is not None:
            starts.setdefault(owner, place)
    spans: list[tuple[int, int]] = []
    end = len(phonemes)
    for index in reversed(range(len(words))):
        start = starts.get(index, end)
        spans.append(_trimmed(phonemes, start if index else 0, end) if index in starts or not index else (end, end))
        end = start
    return spans[::-1]


def _trimmed(phonemes: str, start: int, end: int) -> tuple[int, int]:
    while end > start and not _sounds(phonemes[end - 1]):
        end -= 1
    while start < end and not _sounds(phonemes[start]):
        start += 1
    return start, end


def _sounds(character: str) -> bool:
    return character.isalnum() or character in "ˈˌː→↗↓↘"


def _places(expected: str, actual: str) -> list[int | None]:
    """Return the place in `actual` of each character of `expected`, by the fewest edits; None for a deleted one."""
    costs = _edit_costs(expected, actual)
    places: list[int | None] = [None] * len(expected)
    i, j = len(expected), len(actual)
    while i and j:
        if costs[i, j] == costs[i - 1, j - 1] + (expected[i - 1] != actual[j - 1]):
            i, j = i - 1, j - 1
            places[i] = j
        elif costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return places


def _edit_costs(expected: str, actual: str) -> NDArray[np.int32]:
    """Return the least edits between each beginning of `expected` and each of `actual`."""
    columns = np.arange(len(actual) + 1, dtype=np.int32)
    letters = np.array([ord(character) for character in actual], np.int32)
    costs = np.empty((len(expected) + 1, len(actual) + 1), np.int32)
    costs[0] = columns
    for i, character in enumerate(expected, start=1):
        best = costs[i - 1] + 1
        best[1:] = np.minimum(best[1:], costs[i - 1, :-1] + (letters != ord(character)))
        costs[i] = np.minimum.accumulate(best - columns) + columns
    return costs
