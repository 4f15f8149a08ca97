"""An audio sink inside the process."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from adapters.triton.response_stream import FinishReason
from tritone.contract import SPEECH_RATE


class AudioCollector:
    """Keeps the audio of one request. Call `wait` before reading the other attributes."""

    def __init__(self) -> None:
        self.closed = False
        """Set it to cancel the request."""
        self.rate = 0
        """Hz; 0 before the first chunk."""
        self.chunks: list[NDArray[np.float32]] = []
        self.first_audio: float | None = None
        """The time of the first chunk, on the clock of `time.monotonic`."""
        self.reason: FinishReason | None = None
        self.error: BaseException | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Do nothing."""

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        """Keep the next samples (n,), at `rate` Hz."""
        self.rate = rate
        if self.first_audio is None:
            self.first_audio = time.monotonic()
        self.chunks.append(samples)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """Keep the finish reason."""
        self.reason = reason
        self._ended.set()

    def fail(self, error: BaseException) -> None:
        """Keep the error."""
        self.error = error
        self._ended.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the stream. Return False after `timeout` seconds."""
        return self._ended.wait(timeout)

    def samples(self) -> NDArray[np.float32]:
        """Return all samples (n,); raises the error of the stream, if it failed."""
        if self.error is not None:
            raise self.error
        return np.concatenate([*self.chunks, np.empty(0, np.float32)])

    def check_self_test(self) -> None:
        """Wait for the end of a self-test; raises its error, or `RuntimeError` if the result is no audio."""
        self.wait()
        samples = self.samples()
        if not len(samples) or not np.isfinite(samples).all():
            raise RuntimeError("self-test failed: the checkpoint gives no audio, or NaN")
