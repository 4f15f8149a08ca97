"""Several servers with different models: the choice of a server, and one attempt elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from gateway.core.errors import ModelNotFound, ModelUnavailable
from gateway.core.triton_client import TritonClient
from tests.fake_triton import Call, FakeTriton, Handler, Status
from tests.unit.gateway.servers import follow
from tritone.errors import Overloaded

ONE = {"n": np.ones(1, np.int32)}


def answers(call: Call) -> Any:
    return iter([ONE])


def at_capacity(call: Call) -> AsyncIterator[Any]:
    raise Overloaded("64 requests")


def gone(call: Call) -> AsyncIterator[Any]:
    raise Status(grpc.StatusCode.UNAVAILABLE, "connection reset")


async def gone_later(call: Call) -> AsyncIterator[Any]:
    yield ONE
    raise Status(grpc.StatusCode.UNAVAILABLE, "connection reset")


@asynccontextmanager
async def servers(*handlers: dict[str, Handler]) -> AsyncIterator[tuple[TritonClient, list[FakeTriton]]]:
    """Servers with these models, and a client of all of them that has their documents."""
    async with AsyncExitStack() as stack:
        tritons = [await stack.enter_async_context(FakeTriton(each)) for each in handlers]
        client = TritonClient([triton.address for triton in tritons])
        await client.start()
        stack.push_async_callback(client.close)
        await follow(client, *tritons)
        yield client, tritons


async def infer(client: TritonClient, model: str = "m") -> Any:
    return await client.infer(model, {}, {}, request_id="", timeout=300)


async def read(client: TritonClient, model: str, answered: asyncio.Event) -> None:
    """Read the responses to the end, and tell when there is one."""
    async with aclosing(client.stream(model, {}, {}, request_id="", timeout=300)) as responses:
        async for _ in responses:
            answered.set()


async def until_called(triton: FakeTriton, times: int) -> None:
    async with asyncio.timeout(300):
        while len(triton.calls) < times:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.002)


async def test_each_model_is_called_on_the_server_that_serves_it() -> None:
    async with servers({"a": answers}, {"b": answers}) as (client, (one, two)):
        for model in "abab":
            await infer(client, model)
        assert [call.model for call in one.calls] == ["a", "a"]
        assert [call.model for call in two.calls] == ["b", "b"]


async def test_equally_loaded_servers_take_turns() -> None:
    async with servers({"m": answers}, {"m": answers}, {"m": answers}) as (client, tritons):
        for _ in range(12):
            await infer(client)
        assert [len(triton.calls) for triton in tritons] == [4, 4, 4]


async def test_a_request_goes_to_the_least_loaded_server() -> None:
    release = asyncio.Event()

    async def held(call: Call) -> AsyncIterator[Any]:
        await release.wait()
        yield ONE

    async with servers({"m": held, "slow": held}, {"m": held}) as (client, (one, two)):
        requests = [asyncio.create_task(infer(client, "slow")) for _ in range(3)]
        await until_called(one, 3)
        requests += [asyncio.create_task(infer(client)) for _ in range(3)]
        await until_called(two, 3)
        assert len(one.calls) == 3
        release.set()
        await asyncio.gather(*requests)


async def test_a_server_with_many_streams_is_less_loaded_than_one_that_has_not_answered() -> None:
    release = asyncio.Event()

    async def streams(call: Call) -> AsyncIterator[Any]:
        yield ONE
        await release.wait()

    async def held(call: Call) -> AsyncIterator[Any]:
        await release.wait()
        yield ONE

    async with servers({"streams": streams, "m": held}, {"slow": held, "m": held}) as (client, (one, two)):
        heard = [asyncio.Event() for _ in range(3)]
        requests = [asyncio.create_task(read(client, "streams", event)) for event in heard]
        await asyncio.gather(*(event.wait() for event in heard))
        requests.append(asyncio.create_task(read(client, "slow", asyncio.Event())))
        await until_called(two, 1)
        requests.append(asyncio.create_task(read(client, "m", asyncio.Event())))
        await until_called(one, 4)
        release.set()
        await asyncio.gather(*requests)


@pytest.mark.parametrize("fails", [at_capacity, gone])
async def test_a_request_that_a_server_cannot_take_goes_to_another_once(fails: Handler) -> None:
    async with servers({"m": fails}, {"m": answers}) as (client, tritons):
        for _ in range(4):
            assert (await infer(client))["n"].item() == 1
        assert len(tritons[1].calls) == 4
    async with servers({"m": fails}, {"m": fails}, {"m": fails}) as (client, tritons):
        with pytest.raises(ModelUnavailable):
            await infer(client)
        assert sorted(len(triton.calls) for triton in tritons) == [0, 1, 1]


async def test_a_request_on_the_only_server_of_its_model_is_not_repeated() -> None:
    async with servers({"m": at_capacity}, {"other": answers}) as (client, (one, two)):
        with pytest.raises(ModelUnavailable, match="at capacity"):
            await infer(client)
        assert (len(one.calls), len(two.calls)) == (1, 0)


async def test_a_stream_is_not_repeated_after_its_first_response() -> None:
    async with servers({"m": gone_later}, {"m": gone_later}) as (client, tritons):
        stream = client.stream("m", {}, {}, request_id="", timeout=300)
        await anext(stream)
        with pytest.raises(ModelUnavailable):
            await anext(stream)
        assert sum(len(triton.calls) for triton in tritons) == 1


async def test_a_server_out_of_reach_gets_no_requests() -> None:
    async with FakeTriton({"m": answers}) as triton:
        client = TritonClient(["127.0.0.1:1", triton.address])
        await client.start()
        for _ in range(12):
            await infer(client)
        await client.close()
        assert len(triton.calls) == 12


async def test_a_server_that_stops_gets_no_more_requests_but_ends_its_own() -> None:
    release = asyncio.Event()

    async def held(call: Call) -> AsyncIterator[Any]:
        yield ONE
        await release.wait()
        yield ONE

    async with servers({"m": held}, {"m": answers}) as (client, (one, two)):
        two.state = "stopping"
        await follow(client, two)
        async with aclosing(client.stream("m", {}, {}, request_id="", timeout=300)) as stream:
            await anext(stream)
            one.state, two.state = "stopping", "serving"
            await follow(client, one, two)
            for _ in range(3):
                await infer(client)
            assert (len(one.calls), len(two.calls)) == (1, 3)
            release.set()
            assert len([tensors async for tensors in stream]) == 1


async def test_a_model_is_called_where_it_is_ready() -> None:
    async with servers({"m": answers}, {"m": answers}) as (client, (one, two)):
        one.states["m"] = "loading"
        await follow(client, one)
        for _ in range(4):
            await infer(client)
        assert (len(one.calls), len(two.calls)) == (0, 4)
        one.states.clear()
        two.states["m"] = "failed"
        await follow(client, one, two)
        await infer(client)
        assert (len(one.calls), len(two.calls)) == (1, 4)


async def test_a_server_that_comes_back_is_used_again() -> None:
    async with servers({"m": answers}) as (client, (first,)):
        await infer(client)
        await first.stop()
        with pytest.raises(ModelUnavailable, match="out of reach"):
            await infer(client)
        port = int(first.address.rpartition(":")[2])
        async with FakeTriton({"m": answers}, port=port) as second:
            await follow(client, second)
            await infer(client)
            assert len(second.calls) == 1


async def test_a_name_stands_for_all_its_addresses() -> None:
    addresses: list[str] = []

    async def resolve(name: str) -> list[str]:
        assert name == "triton:8001"
        return addresses

    async with (
        FakeTriton({"m": answers}) as one,
        FakeTriton({"m": answers}) as two,
        FakeTriton({"m": answers}) as three,
    ):
        addresses += [one.address, two.address]
        client = TritonClient(["dns:///triton:8001"], resolve=resolve)
        await client.start()
        for _ in range(4):
            await infer(client)
        assert [len(triton.calls) for triton in (one, two, three)] == [2, 2, 0]
        addresses[:] = [two.address, three.address]
        await one.stop()  # the lost connection causes a look-up
        await follow(client, three)
        for _ in range(4):
            await infer(client)
        assert [len(triton.calls) for triton in (one, two, three)] == [2, 4, 2]
        assert [server.address for server in client.servers] == [two.address, three.address]
        await client.close()


async def test_a_name_that_cannot_be_resolved_keeps_its_servers() -> None:
    failed = asyncio.Event()

    async with FakeTriton({"m": answers}) as triton:
        found = iter([triton.address])

        async def resolve(name: str) -> list[str]:
            for address in found:
                return [address]
            failed.set()
            raise OSError("no address")

        # The first address is out of reach, which causes a look-up.
        client = TritonClient(["127.0.0.1:1", "dns:///triton:8001"], resolve=resolve)
        await client.start()
        await asyncio.wait_for(failed.wait(), 300)
        await infer(client)
        await client.close()


async def test_an_alias_stands_for_the_lowest_rank_and_among_equals_for_the_ready_model() -> None:
    async with servers({"a": answers, "b": answers}, {"c": answers}) as (client, (one, two)):
        one.overrides = {"a": {"aliases": {"x": 2, "y": 0}}, "b": {"aliases": {"x": 1}}}
        two.overrides = {"c": {"aliases": {"x": 1, "y": 0}}}
        one.states["b"] = "loading"
        await follow(client, one, two)
        assert client.served.resolve("x").id == "c"
        assert client.served.resolve("y").id == "a"
        two.states["c"] = "loading"
        one.states.clear()
        await follow(client, one, two)
        assert client.served.resolve("x").id == "b"
        with pytest.raises(ModelNotFound, match="choose from: a, b, c, x, y"):
            client.served.resolve("z")


async def test_a_client_that_is_closed_while_its_server_fails_ends_its_polls() -> None:
    for _ in range(20):
        async with FakeTriton({"m": answers}) as triton:
            client = TritonClient([triton.address])
            await client.start()
            await asyncio.wait_for(asyncio.gather(triton.stop(), client.close()), 300)
