"""Samples of synthesized audio: their check, and their form on the wire."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_finite(audio: NDArray[np.float32]) -> None:
    """Raise `RuntimeError` for samples that are NaN or infinite; as integers they would be noise or silence."""
    if not np.isfinite(audio).all():
        raise RuntimeError("NaN or infinite samples: the weights are broken, or the precision is too narrow")


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert samples of -1 to 1 to 16-bit integers; values out of range are clipped."""
    samples: NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
    return samples
