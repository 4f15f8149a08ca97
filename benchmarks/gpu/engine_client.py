"""A client of an engine in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.inflight.audio_collector import AudioCollector
from benchmarks.gpu.playback import Playback
from tritone.contract import SPEECH_RATE
from tritone.errors import Overloaded

_PATIENCE = 60
"""Seconds to wait for the end of a request."""


class PlaybackClient(AudioCollector):
    """Collects the audio of a request, with the times. It computes nothing: the engine's thread calls it."""

    def __init__(self, requested: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`requested`: the time of the request on `clock`; by default now."""
        super().__init__()
        self._clock = clock
        self._arrivals: list[float] = []
        self._requested = clock() if requested is None else requested

    @property
    def rejected(self) -> bool:
        """True if the engine was at capacity."""
        return isinstance(self.error, Overloaded)

    @property
    def playback(self) -> Playback:
        """The audio so far."""
        return Playback(self._requested, self._arrivals, self.chunks)

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        """Keep the next samples (n,), and record the time."""
        super().audio(samples, rate)
        self._arrivals.append(self._clock())


def wait(clients: Sequence[PlaybackClient]) -> None:
    """Wait for the end of all; raises `TimeoutError` if the engine hangs."""
    for client in clients:
        if not client.wait(_PATIENCE):
            raise TimeoutError(f"an utterance has not ended after {_PATIENCE} s")


def accepted(clients: Sequence[PlaybackClient]) -> list[Playback]:
    """Return what the clients that were not rejected have received; raises the error of any that failed."""
    for client in clients:
        if client.error is not None and not client.rejected:
            raise client.error
    return [client.playback for client in clients if not client.rejected]
