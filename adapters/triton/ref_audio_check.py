"""Checks of the recording of a voice to clone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.triton.samples import check_samples
from tritone.contract import REFERENCE_SECONDS, SPEECH_RATE
from tritone.errors import InvalidInput

_SILENCE = 1e-3
"""A peak below -60 dB is noise, not a voice."""


def check_ref_audio(audio: NDArray[np.float32]) -> None:
    """Raise `InvalidInput` for samples (n,) at `SPEECH_RATE` from which no voice can be cloned."""
    low, high = REFERENCE_SECONDS
    seconds = len(audio) / SPEECH_RATE
    if not low <= seconds <= high:
        raise InvalidInput(
            "ref_audio", f"{seconds:.2f} s at {SPEECH_RATE} Hz is out of range; give {low} to {high} s of clear speech"
        )
    peak = check_samples("ref_audio", audio)
    if peak < _SILENCE:
        raise InvalidInput("ref_audio", f"it is silent: its peak is {peak:g}; give {low} to {high} s of clear speech")
