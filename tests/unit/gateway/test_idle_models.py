"""Models that their server has unloaded because nobody used them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FAR, FakeSpeech, Gateway, Serve
from tests.unit.gateway.realtime.test_realtime import plain
from tritone.errors import TritoneError

SPEECH = "/v1/audio/speech"
HELLO = {"model": "kokoro-82m", "input": "Hello there.", "response_format": "pcm"}


class Sleeper:
    """Puts a model to sleep, and wakes it `when` it is wanted."""

    def __init__(self, triton: FakeTriton, model: str = "kokoro-82m") -> None:
        self._triton = triton
        self._model = model
        self.wanted: Counter[str] = Counter()
        self.arrived = asyncio.Event()
        self.may_wake = asyncio.Event()
        self.may_wake.set()
        self.state: Any = "ready"
        triton.on_want = self._want
        triton.overrides[model] = {"state": "idle", "idle_seconds": 60.0}

    async def _want(self, model: str) -> None:
        self.wanted[model] += 1
        self.arrived.set()
        asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        await self.may_wake.wait()
        self._triton.overrides[self._model] = {"state": self.state, "idle_seconds": 60.0, "loads": 2}
        await self._triton.publish()


@pytest.fixture
async def sleeper(gateway: Gateway, triton: FakeTriton) -> Sleeper:
    sleeper = Sleeper(triton)
    await gateway.follow(triton)
    return sleeper


async def test_a_request_wakes_its_model_and_waits(gateway: Gateway, triton: FakeTriton, sleeper: Sleeper) -> None:
    answer = await gateway.http.post(SPEECH, json=HELLO)
    assert answer.status_code == 200
    assert sleeper.wanted == {"kokoro-82m": 1}


async def test_an_idle_model_is_listed_and_ready(gateway: Gateway, sleeper: Sleeper) -> None:
    assert (await gateway.http.get("/ready")).status_code == 200
    assert (await gateway.http.get("/health")).json()["models"]["kokoro-82m"] == "idle"
    assert "kokoro-82m" in (await gateway.http.get("/v1/models")).text
    assert not sleeper.wanted


async def test_concurrent_requests_wait_for_one_load(gateway: Gateway, triton: FakeTriton, sleeper: Sleeper) -> None:
    sleeper.may_wake.clear()
    requests = [asyncio.create_task(gateway.http.post(SPEECH, json=HELLO)) for _ in range(12)]
    await asyncio.wait_for(sleeper.arrived.wait(), 300)
    assert not triton.calls
    sleeper.may_wake.set()
    assert [answer.status_code for answer in await asyncio.gather(*requests)] == [200] * 12
    assert len(triton.calls) == 12


async def test_a_model_that_cannot_be_loaded_again_is_a_503(gateway: Gateway, sleeper: Sleeper) -> None:
    sleeper.state = "failed"
    answer = await gateway.http.post(SPEECH, json=HELLO)
    assert answer.status_code == 503
    assert "could not be loaded" in answer.json()["error"]["message"]


async def test_a_request_waits_no_longer_than_its_deadline(
    serve: Serve, triton: FakeTriton, expire: Callable[[], None]
) -> None:
    sleeper = Sleeper(triton)
    sleeper.may_wake.clear()
    async with serve(first_audio_timeout=FAR) as gateway:
        await gateway.follow(triton)
        request = asyncio.create_task(gateway.http.post(SPEECH, json=HELLO))
        await asyncio.wait_for(sleeper.arrived.wait(), 300)
        expire()
        assert (await request).status_code == 504


async def test_a_model_that_goes_idle_under_a_request_is_woken(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    """The request was sent before the gateway could know."""
    sleeper = Sleeper(triton)
    triton.overrides["kokoro-82m"] = {"state": "ready", "idle_seconds": 60.0}
    await gateway.follow(triton)

    async def unloaded(call: Any) -> Any:
        triton.handlers["kokoro-82m"] = kokoro
        triton.overrides["kokoro-82m"] = {"state": "idle", "idle_seconds": 60.0, "description": kokoro.description}
        await triton.publish()
        answers: list[Any] = []
        for tensors in answers:
            yield tensors
        raise TritoneError("Request for unknown model: 'kokoro-82m' has no available versions")

    unloaded.description = kokoro.description  # type: ignore[attr-defined]
    triton.handlers["kokoro-82m"] = unloaded
    assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200
    assert sleeper.wanted == {"kokoro-82m": 1}


async def test_a_live_session_keeps_its_model_loaded(gateway: Gateway, triton: FakeTriton) -> None:
    sleeper = Sleeper(triton, "whisper-base")
    triton.overrides["whisper-base"] = {"state": "ready", "idle_seconds": 0.1}
    await gateway.follow(triton)
    async with plain(gateway):
        for _ in range(2):
            await asyncio.wait_for(sleeper.arrived.wait(), 300)
            sleeper.arrived.clear()
            triton.overrides["whisper-base"] = {"state": "ready", "idle_seconds": 0.1}
    assert set(sleeper.wanted) == {"whisper-base"}


async def test_the_load_of_a_model_does_not_count_as_its_pace(gateway: Gateway, sleeper: Sleeper) -> None:
    sleeper.may_wake.clear()
    request = asyncio.create_task(gateway.http.post(SPEECH, json=HELLO))
    await asyncio.wait_for(sleeper.arrived.wait(), 300)
    load = gateway.services.admission.load_of("kokoro-82m")
    assert not load.first.outstanding
    sleeper.may_wake.set()
    assert (await request).status_code == 200
