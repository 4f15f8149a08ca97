from __future__ import annotations

import numpy as np
import pytest

from adapters.triton.transcriber import WindowRequest
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput


def window_of(audio):
    return WindowRequest(np.asarray(audio, np.float32), TranscriptionOptions())


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        ([], "0 samples are too few"),
        (np.zeros(159), "159 samples are too few"),
        (np.zeros(30 * 16_000 + 1), "at most 30 s"),
        ([0.0] * 500 + [np.nan], "NaN or infinite"),
        ([0.0] * 500 + [np.inf], "NaN or infinite"),
        ([-3000.0] * 500, "from -1 to 1"),
    ],
)
def test_unusable_audio_is_rejected_with_the_tensors_name(audio, problem):
    with pytest.raises(InvalidInput, match=problem) as caught:
        window_of(audio).check(30)
    assert caught.value.field == "audio"


@pytest.mark.parametrize("audio", [np.zeros(160), np.zeros(30 * 16_000), np.full(500, 1.3)])
def test_audio_from_10_ms_to_30_s_is_accepted_even_if_it_overshoots(audio):
    window_of(audio).check(30)
