"""Log lines about the steps of a start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from supervisor import console

_REMIND = 10.0


@asynccontextmanager
async def logged(step: str) -> AsyncIterator[None]:
    """Log the begin of a step, a line every ten seconds, and its duration."""

    async def remind() -> None:
        while True:
            await asyncio.sleep(_REMIND)
            console.info(f"{step} ({time.monotonic() - started:.0f} s so far)")

    started = time.monotonic()
    console.info(step)
    reminder = asyncio.create_task(remind())
    try:
        yield
    finally:
        reminder.cancel()
    console.info(f"{step}: done in {time.monotonic() - started:.1f} s")
