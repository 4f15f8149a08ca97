"""Requests over time: a steady rate, or a day with its night and its two peaks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0


@dataclass(eq=False)
class Request:
    """A request for so many frames, and what became of it. Times are seconds from the start of the simulation."""

    at: float
    frames: int
    first_audio: float = field(default=np.nan)
    ended: float = field(default=np.nan)

    @property
    def waited(self) -> float:
        """Seconds until the first audio."""
        return self.first_audio - self.at


def lengths(count: int, generator: np.random.Generator, mean: float = 75.0, spread: float = 0.7) -> NDArray[np.int64]:
    """Return the frames of so many requests: log-normal, 6 seconds of audio on average, 2 to 20 s for most."""
    drawn = generator.lognormal(np.log(mean) - spread**2 / 2, spread, count)
    return np.asarray(np.clip(np.rint(drawn), 5, 2_000), np.int64)


def steady(rate: float, seconds: float, seed: int, mean: float = 75.0) -> list[Request]:
    """Return independent requests at a constant rate a second (a Poisson process)."""
    generator = np.random.default_rng(seed)
    count = generator.poisson(rate * seconds)
    times = np.sort(generator.uniform(0.0, seconds, count))
    return [Request(float(at), int(frames)) for at, frames in zip(times, lengths(count, generator, mean), strict=True)]


def share_of_peak(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rate at times of a day as a share of its highest: 5 % at night, peaks at 10:30 and 15:30."""
    hours = at / 3600.0 % 24.0
    bell = sum(height * np.exp(-(((hours - peak) / 2.5) ** 2)) for height, peak in ((1.0, 10.5), (0.85, 15.5)))
    return np.asarray(np.clip(0.05 + 0.95 * bell / 1.03, 0.0, 1.0))


def day(peak_rate: float, seed: int, seconds: float = DAY) -> list[Request]:
    """Return the requests of a day whose busiest moment has `peak_rate` a second."""
    generator = np.random.default_rng(seed)
    requests = steady(peak_rate, seconds, seed)
    kept = generator.uniform(size=len(requests)) < share_of_peak(np.array([request.at for request in requests]))
    return [request for request, keep in zip(requests, kept, strict=True) if keep]
