"""Progress of a step, for people: a line now and then, with the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

_EVERY: Final = 5.0
"""Seconds between two lines."""


class Progress:
    """Counts what is done of `total`, in any unit."""

    def __init__(
        self, what: str, total: float, *, clock: Callable[[], float] = time.monotonic, every: float = _EVERY
    ) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._every = every
        self._begun = self._last = clock()
        self._worked = 0.0
        self._done = 0.0

    def advance(self, amount: float, *, worked: bool = True) -> None:
        """Count `amount` as done; `worked` is False for what an earlier run had done, which tells nothing of speed."""
        self._done += amount
        self._worked += amount if worked else 0.0
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            say(f"{self._what}: {100 * self._done / max(self._total, 1e-9):.0f} %{self._left(now)}")

    def _left(self, now: float) -> str:
        if not self._worked:
            return ""
        return f", {duration((self._total - self._done) * (now - self._begun) / self._worked)} left"


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 90:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
