"""The best sequence of choices, where a change has its price."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def best_path(gains: NDArray[np.floating[Any]], prices: Iterable[float], first: int = 0) -> list[int]:
    """Return the choice of each step that gain the most together (Viterbi).

    `gains` [steps, choices]; `prices`: of a change of the choice before each step; `first`: the choice that is taken
    if nothing else tells.
    """
    choices = gains.shape[1]
    best, same = np.zeros(choices), np.arange(choices)
    best[first] = 1e-6
    came_from = []
    for gained, price in zip(gains, prices, strict=True):
        changed = best.max() - price
        came_from.append(np.where(best >= changed, same, best.argmax()))
        best = np.maximum(best, changed) + gained
    choice = int(best.argmax())
    found = []
    for each in reversed(came_from):
        found.append(choice)
        choice = int(each[choice])
    return found[::-1]
