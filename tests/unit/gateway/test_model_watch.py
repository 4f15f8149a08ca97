"""Calls whose model was unloaded: the silent ones end, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from gateway.core.errors import ModelUnavailable
from gateway.core.triton_client import TritonClient
from tests.fake_triton import Call, FakeTriton
from tests.unit.gateway.servers import follow

SHORT, LONG = 0.05, 600.0
"""Grace periods in seconds: one that soon passes, and one that does not."""


async def endless(call: Call) -> AsyncIterator[Any]:
    yield {"n": np.zeros(1, np.int32)}
    await asyncio.Event().wait()


async def talkative(call: Call) -> AsyncIterator[Any]:
    while True:
        yield {"n": np.zeros(1, np.int32)}
        await asyncio.sleep(0.005)


@pytest.fixture
async def triton() -> AsyncIterator[FakeTriton]:
    async with FakeTriton({"silent": endless, "other": endless, "talkative": talkative}) as fake:
        yield fake


@asynccontextmanager
async def connected(triton: FakeTriton, grace: float) -> AsyncIterator[TritonClient]:
    client = TritonClient([triton.address], unload_grace=grace)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def client(triton: FakeTriton) -> AsyncIterator[TritonClient]:
    async with connected(triton, SHORT) as client:
        yield client


async def begun(client: TritonClient, model: str) -> AsyncGenerator[Any]:
    """Return a stream after its first response."""
    stream = client.stream(model, {}, {}, request_id="", timeout=300)
    await anext(stream)
    return stream


@pytest.mark.parametrize(
    "change",
    [{"state": "loading"}, {"state": "unloaded"}, {"state": "failed"}, {"loads": 2}],
    ids=["loading", "unloaded", "failed", "reloaded"],
)
async def test_a_silent_call_ends_after_its_model_was_unloaded(
    client: TritonClient, triton: FakeTriton, change: dict[str, Any]
) -> None:
    lost, kept = await begun(client, "silent"), await begun(client, "other")
    waiting = asyncio.create_task(anext(kept))
    triton.overrides["silent"] = change
    await follow(client, triton)
    with pytest.raises(ModelUnavailable, match="model 'silent' is not loaded at present"):
        await asyncio.wait_for(anext(lost), 300)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 300)


async def test_a_call_with_responses_goes_on_after_its_model_was_unloaded(triton: FakeTriton) -> None:
    # 200 responses within a grace period: more than a slow machine can delay.
    async with connected(triton, 1.0) as client:
        lost, kept = await begun(client, "silent"), await begun(client, "talkative")
        triton.overrides = {"silent": {"state": "loading"}, "talkative": {"state": "loading"}}
        await follow(client, triton)
        ended = asyncio.Event()

        async def read() -> None:
            async for _ in kept:
                if ended.is_set():
                    return

        reading = asyncio.create_task(read())
        with pytest.raises(ModelUnavailable):
            await asyncio.wait_for(anext(lost), 300)
        ended.set()
        await asyncio.wait_for(reading, 300)


async def test_a_call_begun_after_a_reload_is_not_ended(client: TritonClient, triton: FakeTriton) -> None:
    triton.overrides["other"] = {"loads": 2}
    await follow(client, triton)
    kept, lost = await begun(client, "other"), await begun(client, "silent")
    waiting = asyncio.create_task(anext(kept))
    triton.overrides["silent"] = {"loads": 2}
    await follow(client, triton)
    with pytest.raises(ModelUnavailable):
        await asyncio.wait_for(anext(lost), 300)
    assert not waiting.done()
    waiting.cancel()


async def test_a_call_that_ends_within_the_grace_period_is_complete(triton: FakeTriton) -> None:
    over = asyncio.Event()

    async def ends(call: Call) -> AsyncIterator[Any]:
        yield {"n": np.zeros(1, np.int32)}
        await over.wait()
        yield {"n": np.ones(1, np.int32)}

    triton.handlers["ends"] = ends
    await triton.publish()
    async with connected(triton, LONG) as client:
        stream = await begun(client, "ends")
        triton.states["ends"] = "unloaded"
        await follow(client, triton)
        over.set()
        assert [tensors["n"].item() async for tensors in stream] == [1]


async def test_a_call_whose_process_is_dead_ends_without_a_grace_period(triton: FakeTriton) -> None:
    async with connected(triton, LONG) as client:
        lost, kept = await begun(client, "silent"), await begun(client, "other")
        waiting = asyncio.create_task(anext(kept))
        triton.overrides["silent"] = {"state": "loading", "lost_loads": 1}
        await follow(client, triton)
        with pytest.raises(ModelUnavailable):
            await asyncio.wait_for(anext(lost), 300)
        assert not waiting.done()
        waiting.cancel()


async def test_a_call_begun_after_the_reload_outlives_an_earlier_loss(triton: FakeTriton) -> None:
    async with connected(triton, LONG) as client:
        triton.overrides["silent"] = {"loads": 2, "lost_loads": 1}
        await follow(client, triton)
        kept = await begun(client, "silent")
        waiting = asyncio.create_task(anext(kept))
        await follow(client, triton)
        assert not waiting.done()
        waiting.cancel()
