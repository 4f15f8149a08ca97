"""Speech of texts with pauses, and with several voices."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import openai
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway
from tests.unit.gateway.sound import decode
from tests.unit.gateway.test_speech_stream import session, texts_of
from tritone.contract import SPEECH_RATE

SPEECH = "/v1/audio/speech"
TWO_VOICES = "Hello. [voice:af_bella] Did it work? [pause 250ms] [voice:bf_emma(3)+af_kore(1)] It did."


async def pcm(gateway: Gateway, text: str, **fields: Any) -> np.ndarray:
    body = {"model": "kokoro-82m", "response_format": "pcm", "input": text, **fields}
    response = await gateway.http.post(SPEECH, json=body)
    assert response.status_code == 200, response.text
    return np.frombuffer(response.content, "<i2")


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SPEECH_RATE), np.int16)


def voices_of(triton: FakeTriton) -> list[str | None]:
    return [call.parameters.get("voice") for call in triton.calls]


@pytest.mark.parametrize("stream", [True, False])
async def test_pauses_are_exact_silence_between_what_is_spoken(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, stream: bool
) -> None:
    text = "[pause 30ms] One. [pause:1.5s] [pause 500ms] Two. [pause 0.125s]"
    spoken = np.concatenate(kokoro.chunks)
    wanted = [silence(0.03), spoken, silence(2.0), spoken, silence(0.125)]
    assert np.array_equal(await pcm(gateway, text, stream=stream), np.concatenate(wanted))
    assert texts_of(triton) == ["One.", "Two."]


async def test_speed_does_not_change_a_pause(gateway: Gateway, kokoro: FakeSpeech) -> None:
    audio = await pcm(gateway, "One. [pause 1s] Two.", speed=2.0)
    assert len(audio) == 2 * sum(map(len, kokoro.chunks)) + SPEECH_RATE


async def test_events_end_with_the_usage_of_all_passages(gateway: Gateway) -> None:
    body = {"model": "kokoro-82m", "input": "One. [pause 1s] Two.", "stream_format": "sse", "response_format": "pcm"}
    response = await gateway.http.post(SPEECH, json=body)
    assert '"input_tokens":14' in response.text


async def test_a_tag_behind_a_backslash_is_spoken(gateway: Gateway, triton: FakeTriton) -> None:
    await pcm(gateway, r"Write \[pause 1s] for a pause.")
    assert texts_of(triton) == ["Write [pause 1s] for a pause."]


async def test_a_text_with_other_brackets_reaches_the_model_unchanged(gateway: Gateway, triton: FakeTriton) -> None:
    text = "See [1], *now*: [pause] for [voice mail].\n\\[x]"
    await pcm(gateway, text)
    assert texts_of(triton) == [text]


async def test_voice_tags_change_the_voice(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    audio = await pcm(gateway, TWO_VOICES, voice="af_heart", allow_voice_tags=True)
    assert list(zip(texts_of(triton), voices_of(triton), strict=True)) == [
        ("Hello.", "af_heart"),
        ("Did it work?", "af_bella"),
        ("It did.", "bf_emma(0.750000)+af_kore(0.250000)"),
    ]
    assert len(audio) == 3 * sum(map(len, kokoro.chunks)) + SPEECH_RATE // 4


async def test_voice_tags_are_text_unless_they_are_allowed(gateway: Gateway, triton: FakeTriton) -> None:
    text = "Hello. [voice:af_bella] Did it work?"
    await pcm(gateway, text, voice="af_heart")
    assert list(zip(texts_of(triton), voices_of(triton), strict=True)) == [(text, "af_heart")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hi. [voice:nobody] Hi.", "input: the voice tag at character 5: kokoro-82m has no voice 'nobody'"),
        ("Hi. [pause 11s] Hi.", "input: the pause at character 5 is too long; at most 10 s"),
        (" [pause 1s] ", "input: there is nothing to synthesize"),
        ("".join(f"[voice:af_kore({n})+af_bella(1)] Hi." for n in range(1, 34)), "over 32 voices"),
    ],
    ids=["unknown", "long", "only", "many"],
)
async def test_a_bad_tag_is_rejected_with_its_place(
    gateway: Gateway, triton: FakeTriton, text: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        await gateway.openai.audio.speech.create(
            model="kokoro-82m", voice="alloy", input=text, extra_body={"allow_voice_tags": True}
        )
    assert message in error.value.message
    assert error.value.param == "input"
    assert not triton.calls


async def test_an_item_of_a_batch_may_have_tags(gateway: Gateway, kokoro: FakeSpeech) -> None:
    body = {"model": "kokoro-82m", "response_format": "wav", "items": [{"input": "One. [pause 1s] Two."}]}
    response = await gateway.http.post(f"{SPEECH}/batch", json=body)
    (result,) = response.json()["results"]
    samples, rate = decode(base64.b64decode(result["audio_data"]), "wav")
    assert len(samples) == 2 * sum(map(len, kokoro.chunks)) + rate


async def test_tags_in_a_text_that_is_being_written(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    async with session(gateway, model="kokoro-82m", response_format="pcm", allow_voice_tags=True) as client:
        for letter in "One. [pause 500ms] [voice:af_bella] Two. [pause 1s]":
            await client.send("input.text", text=letter)
        await client.send("input.done")
        messages = await client.until("session.done")
    assert list(zip(texts_of(triton), voices_of(triton), strict=True)) == [("One.", None), ("Two.", "af_bella")]
    spoken = sum(map(len, kokoro.chunks))
    files = [len(message) // 2 for message in messages if isinstance(message, bytes)]
    assert files == [spoken, SPEECH_RATE // 2 + spoken, SPEECH_RATE]


async def test_an_unknown_voice_ends_a_text_that_is_being_written_with_an_error(gateway: Gateway) -> None:
    async with session(gateway, model="kokoro-82m", allow_voice_tags=True) as client:
        await client.send("input.text", text="One. [voice:nobody] Two.")
        await client.send("input.done")
        messages = [m for m in await client.until("session.done") if isinstance(m, dict)]
    assert [m["type"] for m in messages] == ["audio.start", "audio.done", "error", "session.done"]
    assert messages[2]["error"]["param"] == "input"
    assert "the voice tag at character 6" in messages[2]["message"]


async def test_a_model_at_capacity_is_an_http_error_even_after_a_pause(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.failure, kokoro.chunks = RuntimeError("broken"), []
    body = {"model": "kokoro-82m", "input": "[pause 1s] One."}
    assert (await gateway.http.post(SPEECH, json=body)).status_code == 500
