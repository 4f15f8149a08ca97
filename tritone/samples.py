"""Checks of audio samples, the same in the gateway and in the models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritone.contract import REFERENCE_SECONDS, SPEECH_RATE
from tritone.errors import InvalidInput

SILENCE_RMS = 1e-3
"""An RMS below -60 dB is noise, not a voice."""
CLEAR_SPEECH = "give {} to {} s of clear speech".format(*REFERENCE_SECONDS)

_PEAK_LIMIT = 8.0
"""Decoders overshoot 1 a little; samples far above it are unscaled integers."""


def check_samples(field: str, audio: NDArray[np.float32]) -> None:
    """Raise `InvalidInput` with the field's name for samples (n,), n > 0, that are not finite or not scaled."""
    peak = float(np.maximum(audio.max(), -audio.min()))
    if not np.isfinite(peak):
        raise InvalidInput(field, "it holds NaN or infinite samples")
    if peak > _PEAK_LIMIT:
        raise InvalidInput(field, f"its peak is {peak:g}; samples go from -1 to 1 (divide 16-bit ones by 32768)")


def check_ref_audio(audio: NDArray[np.float32]) -> None:
    """Raise `InvalidInput` for samples (n,) at `SPEECH_RATE` from which no voice can be cloned."""
    low, high = REFERENCE_SECONDS
    seconds = len(audio) / SPEECH_RATE
    if not low <= seconds <= high:
        raise InvalidInput("ref_audio", f"it is {seconds:.2f} s long at {SPEECH_RATE} Hz; {CLEAR_SPEECH}")
    check_samples("ref_audio", audio)
    if np.sqrt(np.mean(np.square(audio, dtype=np.float64))) < SILENCE_RMS:
        raise InvalidInput("ref_audio", f"it is silent; {CLEAR_SPEECH}")
