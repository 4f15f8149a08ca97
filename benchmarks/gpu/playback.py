"""Audio as it arrives at a client that plays it from the first samples on, and the figures of a load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tritone.contract import SPEECH_RATE

T = TypeVar("T")
AUDIBLE = 10 ** (-45 / 20)
"""Root mean square of an audible block: -45 dB below full scale."""
_BLOCK = SPEECH_RATE // 100


@dataclass
class Playback:
    """The audio of a request, as it arrives at a client. All times in seconds, on one clock."""

    requested: float
    arrivals: list[float] = field(default_factory=list)
    """The time of each chunk."""
    chunks: list[NDArray[np.float32]] = field(default_factory=list)
    """Each (samples,), from -1 to 1 at `SPEECH_RATE`."""

    def add(self, at: float, samples: NDArray[np.float32]) -> None:
        """Add a chunk that has arrived."""
        self.arrivals.append(at)
        self.chunks.append(samples)

    @property
    def ended(self) -> float:
        """The time of the last chunk."""
        return self.arrivals[-1]

    @property
    def seconds(self) -> float:
        """Seconds of audio."""
        return sum(map(len, self.chunks)) / SPEECH_RATE

    @property
    def to_first_audio(self) -> float:
        """Seconds from the request to the first samples, which can be played at once."""
        return self.arrivals[0] - self.requested

    @property
    def to_audible(self) -> float:
        """Seconds from the request to the playback of the first audible block of 10 ms; infinite if there is none."""
        for start, chunk in zip(self._play()[0], self.chunks, strict=True):
            blocks = np.add.reduceat(np.square(chunk, dtype=np.float64), range(0, len(chunk), _BLOCK)) / _BLOCK
            audible = np.flatnonzero(blocks >= AUDIBLE**2)
            if len(audible):
                return start + float(audible[0]) * _BLOCK / SPEECH_RATE - self.requested
        return float("inf")

    @property
    def silence(self) -> float:
        """Seconds without audio to play, before the end."""
        return self._play()[1]

    def _play(self) -> tuple[list[float], float]:
        """Return the time at which the playback of each chunk begins, and the seconds of silence between them."""
        starts: list[float] = []
        silence, until = 0.0, self.arrivals[0]
        for at, chunk in zip(self.arrivals, self.chunks, strict=True):
            silence += max(0.0, at - until)
            starts.append(max(at, until))
            until = starts[-1] + len(chunk) / SPEECH_RATE
        return starts, silence


def milliseconds(name: str, seconds: Sequence[float], *percentiles: int) -> dict[str, float]:
    """Return percentiles in milliseconds, under `<name>_p<percentile>_ms`."""
    return {f"{name}_p{each}_ms": round(1e3 * float(np.percentile(seconds, each)), 2) for each in percentiles}


def open_loop(starts: Sequence[float], submit: Callable[[int, float], T]) -> tuple[list[T], float]:
    """Call `submit` with each index and its planned time, not before it, in seconds from now; return the results.

    The second result is the longest delay of a call, which the times from the planned moments include.
    """
    begun, late, results = time.monotonic(), 0.0, []
    for index, at in enumerate(starts):
        time.sleep(max(0.0, begun + at - time.monotonic()))
        late = max(late, time.monotonic() - begun - at)
        results.append(submit(index, begun + at))
    return results, late


def poisson(rate: float, seconds: float, least: int = 1) -> list[float]:
    """Return the seconds at which the requests of a Poisson process arrive; the same ones for the same numbers."""
    count = max(round(rate * seconds), least)
    return [float(at) for at in np.cumsum(np.random.default_rng(round(rate)).exponential(1 / rate, size=count))]


def of_load(played: Sequence[Playback], late: float) -> dict[str, float]:
    """Return the figures of a load: times to audio, underruns, and seconds of audio per second."""
    silences = [each.silence for each in played if each.silence]
    seconds = max(each.ended for each in played) - min(each.requested for each in played)
    return {
        **milliseconds("ttfa", [each.to_first_audio for each in played], 50, 95, 99),
        **milliseconds("audible", [each.to_audible for each in played], 50, 95),
        "underruns": len(silences),
        "longest_silence_ms": round(1e3 * max(silences, default=0.0), 2),
        "times_real_time": round(sum(each.seconds for each in played) / seconds, 2),
        "submitted_late_ms": round(1e3 * late, 2),
    }
