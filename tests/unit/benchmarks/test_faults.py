"""The clients of `scripts/bench faults`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from benchmarks.faults.outages import Outages
from benchmarks.faults.traffic import Traffic


async def no_bytes() -> AsyncIterator[bytes]:
    """Yield nothing."""
    for piece in tuple[bytes, ...]():
        yield piece


async def test_a_cancelled_speech_without_a_byte_is_wrong() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=no_bytes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        traffic = Traffic(http, Outages(), seed=1)
        await traffic._cancel()
    assert len(traffic.counts.wrong) == 1
