"""Groups of similar embeddings, by the mean cosine between their members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CERTAIN: Final = 0.2
"""By how much more alike than two single embeddings two large groups must be to be of one speaker.

The mean of many pairs of one speaker is 0.6 to 0.85, of two similar voices on the telephone up to 0.51.
"""


def average_linkage(embeddings: Sequence[NDArray[np.float32]], distance: float) -> list[list[int]]:
    """Return the indices of `embeddings` in groups, each in ascending order, and the groups by their first index.

    Groups are joined until the mean cosine distance between the members of any two is more than `distance`. An
    embedding is a vector that is not zero. The groups are found with chains of nearest neighbours (Murtagh, 1983), in
    n² time and memory.
    """
    groups = [[index] for index in range(len(embeddings))]
    if not groups:
        return []
    vectors = np.stack(embeddings).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - vectors @ vectors.T
    np.fill_diagonal(distances, np.inf)
    open_ = set(range(len(groups)))
    chain: list[int] = []
    while open_:
        if not chain:
            chain.append(min(open_))
        last, before = chain[-1], chain[-2] if len(chain) > 1 else None
        nearest = int(distances[last].argmin())
        if before is not None and distances[last, before] <= distances[last, nearest]:
            nearest = before  # of equally near ones this one, or the chain would never end
        if distances[last, nearest] > distance:
            # All others are further away, from it and from what it might be joined with.
            distances[last] = distances[:, last] = np.inf
            open_.remove(last)
            chain.pop()
        elif nearest == before:
            one, other = sorted((last, nearest))
            sizes = len(groups[one]), len(groups[other])
            joined = (sizes[0] * distances[one] + sizes[1] * distances[other]) / sum(sizes)
            groups[one] += groups[other]
            groups[other] = []
            distances[one] = distances[:, one] = joined
            distances[other] = distances[:, other] = distances[one, one] = np.inf
            open_.remove(other)
            del chain[-2:]
        else:
            chain.append(nearest)
    return sorted(sorted(group) for group in groups if group)


@dataclass(frozen=True)
class Group:
    """Embeddings of one speaker."""

    total: NDArray[np.float32]
    """Their sum."""
    count: int

    @property
    def mean(self) -> NDArray[np.float32]:
        """Their direction, a unit vector."""
        return self.total / np.linalg.norm(self.total)

    def __add__(self, other: Group) -> Group:
        """Return both as one group."""
        return Group(self.total + other.total, self.count + other.count)


def likeness_margin(one: Group, other: Group, likeness: float) -> float:
    """Return by how much the mean cosine between two groups exceeds what `speaker_groups` asks for."""
    totals, counts = np.stack([one.total, other.total]).astype(np.float64), np.array([one.count, other.count], float)
    return float(_margins(totals[:1], counts[:1], totals[1:], counts[1:], likeness)[0, 0])


def speaker_groups(groups: Sequence[Group], likeness: float, *, least: int = 1, most: int | None = None) -> list[Group]:
    """Join groups of embeddings, unit vectors, until each is of another speaker; their order is that of their first.

    The two that are most alike are joined, again and again, while the mean cosine between their members is at least
    `likeness` for two single ones, and up to `_CERTAIN` more the more they are: the mean of many tells more than one.
    `least` and `most` groups remain, if there were so many. The work grows with the cube of the number of `groups`.
    """
    totals = np.stack([group.total for group in groups]).astype(np.float64)
    counts = np.array([group.count for group in groups], float)
    margins = _margins(totals, counts, totals, counts, likeness)
    np.fill_diagonal(margins, -np.inf)
    alive = np.ones(len(groups), bool)
    for left in range(len(groups), least, -1):
        one, other = sorted(divmod(int(margins.argmax()), len(groups)))
        if margins[one, other] < 0 and (most is None or left <= most):
            break
        totals[one] += totals[other]
        counts[one] += counts[other]
        alive[other] = False
        joined = _margins(totals[one : one + 1], counts[one : one + 1], totals, counts, likeness)[0]
        margins[one] = margins[:, one] = np.where(alive, joined, -np.inf)
        margins[one, one] = -np.inf
        margins[other] = margins[:, other] = -np.inf
    return [Group(totals[index].astype(np.float32), int(counts[index])) for index in np.flatnonzero(alive)]


def _margins(
    totals: NDArray[np.float64],
    counts: NDArray[np.float64],
    others: NDArray[np.float64],
    other_counts: NDArray[np.float64],
    likeness: float,
) -> NDArray[np.float64]:
    """Return by how much the mean cosines between groups exceed what is asked for, [groups, others]."""
    means = totals @ others.T / np.outer(counts, other_counts)
    doubt = np.sqrt((1 / counts[:, np.newaxis] + 1 / other_counts) / 2)
    wanted = likeness + _CERTAIN * (1 - doubt)
    found: NDArray[np.float64] = means - wanted
    return found
