"""Convert samples to and from PyAV's frames."""

from __future__ import annotations

import ctypes

import av
import numpy as np
from numpy.typing import NDArray

# By default each encoder, resampler and filter starts up to 17 threads, for work that only one of them does.
ctypes.CDLL(av._core.__file__).av_cpu_force_count(1)

Samples = NDArray[np.int16]
"""Mono audio of shape [n]."""
Pcm = NDArray[np.float32]
"""Mono audio of shape [n], -1 to 1."""


def frame(samples: Samples, rate: int, position: int) -> av.AudioFrame:
    """Return a frame of `samples` at `rate` Hz; `position` is the number of samples before them."""
    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="mono")
    made.sample_rate = rate
    made.pts = position
    return made


def samples_of(audio: av.AudioFrame) -> Samples:
    """Undo `frame`; `audio` is mono, of 16 bits."""
    return audio.to_ndarray().reshape(-1).astype(np.int16, copy=False)
