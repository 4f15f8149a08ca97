"""`/v1/audio/speech/stream`: text in as it is written, speech out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
import websockets

from gateway.core.telemetry import WorkTelemetry
from gateway.openai.speech_stream.session import MAX_UTTERANCES, SpeechSession
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.sound import decode
from tritone.errors import InvalidInput, Overloaded

LONG = "The train to the coast, which leaves in the early morning when the harbour is still asleep, is never late. "


class Client:
    """A client of the WebSocket."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def next(self) -> dict[str, Any] | bytes:
        async with asyncio.timeout(300):
            message = await self.socket.recv()
        return message if isinstance(message, bytes) else json.loads(message)

    async def until(self, type_: str) -> list[Any]:
        """Return the messages up to the first of `type_`."""
        messages: list[Any] = []
        while not (messages and isinstance(messages[-1], dict) and messages[-1]["type"] == type_):
            messages.append(await self.next())
        return messages


@asynccontextmanager
async def session(gateway: Gateway, **config: Any) -> AsyncIterator[Client]:
    url = gateway.url.replace("http", "ws", 1) + "/v1/audio/speech/stream"
    async with websockets.connect(url, max_size=None, proxy=None, open_timeout=300) as socket:
        client = Client(socket)
        if config:
            await client.send("session.config", **config)
        yield client


def texts_of(triton: FakeTriton) -> list[str]:
    return [call.inputs["text"].item().decode() for call in triton.calls]


