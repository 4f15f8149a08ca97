"""What ends speech that does not end by itself: about three requests in a thousand never draw the end token.

The cap by the length of the text stands in `Utterance`; it is generous, and these two detectors act long before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.stock import SAMPLES_PER_FRAME

_LONGEST_PERIOD = 32
"""Frames; 2.6 s, a phrase."""
_SILENCE = 1e-3
"""A frame's root mean square below -60 dB of full scale."""


@dataclass(frozen=True)
class Guards:
    """What is taken for a runaway."""

    frames: int = 100
    """Frames of silence, or of one exact repetition; 8 s. Sampled speech repeats no code sequence for so long, and no
    reader pauses for it. 0: neither is looked for."""

    def watch(self) -> Watch:
        """A watch over one stream."""
        return Watch(self.frames)


class Watch:
    """Looks on while one stream is made, and says when it runs away."""

    def __init__(self, frames: int) -> None:
        self._limit = frames
        self._codes = np.full(2 * _LONGEST_PERIOD, -1)
        """The latest ones, twice: from `_latest` on they lie in a row, the latest first, and need not be moved."""
        self._latest = 0
        self._repeated = np.zeros(_LONGEST_PERIOD, np.int64)
        """For each period p: since how many frames each code has equalled the one p frames before it."""
        self._silent = 0

    def repeats(self, code: int) -> bool:
        """After each frame, with its code of codebook 0: whether a sequence of codes has come again for too long."""
        self._repeated += 1
        self._repeated *= self._codes[self._latest : self._latest + _LONGEST_PERIOD] == code
        self._latest = (self._latest - 1) % _LONGEST_PERIOD
        self._codes[[self._latest, self._latest + _LONGEST_PERIOD]] = code
        return 0 < self._limit <= int(self._repeated.max())

    def silent(self, audio: NDArray[np.float32]) -> bool:
        """After each chunk, samples (frames * 1920,): whether it has been silent for too long."""
        loudness = np.sqrt(np.square(audio.reshape(-1, SAMPLES_PER_FRAME)).mean(axis=1))
        heard = np.flatnonzero(loudness >= _SILENCE)
        self._silent = len(loudness) - 1 - int(heard[-1]) if len(heard) else self._silent + len(loudness)
        return 0 < self._limit <= self._silent
