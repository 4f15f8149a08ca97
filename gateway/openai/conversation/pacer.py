"""Keep what is sent of live audio not too far ahead of its playback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

AHEAD_SECONDS: Final = 10.0
"""Audio that a client gets before it can have played it: enough for a bad network, little to throw away."""


class Pacer:
    """Follows the playback of audio that is played from its first piece on, without a pause."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._began: float | None = None
        self._sent = 0.0

    @property
    def played(self) -> float:
        """The most seconds that can have been played by now."""
        return 0.0 if self._began is None else min(self._clock() - self._began, self._sent)

    @property
    def playing(self) -> bool:
        """Whether audio that was sent may still be played."""
        return self._began is not None and self._clock() - self._began < self._sent

    async def send(self, seconds: float) -> None:
        """Wait until the next piece may be sent; it has so many seconds."""
        if self._began is None:
            self._began = self._clock()
        ahead = self._sent - (self._clock() - self._began)
        if ahead > AHEAD_SECONDS:
            await self._sleep(ahead - AHEAD_SECONDS)
        self._sent += seconds
