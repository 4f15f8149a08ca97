"""The output of a stream, as the engine sees it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.triton.response_stream import FinishReason


class AudioSink(Protocol):
    """Takes the audio of one request. No method blocks or calls Triton."""

    closed: bool
    """True once the audio has no receiver any more."""

    def start(self) -> None:
        """Report that work on the request begins."""

    def audio(self, samples: NDArray[np.float32]) -> None:
        """Send the next samples (n,), -1 to 1."""

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream after its last audio."""

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""
