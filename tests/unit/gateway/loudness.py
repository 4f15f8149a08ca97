"""The detection of speech by loudness, without weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.core.speech_detectors import SpeechDetectors
from tritone.windowing import Samples


class LoudnessDetectors(SpeechDetectors):
    """Detectors without weights: loud audio has the probability `gain` of speech."""

    missing = ""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    async def load(self) -> None:
        pass

    def new(self) -> Callable[[Samples], NDArray[np.float32]]:
        return lambda frames: self.gain * loudness(frames)


def loudness(frames: Samples) -> NDArray[np.float32]:
    """Return 1 for each loud frame, 0 for a silent one."""
    return (np.abs(frames).max(axis=1) > 0.05).astype(np.float32)
