"""The joins between the parts of a text: the end of one fades into the beginning of the next."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tritone.contract import SPEECH_RATE

_OVERLAP: Final = int(0.15 * SPEECH_RATE)
"""Samples, as in the package."""


class CrossFade:
    """Joins the parts of one text. The end of a part is held back until the next part is known."""

    def __init__(self) -> None:
        self._held = np.empty(0, np.float32)

    def add(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        """Return the samples (n,) that are complete after a part; all of them after the `last` one."""
        overlap = min(len(self._held), len(samples))
        fade = np.linspace(0, 1, overlap, dtype=np.float32)
        start = len(self._held) - overlap
        mixed = self._held[start:] * (1 - fade) + samples[:overlap] * fade
        joined: NDArray[np.float32] = np.concatenate([self._held[:start], mixed, samples[overlap:]])
        keep = 0 if last else min(_OVERLAP, len(joined))
        self._held = joined[len(joined) - keep :]
        return joined[: len(joined) - keep]
