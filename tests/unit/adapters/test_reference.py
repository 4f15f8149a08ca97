"""Which recordings a voice can be taken from."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.triton.reference import check_reference
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput

SECOND = (0.3 * np.sin(np.arange(SPEECH_RATE) / 20)).astype(np.float32)


@pytest.mark.parametrize("seconds", [1, 30])
def test_one_to_thirty_seconds_will_do(seconds: int) -> None:
    check_reference(np.tile(SECOND, seconds))


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        (SECOND[:0], r"0\.00 s .* give 1 to 30 s"),
        (SECOND[:-1], r"give 1 to 30 s"),
        (np.tile(SECOND, 31), r"31\.00 s"),
        (np.where(np.arange(SPEECH_RATE) == 7, np.nan, SECOND), "NaN"),
        (np.where(np.arange(SPEECH_RATE) == 7, np.inf, SECOND), "infinite"),
        (SECOND * 32768, "divide 16-bit ones by 32768"),
        (SECOND * 1e-4, "silent"),
    ],
    ids=["empty", "short", "long", "nan", "infinite", "integers", "silent"],
)
def test_others_are_refused_with_what_would_do(audio: np.ndarray, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        check_reference(audio.astype(np.float32))
    assert refused.value.field == "ref_audio"