async def test_each_sentence_is_a_file_and_an_utterance_ends_with_session_done(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    async with session(gateway, model="kokoro-82m", voice="alloy", response_format="wav") as client:
        for word in ["Good", "morning.", "The", "train", "leaves", "at", "nine."]:
            await client.send("input.text", text=word + " ")
        await client.send("input.done")
        messages = await client.until("session.done")
    starts = [m for m in messages if isinstance(m, dict) and m["type"] == "audio.start"]
    assert (
        [start["sentence_text"] for start in starts]
        == texts_of(triton)
        == ["Good morning.", "The train leaves at nine."]
    )
    assert [(start["utterance_index"], start["sentence_index"]) for start in starts] == [(0, 0), (0, 1)]
    files = [message for message in messages if isinstance(message, bytes)]
    for file in files:
        samples, rate = decode(file, "wav")
        assert len(samples) / rate == pytest.approx(sum(map(len, kokoro.chunks)) / kokoro.rate)
    ends = [m for m in messages if isinstance(m, dict) and m["type"] == "audio.done"]
    assert [(end["total_bytes"], end["error"]) for end in ends] == [(len(file), False) for file in files]
    assert messages[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 2}


async def test_audio_begins_before_the_text_is_complete(gateway: Gateway, kokoro: FakeSpeech) -> None:
    async with session(gateway, model="kokoro-82m", stream_audio=True) as client:
        await client.send("input.text", text=LONG)
        start = await client.next()
        assert isinstance(start, dict)
        assert (start["type"], start["format"], start["sample_rate"]) == ("audio.start", "pcm", 24_000)
        assert LONG.startswith(start["sentence_text"])
        first = await client.next()
        assert isinstance(first, bytes)
        await client.send("input.text", text="And this was written later.")
        await client.send("input.done")
        messages = await client.until("session.done")
        audio = first + b"".join(message for message in messages if isinstance(message, bytes))
        sentences = messages[-1]["total_sentences"]
        assert len(audio) / 2 == sentences * sum(map(len, kokoro.chunks))


@pytest.mark.parametrize(("split", "parts"), [("none", 1), ("sentence", 2), ("clause", 3)])
async def test_the_text_is_cut_where_the_client_wants(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, split: str, parts: int
) -> None:
    text = LONG + "It waits for nobody."
    async with session(gateway, model="kokoro-82m", split_granularity=split) as client:
        for start in range(0, len(text), 7):
            await client.send("input.text", text=text[start : start + 7])
        await client.send("input.done")
        messages = await client.until("session.done")
    assert messages[-1]["total_sentences"] == parts
    assert " ".join(texts_of(triton)) == text


async def test_a_second_utterance_keeps_the_configuration_or_changes_it(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    async with session(gateway, model="kokoro-82m", voice="af_heart") as client:
        for voice in ("af_heart", "af_heart", "bf_emma"):
            if voice == "bf_emma":
                await client.send("session.config", model="kokoro-82m", voice=voice)
            await client.send("input.text", text="Good morning.")
            await client.send("input.done")
            await client.until("session.done")
        await client.send("input.done")
        assert (await client.next()) == {"type": "session.done", "utterance_index": 3, "total_sentences": 0}
    assert [call.parameters["voice"] for call in triton.calls] == ["af_heart", "af_heart", "bf_emma"]


async def test_a_cancel_stops_the_model_and_the_session_goes_on(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    async with session(gateway, model="kokoro-82m", stream_audio=True) as client:
        await client.send("input.text", text="Good morning.")
        await client.send("input.done")
        assert isinstance(await client.next(), dict)
        assert isinstance(await client.next(), bytes)
        await client.send("input.cancel")
        assert (await client.until("session.done"))[-1] == {
            "type": "session.done",
            "utterance_index": 0,
            "cancelled": True,
        }
        async with asyncio.timeout(300):
            await triton.calls[0].cancelled.wait()
        kokoro.gates = []
        await client.send("input.text", text="Good night.")
        await client.send("input.done")
        assert (await client.until("session.done"))[-1]["total_sentences"] == 1


async def test_a_client_that_leaves_stops_the_model(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    kokoro.gates = [asyncio.Event()]
    async with session(gateway, model="kokoro-82m") as client:
        await client.send("input.text", text="Good morning. ")
        await client.send("input.done")
        async with asyncio.timeout(300):
            await kokoro.called.wait()
    async with asyncio.timeout(300):
        await triton.calls[0].cancelled.wait()


async def test_a_closed_session_speaks_its_text_and_ends(gateway: Gateway, kokoro: FakeSpeech) -> None:
    async with session(gateway, model="kokoro-82m") as client:
        await client.send("input.text", text="Good morning.")
        await client.send("session.close")
        await client.until("session.done")
        with pytest.raises(websockets.ConnectionClosedOK):
            await client.next()


async def test_a_failed_part_is_an_error_and_the_session_goes_on(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.failure = Overloaded("at capacity")
    async with session(gateway, model="kokoro-82m") as client:
        await client.send("input.text", text="Good morning.")
        await client.send("input.done")
        types = [m["type"] for m in await client.until("session.done") if isinstance(m, dict)]
        assert types == ["audio.start", "audio.done", "error", "session.done"]
        kokoro.failure = None
        await client.send("input.text", text="Good night.")
        await client.send("input.done")
        assert (await client.until("session.done"))[-1]["total_sentences"] == 1


BAD: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "message: it is not JSON"),
    "no type": ("{}", "type: "),
    "an unknown type": ('{"type": "response.create"}', "type: "),
    "a text that is no text": ('{"type": "input.text", "text": 5}', "text: "),
    "a bad speed": ('{"type": "session.config", "speed": 9}', "speed: "),
    "a bad split": ('{"type": "session.config", "split_granularity": "word"}', "split_granularity: "),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_message_is_an_error_that_names_the_field(gateway: Gateway, kokoro: FakeSpeech, case: str) -> None:
    raw, message = BAD[case]
    async with session(gateway) as client:
        await client.socket.send(raw)
        answer = await client.next()
        assert isinstance(answer, dict)
        assert answer["type"] == "error"
        assert answer["message"].startswith(message)
        await client.send("input.done")
        assert (await client.next()) == {"type": "session.done", "utterance_index": 0, "total_sentences": 0}


async def test_an_utterance_has_a_limit_and_a_configuration_waits_for_its_end(serve: Serve, triton: FakeTriton) -> None:
    async with serve(max_long_input_chars=20) as gateway:
        await gateway.follow(triton)
        async with session(gateway) as client:
            await client.send("input.text", text="Good mor")
            await client.send("session.config", voice="alloy")
            answer = await client.next()
            assert isinstance(answer, dict)
            assert "input.done" in answer["message"]
            await client.send("input.text", text="ning to all of you")
            answer = await client.next()
            assert isinstance(answer, dict)
            assert answer["message"].startswith("input: over 20 characters")


async def test_a_session_needs_a_key(serve: Serve, triton: FakeTriton) -> None:
    async with serve(api_keys="secret") as gateway:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with session(gateway):
                pass
    assert caught.value.response.status_code == 401


async def test_an_idle_session_is_closed_with_the_reason(serve: Serve, triton: FakeTriton) -> None:
    async with serve(realtime_idle_timeout=0.2) as gateway, session(gateway) as client:
        answer = await client.next()
        assert isinstance(answer, dict)
        assert "no message for 0.2 s" in answer["message"]


async def test_audio_of_a_part_is_the_models_own(gateway: Gateway, kokoro: FakeSpeech) -> None:
    async with session(gateway, model="kokoro-82m", stream_audio=True) as client:
        await client.send("input.text", text="Good morning.")
        await client.send("input.done")
        messages = await client.until("session.done")
    audio = b"".join(message for message in messages if isinstance(message, bytes))
    assert audio == np.concatenate(kokoro.chunks).astype("<i2").tobytes()


def unspoken_session() -> SpeechSession:
    """Return a session that takes texts of ten characters, and speaks none."""
    services = mock.Mock()
    services.settings.max_long_input_chars = 10
    return SpeechSession(services, mock.AsyncMock(), WorkTelemetry("r"))


async def test_utterances_that_wait_have_a_limit() -> None:
    session = unspoken_session()
    for _ in range(MAX_UTTERANCES):
        await session.handle({"type": "input.text", "text": "Hello."})
        await session.handle({"type": "input.done"})
    for message in ({"type": "input.text", "text": "Hello."}, {"type": "input.done"}):
        with pytest.raises(InvalidInput, match="utterances wait"):
            await session.handle(message)


async def test_pieces_without_text_are_not_kept() -> None:
    session = unspoken_session()
    for text in ("", "a", "", ""):
        await session.handle({"type": "input.text", "text": text})
    (utterance,) = session._waiting
    assert utterance.texts.qsize() == 1
