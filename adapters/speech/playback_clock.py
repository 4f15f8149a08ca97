"""The playback of a stream by its listener, as far as a server can know it."""

from __future__ import annotations

import math


class PlaybackClock:
    """Count the audio sent, and assume that playback began with the first of it and does not pause."""

    def __init__(self) -> None:
        self._first_sent: float | None = None
        self._seconds = 0.0

    def sent(self, seconds: float, now: float) -> None:
        """Count `seconds` of audio that were sent at `now`."""
        self._seconds += seconds
        if self._first_sent is None:
            self._first_sent = now

    def buffered_seconds(self, now: float) -> float:
        """Return the seconds of audio that the listener has not played yet; -inf before the first audio."""
        return -math.inf if self._first_sent is None else self._seconds - (now - self._first_sent)
