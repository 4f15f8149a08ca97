"""The gateway's metrics: first audio, refusals and cancellations by cause, and places."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest
from prometheus_client import REGISTRY

from gateway.core.first_audio import FirstAudio
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve, tone
from tritone.contract import SPEECH_RATE
from tritone.errors import Overloaded

SPEECH = "/v1/audio/speech"
BODY = {"model": "tts-1", "input": "Hello.", "response_format": "pcm"}


class Growth:
    """The growth of samples of this process's registry."""

    def __init__(self) -> None:
        self._before = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(name, labels) or 0.0
        return value - self._before.get((name, frozenset(labels.items())), 0.0)

    async def until(self, name: str, amount: float, **labels: str) -> None:
        """Wait until a sample has grown so much: a request is counted just after its response."""
        async with asyncio.timeout(300):
            while self(name, **labels) < amount:  # noqa: ASYNC110 - the registry has no event for it
                await asyncio.sleep(0.01)


@pytest.fixture
async def grown(gateway: Gateway) -> Growth:
    """The growth in this test, which begins when the requests of earlier ones have left their places."""
    async with asyncio.timeout(300):
        while REGISTRY.get_sample_value("tritone_http_places", {"kind": "work"}):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    return Growth()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_first_sound_is_heard_after_the_silence_at_the_begin() -> None:
    clock, grown = Clock(), Growth()
    measured = FirstAudio("silent", clock)
    clock.now = 0.25
    measured.receive(np.zeros(SPEECH_RATE // 2, np.int16), SPEECH_RATE)
    clock.now = 0.5
    measured.send()
    clock.now = 0.75
    measured.receive(np.concatenate([np.zeros(SPEECH_RATE // 4, np.int16), tone(0.5)[1:]]), SPEECH_RATE)
    seconds = [grown(f"tritone_speech_first_{name}_seconds_sum", model="silent") for name in ("packet", "playable")]
    assert seconds == [0.25, 0.5]
    audible = grown("tritone_speech_first_audible_seconds_sum", model="silent")
    assert audible == pytest.approx(0.5 + 0.75, abs=0.001), "a player that began at 0.5 plays 0.75 s of silence first"


def test_sound_that_comes_late_is_heard_when_it_comes() -> None:
    clock, grown = Clock(), Growth()
    measured = FirstAudio("late", clock)
    measured.receive(np.zeros(10, np.int16), SPEECH_RATE)
    measured.send()
    clock.now = 3.0
    measured.receive(tone(0.5)[1:], SPEECH_RATE)
    assert grown("tritone_speech_first_audible_seconds_sum", model="late") == 3.0


async def test_streamed_speech_has_all_three_moments_and_a_whole_file_only_the_packet(
    gateway: Gateway, grown: Growth
) -> None:
    names = [f"tritone_speech_first_{name}_seconds_count" for name in ("packet", "playable", "audible")]
    assert (await gateway.http.post(SPEECH, json=BODY)).status_code == 200
    assert [grown(name, model="kokoro-82m") for name in names] == [1, 1, 1]
    assert (await gateway.http.post(SPEECH, json={**BODY, "stream": False})).status_code == 200
    assert [grown(name, model="kokoro-82m") for name in names] == [2, 1, 1]


async def test_refusals_are_counted_by_cause(gateway: Gateway, kokoro: FakeSpeech, grown: Growth) -> None:
    kokoro.failure, kokoro.chunks = Overloaded("full"), []
    bodies = {
        "model_at_capacity": BODY,
        "invalid_request": {**BODY, "speed": 9},
        "model_not_found": BODY | {"model": "x"},
    }
    for body in bodies.values():
        await gateway.http.post(SPEECH, json=body)
    for cause in bodies:
        await grown.until("tritone_http_refused_total", 1, route=SPEECH, cause=cause)


async def test_request_that_is_rejected_before_it_is_routed_has_its_route(serve: Serve, grown: Growth) -> None:
    async with serve(api_keys="sk-one") as gateway:
        await gateway.http.post(SPEECH, json=BODY)
        await gateway.http.get("/v1/models/tts-1")
        for route in (SPEECH, "/v1/models/{name:path}"):
            await grown.until("tritone_http_refused_total", 1, route=route, cause="invalid_api_key")
        for path in ("/v1/no-such-path", "/admin.php"):
            await gateway.http.get(path)
        await grown.until("tritone_http_refused_total", 2, route="other", cause="invalid_api_key")


async def test_full_gateway_and_a_callers_share_are_different_causes(
    serve: Serve, kokoro: FakeSpeech, grown: Growth
) -> None:
    gate = asyncio.Event()
    kokoro.gates = [gate]
    async with serve(max_requests=2, caller_share=0.5, api_keys="sk-one,sk-two,sk-three") as gateway:

        async def speak(key: str) -> int:
            kokoro.called.clear()
            headers = {"authorization": f"Bearer {key}"}
            return (await gateway.http.post(SPEECH, json=BODY, headers=headers)).status_code

        first = asyncio.create_task(speak("sk-one"))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        assert await speak("sk-one") == 429
        second = asyncio.create_task(speak("sk-two"))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        assert grown("tritone_http_places", kind="work") == 2
        assert REGISTRY.get_sample_value("tritone_http_places_limit", {"kind": "work"}) == 2
        assert await speak("sk-three") == 429
        gate.set()
        assert [await first, await second] == [200, 200]
        await grown.until("tritone_http_refused_total", 1, route=SPEECH, cause="caller_share")
        await grown.until("tritone_http_refused_total", 1, route=SPEECH, cause="work_full")
        assert grown("tritone_http_places", kind="work") == 0


async def test_client_that_leaves_and_a_model_that_fails_are_different_causes(
    gateway: Gateway, kokoro: FakeSpeech, grown: Growth
) -> None:
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    async with gateway.http.stream("POST", SPEECH, json=BODY) as answer:
        pieces = answer.aiter_bytes()  # kept: its end would close the connection
        await anext(pieces)
    await grown.until("tritone_http_cancelled_total", 1, route=SPEECH, cause="client")
    kokoro.gates, kokoro.failure = [], Overloaded("lost")
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.http.post(SPEECH, json=BODY)
    await grown.until("tritone_http_cancelled_total", 1, route=SPEECH, cause="model_at_capacity")
