"""A caller inside the process: hears what an engine speaks."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from adapters.triton.speech import FinishReason


class Recording:
    """Keeps the audio of one utterance; `wait` for its end before its other parts are read."""

    def __init__(self) -> None:
        self.gone = False
        """Set it to stop listening."""
        self.chunks: list[NDArray[np.float32]] = []
        self.first_audio: float | None = None
        """When the first chunk came, as `time.monotonic` counts."""
        self.reason: FinishReason | None = None
        self.error: BaseException | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Work begins."""

    def audio(self, samples: NDArray[np.float32]) -> None:
        """Keep the next samples (n,)."""
        if self.first_audio is None:
            self.first_audio = time.monotonic()
        self.chunks.append(samples)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """The end."""
        self.reason = reason
        self._ended.set()

    def fail(self, error: BaseException) -> None:
        """The end, by an error."""
        self.error = error
        self._ended.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False where it has not come within `timeout` seconds."""
        return self._ended.wait(timeout)

    def samples(self) -> NDArray[np.float32]:
        """All samples (n,); raises what the engine failed with."""
        if self.error is not None:
            raise self.error
        return np.concatenate([*self.chunks, np.empty(0, np.float32)])
