"""Waiting until a client knows the documents of its servers."""

from __future__ import annotations

import asyncio

from gateway.core.triton_client import TritonClient
from tests.fake_triton import FakeTriton


async def follow(client: TritonClient, *tritons: FakeTriton) -> None:
    """Publish the documents of `tritons`, and wait until the client has them."""
    async with asyncio.timeout(300):
        for triton in tritons:
            await triton.publish()
            while _version(client, triton) != triton.version:  # noqa: ASYNC110 - a server has no event for it
                await asyncio.sleep(0.002)


def _version(client: TritonClient, triton: FakeTriton) -> int | None:
    servers = [server for server in client.servers if server.address == triton.address]
    return servers[0].document.version if servers and servers[0].document and servers[0].connected else None
