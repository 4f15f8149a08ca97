"""The figures that say whether two recordings are of one voice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.similarity import apart, compare, equal_error


def test_voices_that_are_apart_have_a_margin_and_no_error() -> None:
    assert compare([0.9, 0.7], [0.1, 0.3]) == {"same": 0.8, "other": 0.2, "margin": 0.4, "equal_error": 0.0}


def test_overlapping_voices_have_an_equal_error() -> None:
    assert equal_error([0.9, 0.8, 0.7, 0.2], [0.1, 0.1, 0.1, 0.75]) == pytest.approx(0.25)
    assert equal_error([0.1] * 4, [0.9] * 4) == 1


def test_pairs_of_one_sex_are_compared_apart_from_the_others() -> None:
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    figures = apart({"af_a": [east, east], "af_b": [north, north], "am_c": [east, east]})
    assert figures["same_sex"] == {"same": 1.0, "other": 0.0, "margin": 1.0, "equal_error": 0.0}
    assert figures["any"]["other"] == pytest.approx(1 / 3, abs=1e-3)
