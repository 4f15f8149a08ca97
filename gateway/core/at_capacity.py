"""Wait for a model that has no room for a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.core.errors import ModelUnavailable, TooManyRequests

T = TypeVar("T")

_PAUSE: Final = 1.0
"""Seconds before another try where the model does not say how long."""


async def wait_for_room(
    work: Callable[[], Awaitable[T]], deadline: float, *, may_repeat: Callable[[], bool] = lambda: True
) -> T:
    """Return the result of `work`, which is repeated while the model rejects it for want of room.

    Raises the model's error if the next try would begin after `deadline`, a time of `time.monotonic`, or if not
    `may_repeat()`: a part of the work may have been done. Raises other errors at once.
    """
    while True:
        try:
            return await work()
        except (ModelUnavailable, TooManyRequests) as error:
            pause = error.retry_after or _PAUSE
            if time.monotonic() + pause > deadline or not may_repeat():
                raise
            await asyncio.sleep(pause)
