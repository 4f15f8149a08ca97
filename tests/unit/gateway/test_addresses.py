"""Servers whose addresses change, as those of restarted containers and pods do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from gateway.core.triton_client import TritonClient
from tests.fake_triton import Call, FakeTriton

DEADLINE = 300
"""Seconds; gRPC by itself asks for a name's address again after 30."""


class NameServer(asyncio.DatagramProtocol):
    """A DNS server with one address for every name, or with none; `unknown` counts the look-ups without an answer."""

    address = "127.0.0.1"
    unknown = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, client: Any) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        (kind,) = struct.unpack_from(">H", question, len(question) - 4)
        answer = b""
        self.unknown += kind == 1 and not self.address
        if kind == 1 and self.address:  # an IPv4 address
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(self.address)
        status = 0x8180 if self.address else 0x8183  # no such name
        header = data[:2] + struct.pack(">HHHHH", status, 1, bool(answer), 0, 0)
        self._transport.sendto(header + question + answer, client)


@asynccontextmanager
async def name_server() -> AsyncIterator[tuple[NameServer, int]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def port_of(triton: FakeTriton) -> int:
    return int(triton.address.rpartition(":")[2])


def answers(call: Call) -> Any:
    return iter([{"n": np.ones(1, np.int32)}])


async def until_served(client: TritonClient) -> None:
    async with asyncio.timeout(DEADLINE):
        while not any(server.serves("m") for server in client.servers):  # noqa: ASYNC110 - a server has no event
            await asyncio.sleep(0.01)


async def until_lost(client: TritonClient) -> None:
    async with asyncio.timeout(DEADLINE):
        while any(server.serves("m") for server in client.servers):  # noqa: ASYNC110 - a server has no event
            await asyncio.sleep(0.01)


async def test_a_server_that_comes_back_with_another_address_is_found() -> None:
    async with name_server() as (names, dns_port):
        names.address = "127.0.0.2"
        async with FakeTriton({"m": answers}, host="127.0.0.2") as old:
            client = TritonClient([f"dns://127.0.0.1:{dns_port}/triton.test:{port_of(old)}"])
            await client.start()
            await until_served(client)
        try:
            await until_lost(client)
            names.address = "127.0.0.3"
            async with FakeTriton({"m": answers}, host="127.0.0.3", port=port_of(old)):
                await until_served(client)
                await client.infer("m", {}, {}, request_id="", timeout=DEADLINE)
        finally:
            await client.close()


async def test_a_name_that_is_long_unknown_is_looked_up_at_each_poll() -> None:
    async with name_server() as (names, dns_port), FakeTriton({"m": answers}) as triton:
        names.address = ""
        client = TritonClient([f"dns://127.0.0.1:{dns_port}/triton.test:{port_of(triton)}"])
        await client.start()
        try:
            async with asyncio.timeout(DEADLINE):
                while names.unknown < 20:  # noqa: ASYNC110 - gRPC by itself takes half an hour
                    await asyncio.sleep(0.01)
            names.address = "127.0.0.1"
            await until_served(client)
        finally:
            await client.close()


async def test_a_name_that_cannot_be_resolved_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    looked_up = []

    async def resolve(name: str) -> list[str]:
        looked_up.append(name)
        if len(looked_up) <= 3:
            raise OSError("Name or service not known")
        return [triton.address]

    async with FakeTriton({"m": answers}) as triton:
        client = TritonClient(["dns:///triton.test:8001"], resolve=resolve)
        await client.start()
        try:
            await until_served(client)
        finally:
            await client.close()
    problem = "cannot resolve TRITON_GRPC_URL (triton.test:8001): Name or service not known"
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [problem]


async def test_servers_are_added_and_removed_as_their_name_says() -> None:
    addresses: list[str] = []

    async def resolve(name: str) -> list[str]:
        return list(addresses)

    async with FakeTriton({"m": answers}) as one, FakeTriton({"m": answers}) as two:
        addresses.append(one.address)
        client = TritonClient(["dns:///triton.test:8001"], resolve=resolve)
        await client.start()
        try:
            await until_served(client)
            addresses[:] = [two.address]
            async with asyncio.timeout(DEADLINE):
                while [server.address for server in client.servers] != [two.address]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await until_served(client)
            await client.infer("m", {}, {}, request_id="", timeout=DEADLINE)
            assert [call.model for call in two.calls] == ["m"]
        finally:
            await client.close()
