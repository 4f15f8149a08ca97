"""Lower the level of audio where it exceeds full scale, instead of cutting off its peaks."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.audio.frames import Pcm

_REACH_SECONDS: Final = 0.01
"""The gain falls so long before a peak, and rises as long after it."""


class Limiter:
    """Keeps audio at `rate` Hz within -1 to 1 by a smooth gain; audio within that stays as it is."""

    def __init__(self, rate: int) -> None:
        self._reach = round(_REACH_SECONDS * rate)
        self._before = np.zeros(2 * self._reach, np.float32)
        """The samples before `_held`, which their gain depends on."""
        self._held = np.empty(0, np.float32)

    def write(self, samples: Pcm) -> Pcm:
        """Add finite `samples`; return those whose gain is known."""
        return self._limited(samples, 2 * self._reach)

    def finish(self) -> Pcm:
        """Return the samples that wait; call it once."""
        return self._limited(np.empty(0, np.float32), 0)

    def _limited(self, samples: Pcm, hold: int) -> Pcm:
        """Return all but the last `hold` samples."""
        joined = np.concatenate([self._before, self._held, samples])
        first, last = len(self._before), max(len(self._before), len(joined) - hold)
        ready: Pcm = joined[first:last]
        self._held = joined[last:]
        self._before = joined[last - len(self._before) : last]
        if not ready.size or np.abs(joined).max() <= 1:
            return ready
        padded = np.pad(joined, (0, 2 * self._reach - len(self._held)))
        needed = 1 / np.maximum(np.abs(padded), 1).astype(np.float64)
        # The least gain that is needed within reach, then its mean: smooth, and never above what is needed.
        width = 2 * self._reach + 1
        gain = _sliding_mean(_sliding_min(needed, width), width)
        # Rounding errors of the mean matter for values that no recording has.
        lowered: Pcm = np.clip(ready * gain[: len(ready)], -1, 1).astype(np.float32)
        return lowered


def _sliding_min(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the minimum of each `width` consecutive values."""
    padded = np.pad(values, (0, -len(values) % width), constant_values=np.inf).reshape(-1, width)
    to_end = np.minimum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].reshape(-1)
    from_start = np.minimum.accumulate(padded, axis=1).reshape(-1)
    count = len(values) - width + 1
    return np.minimum(to_end[:count], from_start[width - 1 : width - 1 + count])


def _sliding_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the mean of each `width` consecutive values."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    mean: NDArray[np.float64] = (sums[width:] - sums[:-width]) / width
    return mean
