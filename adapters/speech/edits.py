"""The fewest edits that turn one sequence into another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_KEPT, _DELETED, _INSERTED = 0, 1, 2


def places(expected: Sequence[int], actual: Sequence[int]) -> list[int | None]:
    """Return the place in `actual` of each element of `expected`, or of that in its place; None for a deleted one.

    Time and memory grow with the product of the lengths, a byte each.
    """
    edits = _edits(expected, actual)
    found: list[int | None] = [None] * len(expected)
    i, j = len(expected), len(actual)
    while i and j:
        edit = edits[i - 1, j]
        i -= edit != _INSERTED
        j -= edit != _DELETED
        if edit == _KEPT:
            found[i] = j
    return found


def _edits(expected: Sequence[int], actual: Sequence[int]) -> NDArray[np.uint8]:
    """Return the last edit between each beginning of `expected`, without the empty one, and each of `actual`."""
    columns = np.arange(len(actual) + 1, dtype=np.int32)
    values = np.array(actual, np.int32)
    edits = np.empty((len(expected), len(actual) + 1), np.uint8)
    costs = columns
    for i, value in enumerate(expected):
        deleted, kept = costs + 1, costs[:-1] + (values != value)
        best = deleted.copy()
        best[1:] = np.minimum(best[1:], kept)
        costs = np.minimum.accumulate(best - columns) + columns
        edits[i] = np.where(costs == deleted, _DELETED, _INSERTED)
        edits[i, 1:][costs[1:] == kept] = _KEPT
    return edits
