"""The times at which requests may fail, because a part of the server was just ended or stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_GRACE = 1.0
"""Seconds after a recovery in which a request that met the fault may still end."""


class Outages:
    """The intervals from each fault to the recovery from it, by the clock of `time.monotonic`."""

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []

    @contextmanager
    def outage(self) -> Iterator[None]:
        """A fault happens at the beginning of the block, and the server has recovered at its end."""
        index = len(self._intervals)
        self._intervals.append((time.monotonic(), float("inf")))
        try:
            yield
        finally:
            self._intervals[index] = (self._intervals[index][0], time.monotonic() + _GRACE)

    def met(self, began: float) -> bool:
        """Return whether a request that began at `began` and ends now met an outage."""
        now = time.monotonic()
        return any(start <= now and began <= end for start, end in self._intervals)
