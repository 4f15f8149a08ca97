"""Make speech louder or quieter, without cutting off its peaks."""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.audio.frames import Pcm, Samples
from gateway.audio.limiter import Limiter

_SCALE: Final = 32768
_MOST: Final = 32767


class Volume:
    """Multiplies int16 samples of `rate` Hz by `factor`; where that exceeds full scale, the level is lower."""

    def __init__(self, factor: float, rate: int) -> None:
        self._factor = np.float32(factor / _SCALE)
        self._limiter = Limiter(rate)

    def write(self, samples: Samples) -> Samples:
        """Add samples; return those that are ready."""
        return _whole(self._limiter.write(samples.astype(np.float32) * self._factor))

    def finish(self) -> Samples:
        """Return the samples that wait; call it once."""
        return _whole(self._limiter.finish())


def _whole(pcm: Pcm) -> Samples:
    whole: Samples = np.clip(np.round(pcm * _SCALE), -_SCALE, _MOST).astype(np.int16)
    return whole
