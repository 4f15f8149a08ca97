"""Detection of speech that does not end by itself: about three requests in a thousand never draw the end token.

The limit by the length of the text is in `frames.runaway_limit`. It is generous; this detector acts long before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.inflight.repetition import RepetitionDetector
from adapters.qwen3_tts.frames import SAMPLES_PER_FRAME

_SILENCE = 1e-3
"""Root mean square of a frame, -60 dB of full scale. A frame below it is silent."""


class RunawayDetector:
    """Detects a runaway of one stream: too many frames of silence, or of one exact repetition."""

    def __init__(self, frames: int) -> None:
        """`frames`: the length of a runaway; 0 turns the detector off.

        Sampled speech repeats no sequence of codes for 8 seconds, and no reader pauses for so long.
        """
        self._limit = frames
        self._repetition = RepetitionDetector(frames)
        self._silent = 0

    def add_code(self, code: int) -> bool:
        """Add the code of codebook 0 of a frame. Return True if a sequence of codes has repeated for too long."""
        return self._repetition.add(code)

    def add_audio(self, audio: NDArray[np.float32]) -> bool:
        """Add the samples (frames * 1920,) of a chunk. Return True if the audio has been silent for too long."""
        loudness = np.sqrt(np.square(audio.reshape(-1, SAMPLES_PER_FRAME)).mean(axis=1))
        loud = np.flatnonzero(loudness >= _SILENCE)
        self._silent = len(loudness) - 1 - int(loud[-1]) if len(loud) else self._silent + len(loudness)
        return 0 < self._limit <= self._silent
