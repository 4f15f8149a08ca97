"""Groups of similar embeddings, by average linkage of cosine distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
