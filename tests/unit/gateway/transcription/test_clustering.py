"""Average linkage groups embeddings as SciPy's does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from gateway.core import clustering
from gateway.core.clustering import Group, average_linkage, speaker_groups


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


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_speakers_without_a_bonus_for_size_are_those_of_average_linkage(seed, monkeypatch):
    monkeypatch.setattr(clustering, "_CERTAIN", 0.0)
    random = np.random.default_rng(seed)
    embeddings = random.standard_normal((4, 8))[random.integers(4, size=30)] + 0.5 * random.standard_normal((30, 8))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    expected = average_linkage(list(embeddings), 0.5)
    found = speaker_groups([Group(each, 1) for each in embeddings], 0.5)
    assert [group.count for group in found] == [len(each) for each in expected]
    for group, indices in zip(found, expected, strict=True):
        assert group.total == pytest.approx(embeddings[indices].sum(axis=0), abs=1e-5)


def pairs(count):
    """Return embeddings of two speakers, as many of each, with cosines of 0.8 within and 0.5 between."""
    own, common = np.sqrt(0.3), np.sqrt(0.5)
    embeddings = np.zeros((2 * count, 3 + 2 * count), np.float32)
    embeddings[:, 0] = common
    embeddings[:count, 1] = embeddings[count:, 2] = own
    embeddings[np.arange(2 * count), 3 + np.arange(2 * count)] = np.sqrt(0.2)
    return [Group(each, 1) for each in embeddings]


def test_two_single_embeddings_are_joined_at_a_likeness_that_parts_large_groups():
    assert [group.count for group in speaker_groups(pairs(1), 0.42)] == [2]
    assert [group.count for group in speaker_groups(pairs(20), 0.42)] == [20, 20]


@pytest.mark.parametrize(("limits", "count"), [({"most": 1}, 1), ({"least": 3}, 3), ({"least": 9}, 4)])
def test_the_number_of_groups_has_limits(limits, count):
    assert len(speaker_groups(pairs(2), 0.42, **limits)) == count
