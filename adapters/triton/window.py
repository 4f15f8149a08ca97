"""What a transcription model is asked to hear, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE, WINDOW_SECONDS, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.transcript import Transcript

_MIN_SECONDS = 0.01
"""The hop of the usual speech features."""
_PEAK_LIMIT = 8.0
"""Decoders overshoot 1 a little; far above it, the samples are integers that nobody scaled."""


@dataclass(frozen=True, eq=False)
class Window:
    """One caller's audio of at most 30 s, and how it is to be transcribed."""

    audio: NDArray[np.float32]
    """Mono samples (n,) at `LISTEN_RATE`, -1 to 1."""
    options: TranscriptionOptions

    @property
    def seconds(self) -> float:
        """The length of `audio`."""
        return len(self.audio) / LISTEN_RATE

    def check(self) -> None:
        """Raise `InvalidInput` for audio that no model can hear."""
        if self.seconds < _MIN_SECONDS:
            raise InvalidInput("audio", f"{len(self.audio)} samples are too few; a window is at least {_MIN_SECONDS} s")
        if self.seconds > WINDOW_SECONDS:
            raise InvalidInput("audio", f"{self.seconds:.1f} s is too long; a window is at most {WINDOW_SECONDS} s")
        check_samples(self.audio)


def check_samples(audio: NDArray[np.float32]) -> None:
    """Raise `InvalidInput` for samples that are no sound, or not scaled."""
    peak = np.maximum(audio.max(), -audio.min())
    if not np.isfinite(peak):
        raise InvalidInput("audio", "it holds NaN or infinite samples")
    if peak > _PEAK_LIMIT:
        raise InvalidInput("audio", f"its peak is {peak:g}; samples go from -1 to 1 (divide 16-bit ones by 32768)")


class Transcriber(Protocol):
    """What a model family implements; its methods are called from several threads at once."""

    streams: int
    """Calls of `transcribe` that are quicker side by side than one after the other; a further one goes on beside."""

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for options that are valid in the contract but that this checkpoint cannot serve."""

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript]:
        """The transcript of each window, computed as one batch; the windows are of different callers."""
