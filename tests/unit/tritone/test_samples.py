"""Checks of audio samples."""

from __future__ import annotations

import numpy as np
import pytest

from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.samples import check_ref_audio

SECOND = (0.3 * np.sin(np.arange(SPEECH_RATE) / 20)).astype(np.float32)


@pytest.mark.parametrize("seconds", [1, 30])
def test_one_to_thirty_seconds_are_accepted(seconds: int) -> None:
    check_ref_audio(np.tile(SECOND, seconds))


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        (SECOND[:0], r"0\.00 s long .* give 1 to 30 s"),
        (SECOND[:-1], r"give 1 to 30 s"),
        (np.tile(SECOND, 31), r"31\.00 s"),
        (np.where(np.arange(SPEECH_RATE) == 7, np.nan, SECOND), "NaN"),
        (np.where(np.arange(SPEECH_RATE) == 7, np.inf, SECOND), "infinite"),
        (SECOND * 32768, "divide 16-bit ones by 32768"),
        (SECOND * 1e-4, "silent"),
    ],
    ids=["empty", "short", "long", "nan", "infinite", "integers", "silent"],
)
def test_unusable_audio_is_rejected_with_the_allowed_range(audio: np.ndarray, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        check_ref_audio(audio.astype(np.float32))
    assert caught.value.field == "ref_audio"
