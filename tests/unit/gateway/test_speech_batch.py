"""`POST /v1/audio/speech/batch`."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.unit.gateway.conftest import FakeSpeech, Gateway
from tests.unit.gateway.sound import decode
from tritone.errors import Overloaded

BATCH = "/v1/audio/speech/batch"


async def send(gateway: Gateway, *items: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    response = await gateway.http.post(BATCH, json={"items": list(items), **defaults})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


async def test_results_have_the_order_of_the_items_and_a_bad_item_fails_alone(
    gateway: Gateway, kokoro: FakeSpeech
) -> None:
    items: list[dict[str, Any]] = [
        {"input": "One."},
        {"input": " "},
        {"input": "Three.", "speed": 9},
        {"input": "Four."},
    ]
    batch = await send(gateway, *items, {"voice": "af_heart"}, model="kokoro-82m", voice="alloy", response_format="wav")
    assert batch["id"].startswith("speech-batch-")
    assert (batch["total"], batch["succeeded"], batch["failed"]) == (5, 2, 3)
    assert [result["index"] for result in batch["results"]] == [0, 1, 2, 3, 4]
    good = [result for result in batch["results"] if result["status"] == "success"]
    for result in good:
        samples, rate = decode(base64.b64decode(result["audio_data"]), "wav")
        assert len(samples) / rate == pytest.approx(sum(map(len, kokoro.chunks)) / kokoro.rate)
        assert result["media_type"] == "audio/wav"
        assert (result["usage"]["input_tokens"], result["usage"]["output_token_details"]["audio_tokens"]) == (7, 30)
    errors = [result["error"] for result in batch["results"] if result["status"] == "error"]
    assert errors[0].startswith("input: ")
    assert errors[1].startswith("speed: ")
    assert errors[2].startswith("input: ")


async def test_an_item_overrides_the_defaults(gateway: Gateway, kokoro: FakeSpeech) -> None:
    batch = await send(
        gateway,
        {"input": "One.", "response_format": "flac"},
        {"input": "Two.", "model": "unknown"},
        {"input": "Three.", "task_type": "CustomVoice"},
        model="kokoro-82m",
        response_format="mp3",
    )
    first, second, third = batch["results"]
    assert first["media_type"] == "audio/flac"
    assert "unknown" in second["error"]
    assert third["media_type"] == "audio/mpeg"
    assert third["ignored"] == ["task_type"]


@pytest.mark.parametrize("items", [[], [{"input": "Hi."}] * 33, "Hi.", [1]])
async def test_a_batch_has_1_to_32_items(gateway: Gateway, items: Any) -> None:
    response = await gateway.http.post(BATCH, json={"items": items})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "items"


async def test_an_item_waits_for_a_place_at_the_model(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.failure, kokoro.chunks = Overloaded("at capacity"), []

    async def recover() -> None:
        await kokoro.called.wait()
        kokoro.failure = None
        kokoro.chunks = FakeSpeech().chunks

    async with asyncio.timeout(300):
        batch, _ = await asyncio.gather(send(gateway, {"input": "One."}, model="kokoro-82m"), recover())
    assert batch["succeeded"] == 1


async def test_a_client_that_leaves_frees_the_work_of_every_item(
    gateway: Gateway, kokoro: FakeSpeech, triton: Any
) -> None:
    kokoro.gates = [asyncio.Event()]
    body = {"items": [{"input": f"Number {number}."} for number in range(3)], "model": "kokoro-82m"}
    async with asyncio.timeout(300):
        async with gateway.http.stream("POST", BATCH, json=body) as response:
            pieces = response.aiter_bytes()  # kept: its end would close the connection
            await anext(pieces)
            while len(triton.calls) < 3:  # noqa: ASYNC110 - the stand-in has no event for it
                await asyncio.sleep(0.01)
        for call in triton.calls:
            await call.cancelled.wait()
