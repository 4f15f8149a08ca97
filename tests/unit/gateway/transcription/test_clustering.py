"""Average linkage groups embeddings as SciPy's does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from gateway.core.clustering import average_linkage


def groups_of_scipy(embeddings, distance):
    labels = fcluster(linkage(np.stack(embeddings), "average", "cosine"), distance, "distance").tolist()
    return sorted([index for index, label in enumerate(labels) if label == each] for each in set(labels))


@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40), speakers=st.integers(1, 6), distance=st.floats(0.05, 1.2)
)
def test_groups_are_those_of_scipy(seed, count, speakers, distance):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((speakers, 8))
    embeddings = [
        (centres[random.integers(speakers)] + 0.5 * random.standard_normal(8)).astype(np.float32) for _ in range(count)
    ]
    assert average_linkage(embeddings, distance) == groups_of_scipy(
        [each.astype(float) for each in embeddings], distance
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_equal_embeddings_are_one_group(count):
    assert average_linkage([np.ones(4, np.float32)] * count, 0.3) == ([list(range(count))] if count else [])


def test_opposite_embeddings_stay_apart():
    one, other = np.array([1, 0], np.float32), np.array([-1, 0], np.float32)
    assert average_linkage([one, other, one], 0.5) == [[0, 2], [1]]
