"""A client that plays its audio."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.inflight.audio_collector import AudioCollector
from tritone.contract import SPEECH_RATE
from tritone.errors import Overloaded

_PATIENCE = 60
"""Seconds to wait for the end of a request."""


class PlaybackClient(AudioCollector):
    """Collects the audio of a request, and simulates its playback from the first audio on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.submitted = clock()
        self.ended = 0.0
        self.silence = 0.0
        """Seconds without audio to play, before the end."""
        self._played_until = 0.0

    @property
    def rejected(self) -> bool:
        """True if the engine was at capacity."""
        return isinstance(self.error, Overloaded)

    @property
    def to_first_audio(self) -> float:
        """Seconds from the request to the first audio."""
        assert self.first_audio is not None
        return self.first_audio - self.submitted

    @property
    def seconds(self) -> float:
        """Seconds of audio."""
        return sum(len(chunk) for chunk in self.chunks) / SPEECH_RATE

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        """Keep the next samples (n,), and record the time."""
        super().audio(samples, rate)
        self.ended = self._clock()
        late = self.ended - (self._played_until or self.ended)
        self.silence += max(0.0, late)
        self._played_until = max(self._played_until, self.ended) + len(samples) / rate


def wait(clients: Sequence[PlaybackClient]) -> None:
    """Wait for the end of all; raises `TimeoutError` if the engine hangs."""
    for client in clients:
        if not client.wait(_PATIENCE):
            raise TimeoutError(f"an utterance has not ended after {_PATIENCE} s")


def accepted(clients: Sequence[PlaybackClient]) -> list[PlaybackClient]:
    """Return the clients that were not rejected; raises the error of any that failed."""
    for client in clients:
        if client.error is not None and not client.rejected:
            raise client.error
    return [client for client in clients if not client.rejected]


def ttfa(seconds: Sequence[float], *percentiles: int) -> dict[str, float]:
    """Return percentiles of times to first audio, in milliseconds."""
    return {f"ttfa_p{each}_ms": round(1e3 * float(np.percentile(seconds, each)), 2) for each in percentiles}
