"""The transcriber of a family, and the windows that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE, TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.samples import check_samples
from tritone.transcript import Transcript

_MIN_SECONDS = 0.01
"""The hop of the usual speech features."""


@dataclass(frozen=True, eq=False)
class WindowRequest:
    """One client's audio, at most a window long, and its options."""

    audio: NDArray[np.float32]
    """Mono samples (n,) at `LISTEN_RATE`, -1 to 1."""
    options: TranscriptionOptions

    @property
    def seconds(self) -> float:
        """The length of `audio`."""
        return len(self.audio) / LISTEN_RATE

    def check(self, window_seconds: int) -> None:
        """Raise `InvalidInput` for audio that a model with windows of this length cannot transcribe."""
        if self.seconds < _MIN_SECONDS:
            raise InvalidInput("audio", f"{len(self.audio)} samples are too few; a window is at least {_MIN_SECONDS} s")
        if self.seconds > window_seconds:
            raise InvalidInput("audio", f"{self.seconds:.1f} s is too long; a window is at most {window_seconds} s")
        check_samples("audio", self.audio)


class Transcriber(Protocol):
    """The part that a transcription family implements; its methods are called from several threads at once."""

    description: TranscriptionDescription
    parallel_calls: int
    """Calls of `transcribe` that run faster side by side than one after the other. One more may run beside them."""

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for supported options with values that this checkpoint cannot serve."""

    def transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
        """Return the transcript of each window; they come from different clients and form one batch.

        Raises `GpuLost` if only a new process can use the GPU; the model's process then ends after its responses.
        """
