"""A caller who plays what it hears."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.inflight.io.collector import AudioCollector
from tritone.contract import SPEECH_RATE
from tritone.errors import Overloaded

_PATIENCE = 60
"""Seconds for which the end of an utterance is waited for."""


class Listener(AudioCollector):
    """Hears an utterance, and plays it from the first audio on as fast as it was spoken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.asked = clock()
        self.ended = 0.0
        self.silence = 0.0
        """Seconds for which there was nothing to play before the end."""
        self._played_until = 0.0

    @property
    def refused(self) -> bool:
        """Whether there was no room."""
        return isinstance(self.error, Overloaded)

    @property
    def to_first_audio(self) -> float:
        """Seconds."""
        assert self.first_audio is not None
        return self.first_audio - self.asked

    @property
    def seconds(self) -> float:
        """Of audio."""
        return sum(len(chunk) for chunk in self.chunks) / SPEECH_RATE

    def audio(self, samples: NDArray[np.float32]) -> None:
        """Keep the next samples (n,), and take the time."""
        super().audio(samples)
        self.ended = self._clock()
        late = self.ended - (self._played_until or self.ended)
        self.silence += max(0.0, late)
        self._played_until = max(self._played_until, self.ended) + len(samples) / SPEECH_RATE


def wait(listeners: Sequence[Listener]) -> None:
    """For the end of all; raises `TimeoutError` where the engine has come to a halt."""
    for listener in listeners:
        if not listener.wait(_PATIENCE):
            raise TimeoutError(f"an utterance has not ended after {_PATIENCE} s")


def heard(listeners: Sequence[Listener]) -> list[Listener]:
    """Those that were not refused; raises what any other failed with."""
    for listener in listeners:
        if listener.error is not None and not listener.refused:
            raise listener.error
    return [listener for listener in listeners if not listener.refused]


def ttfa(seconds: Sequence[float], *percentiles: int) -> dict[str, float]:
    """Percentiles of times to first audio, in milliseconds."""
    return {f"ttfa_p{each}_ms": round(1e3 * float(np.percentile(seconds, each)), 2) for each in percentiles}
