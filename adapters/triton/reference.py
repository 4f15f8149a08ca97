"""The recording of a voice that is to be cloned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritone.contract import REFERENCE_SECONDS, SPEECH_RATE
from tritone.errors import InvalidInput

_PEAK_LIMIT = 8.0
"""Decoders overshoot 1 a little; far above it, the samples are integers that nobody scaled."""
_SILENCE = 1e-3
"""A peak below it, -60 dB, is noise and no voice."""


def check_reference(audio: NDArray[np.float32]) -> None:
    """Raise `InvalidInput` for samples (n,) at `SPEECH_RATE` that no voice can be taken from."""
    low, high = REFERENCE_SECONDS
    seconds = len(audio) / SPEECH_RATE
    if not low <= seconds <= high:
        raise InvalidInput(
            "ref_audio", f"{seconds:.2f} s at {SPEECH_RATE} Hz is out of range; give {low} to {high} s of clear speech"
        )
    peak = np.abs(audio).max()
    if not np.isfinite(peak):
        raise InvalidInput("ref_audio", "it holds NaN or infinite samples")
    if peak > _PEAK_LIMIT:
        raise InvalidInput("ref_audio", f"its peak is {peak:g}; samples go from -1 to 1 (divide 16-bit ones by 32768)")
    if peak < _SILENCE:
        raise InvalidInput("ref_audio", f"it is silent: its peak is {peak:g}; give {low} to {high} s of clear speech")
