"""Make speech faster or slower, without a change of pitch, while it streams."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from gateway.audio.frames import Samples, frame, samples_of

_STEP_SECONDS = 0.05
"""Audio in a frame for atempo: each stage holds back the latest frame, so large frames would delay the first audio."""
_PAD_SECONDS = 0.1
"""Output length of the silence that is added at the end to flush the last speech out of atempo's windows."""


class Tempo:
    """Makes audio of `rate` Hz `factor` times as fast: n input samples give n / factor output samples.

    ffmpeg's atempo sounds good from 0.5 to 2; for other factors it is applied several times.
    """

    def __init__(self, factor: float, rate: int) -> None:
        self._rate = rate
        self._factor = factor
        self._taken = self._given = 0
        self._graph = Graph()
        nodes = [self._graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))]
        steps = max(1, math.ceil(abs(math.log2(factor))))
        nodes += [self._graph.add("atempo", repr(factor ** (1 / steps))) for _ in range(steps)]
        nodes.append(self._graph.add("abuffersink"))
        self._graph.link_nodes(*nodes).configure()

    def write(self, samples: Samples) -> Samples:
        """Add `samples`; return the samples that are ready, if any."""
        ready = self._push(samples)
        self._taken += len(samples)
        self._given += len(ready)
        return ready

    def finish(self) -> Samples:
        """Return the remaining samples, to the exact length; call it once."""
        padding = np.zeros(round(_PAD_SECONDS * self._rate * max(1.0, self._factor)), np.int16)
        tail = [self._push(padding)]
        self._graph.push(None)
        tail += self._ready()
        return np.concatenate(tail)[: round(self._taken / self._factor) - self._given]

    def _push(self, samples: Samples) -> Samples:
        step = round(_STEP_SECONDS * self._rate)
        ready = [np.empty(0, np.int16)]
        for start in range(0, len(samples), step):
            self._graph.push(frame(samples[start : start + step], self._rate, self._taken + start))
            ready += self._ready()
        return np.concatenate(ready)

    def _ready(self) -> Iterator[Samples]:
        while True:
            try:
                pulled = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(pulled, av.AudioFrame)
            yield samples_of(pulled)
