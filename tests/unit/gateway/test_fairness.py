"""Places of requests: waiting bodies, work, slow readers, and each caller's share of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import httpx
import pytest

from tests.fake_triton import Call, FakeTriton
from tests.plain_http import NO_TLS
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.test_transport import EndlessSpeech, connection, never_reading, post

SPEECH = "/v1/audio/speech"
HELLO = {"model": "tts-1", "input": "Hello there.", "response_format": "pcm"}
KEYS = {"api_keys": "sk-one, sk-two"}


def by(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@asynccontextmanager
async def speaking(gateway: Gateway, kokoro: FakeSpeech, count: int, key: str = "sk-one") -> AsyncIterator[None]:
    """Hold so many requests of one caller at the model."""
    gate = asyncio.Event()
    kokoro.gates = [gate]
    async with httpx.AsyncClient(base_url=gateway.url, timeout=300, headers=by(key), verify=NO_TLS) as client:
        tasks = []
        for _ in range(count):
            kokoro.called.clear()
            tasks.append(asyncio.create_task(client.post(SPEECH, json=HELLO)))
            await asyncio.wait_for(kokoro.called.wait(), 300)
        try:
            yield
        finally:
            gate.set()
            assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


async def test_bodies_that_never_come_hold_up_nobody(serve: Serve) -> None:
    body = post("application/json", 1000, b"{")
    async with serve(max_requests=2, max_waiting_bodies=4, caller_share=0.75) as gateway, AsyncExitStack() as held:
        for _ in range(2):
            (await held.enter_async_context(connection(gateway.url)))[1].write(body)
        for _ in range(10):
            assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200
        # A third and a fourth: one is beyond this caller's share of three.
        lines = []
        for _ in range(2):
            reader, writer = await held.enter_async_context(connection(gateway.url))
            writer.write(body)
            lines.append(asyncio.create_task(reader.readline()))
        done, waiting = await asyncio.wait(lines, timeout=300, return_when="FIRST_COMPLETED")
        assert [b" 429 " in line.result() for line in done] == [True]
        for line in waiting:
            line.cancel()


async def test_a_caller_has_a_share_of_the_places(serve: Serve, kokoro: FakeSpeech) -> None:
    async with serve(max_requests=4, caller_share=0.5, **KEYS) as gateway:
        async with speaking(gateway, kokoro, 2):
            refused = await gateway.http.post(SPEECH, json=HELLO, headers=by("sk-one"))
            assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
            assert int(refused.headers["retry-after"]) >= 1
            async with speaking(gateway, kokoro, 2, "sk-two"):
                pass
        assert (await gateway.http.post(SPEECH, json=HELLO, headers=by("sk-one"))).status_code == 200


@pytest.mark.parametrize(
    ("addresses", "status"), [(("10.0.0.1", "10.0.0.2"), 200), (("2001:db8::1", "2001:db8::2"), 429)]
)
async def test_without_keys_a_caller_is_an_address_or_a_network_of_64_bits(
    serve: Serve, kokoro: FakeSpeech, addresses: tuple[str, str], status: int
) -> None:
    kokoro.gates = [asyncio.Event()]
    first, second = ({"x-forwarded-for": address} for address in addresses)
    async with serve(max_requests=2, caller_share=0.5) as gateway:
        holding = asyncio.create_task(gateway.http.post(SPEECH, json=HELLO, headers=first))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        kokoro.gates.clear()
        assert (await gateway.http.post(SPEECH, json=HELLO, headers=second)).status_code == status
        holding.cancel()


async def test_a_callers_seconds_of_audio_in_work_are_bounded(serve: Serve, kokoro: FakeSpeech) -> None:
    long = {**HELLO, "input": "Word after word. " * 20}
    async with serve(caller_audio_seconds=10, **KEYS) as gateway:
        kokoro.gates = [asyncio.Event()]
        holding = asyncio.create_task(gateway.http.post(SPEECH, json=long, headers=by("sk-one")))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        refused = await gateway.http.post(SPEECH, json=HELLO, headers=by("sk-one"))
        assert (refused.status_code, "s of audio" in refused.text) == (429, True)
        kokoro.gates[0].set()
        assert (await gateway.http.post(SPEECH, json=HELLO, headers=by("sk-two"))).status_code == 200
        assert (await holding).status_code == 200


async def test_slow_readers_leave_their_places_for_work(serve: Serve, triton: FakeTriton) -> None:
    triton.handlers["kokoro-82m"] = EndlessSpeech()

    def endless() -> list[Call]:
        return [call for call in triton.calls if call.inputs["text"].item() == b"Endless."]

    async with serve(max_requests=2, max_deliveries=3, caller_share=1.0) as gateway, asyncio.timeout(300):
        with ExitStack() as readers:  # they leave first: the gateway waits for them when it stops
            for number in range(5):
                readers.enter_context(never_reading(gateway))
                while len(endless()) == number:
                    await gateway.http.get("/health")
                while (await gateway.http.post(SPEECH, json=HELLO)).status_code != 200:
                    pass  # both places are taken until the client counts as a slow reader
            await endless()[0].cancelled.wait()  # the oldest delivery made room


async def test_a_rejected_request_gives_its_place_back(serve: Serve) -> None:
    async with serve(max_requests=1) as gateway:
        for body in (b"{", json.dumps({**HELLO, "input": ""}).encode()) * 3:
            answer = await gateway.http.post(SPEECH, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400
        assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200
