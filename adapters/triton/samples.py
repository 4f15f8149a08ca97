"""Samples in both directions: checks of those that clients send, and 16-bit integers of those that models make."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritone.errors import InvalidInput

_PEAK_LIMIT = 8.0
"""Decoders overshoot 1 a little; samples far above it are unscaled integers."""


def check_samples(tensor: str, audio: NDArray[np.float32]) -> float:
    """Return the peak of a client's samples; raises `InvalidInput` with the tensor's name for unusable ones."""
    peak = float(np.maximum(audio.max(), -audio.min()))
    if not np.isfinite(peak):
        raise InvalidInput(tensor, "it holds NaN or infinite samples")
    if peak > _PEAK_LIMIT:
        raise InvalidInput(tensor, f"its peak is {peak:g}; samples go from -1 to 1 (divide 16-bit ones by 32768)")
    return peak


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert samples of -1 to 1 to 16-bit integers; values out of range are clipped."""
    samples: NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
    return samples
