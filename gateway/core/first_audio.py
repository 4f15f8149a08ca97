"""The first audio of a stream: when it comes from the model, when it can be played, and when it is heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.audio.frames import Samples
from gateway.core.metrics import FIRST_AUDIBLE, FIRST_PACKET, FIRST_PLAYABLE

_AUDIBLE: Final = 104
"""The least level of a sound, of int16 samples: -50 dB of full scale."""
_BLOCK: Final = 2048
"""Samples that are looked at in one go: speech begins early in a piece of many thousand."""


class FirstAudio:
    """Measures one stream; tell it of each piece from the model, and of each that leaves the encoder."""

    def __init__(self, model: str, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin to measure."""
        self._model = model
        self._clock = clock
        self._began = clock()
        self._received = False
        self._playable: float | None = None
        self._silence = 0.0
        """Seconds of silence at the begin of the audio."""
        self._sound: float | None = None
        """When the first sound was received."""
        self._heard = False

    def receive(self, samples: Samples, rate: int) -> None:
        """Note samples from the model, at `rate` Hz."""
        if self._sound is not None or not len(samples):
            return
        now = self._clock()
        if not self._received:
            self._received = True
            FIRST_PACKET.labels(self._model).observe(now - self._began)
        first = _first_loud(samples)
        self._silence += first / rate
        if first < len(samples):
            self._sound = now
            self._hear()

    def send(self) -> None:
        """Note bytes that are ready to be sent."""
        if self._playable is None:
            self._playable = self._clock()
            FIRST_PLAYABLE.labels(self._model).observe(self._playable - self._began)
            self._hear()

    def _hear(self) -> None:
        if self._heard or self._playable is None or self._sound is None:
            return
        self._heard = True
        heard = max(self._playable + self._silence, self._sound)
        FIRST_AUDIBLE.labels(self._model).observe(heard - self._began)


def _first_loud(samples: Samples) -> int:
    """Return the position of the first sample that is heard; the end if there is none."""
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        loud = (block >= _AUDIBLE) | (block <= -_AUDIBLE)
        first = int(np.argmax(loud))
        if loud[first]:
            return start + first
    return len(samples)
