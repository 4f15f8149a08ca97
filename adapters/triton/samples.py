"""Samples as 16-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert samples of -1 to 1 to 16-bit integers; values out of range are clipped."""
    samples: NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
    return samples
