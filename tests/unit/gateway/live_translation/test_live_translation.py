"""`/v1/realtime/translations`, by OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
import websockets

from tests import websocket
from tests.fake_triton import FakeTriton
from tests.unit.gateway.chat.conftest import texts_of
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.realtime.test_realtime import model, pcm
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["model", "whisper"]

MODEL = "gpt-realtime-translate"
TWO_SENTENCES = pcm((0.5, None), (1.0, 3), (0.8, None), (1.0, 4), (0.1, None))


class Client:
    """A client, which remembers all events."""

    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk

    async def say(self, audio: bytes) -> None:
        """Send audio in pieces of 200 ms, as the API's reference advises."""
        for start in range(0, len(audio), 9600):
            data = base64.b64encode(audio[start : start + 9600]).decode()
            await self.send("session.input_audio_buffer.append", audio=data)

    async def send(self, type_: str, **fields: Any) -> None:
        await self._sdk.send({"type": type_, **fields})

    async def until(self, type_: str) -> list[Any]:
        """Return the events up to the next one of `type_`."""
        found: list[Any] = []
        async with asyncio.timeout(300):
            while not found or found[-1].type != type_:
                found.append(await self._sdk.recv())
        return found


@pytest.fixture
async def gateway(serve: Serve, triton: FakeTriton, model: FakeWhisper) -> AsyncIterator[Gateway]:
    """A gateway with Kokoro and Whisper."""
    async with serve() as running:
        await running.follow(triton)
        yield running


@asynccontextmanager
async def translating(gateway: Gateway, **options: Any) -> AsyncIterator[tuple[Client, Any]]:
    """Begin a session; yield its client and its configuration."""
    client = gateway.openai.with_options(**options)
    async with client.realtime.translations.connect(
        model=MODEL, websocket_connection_options=websocket.OPTIONS
    ) as connection:
        talker = Client(connection)
        (created,) = await talker.until("session.created")
        yield talker, created.session


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


def text_of(events: list[Any], direction: str) -> str:
    return "".join(event.delta for event in events if event.type == f"session.{direction}_transcript.delta")


async def test_live_speech_is_translated_into_text_and_speech(gateway: Gateway, triton: FakeTriton) -> None:
    async with translating(gateway) as (client, session):
        assert (session.type, session.model, session.audio.output.language) == ("translation", MODEL, "en")
        await client.say(TWO_SENTENCES)
        await client.send("session.close")
        events = await client.until("session.closed")
        with pytest.raises(websockets.ConnectionClosedOK):
            await client.until("error")
    assert text_of(events, "output") == "part 3 part 4"
    assert {call.parameters["task"] for call in triton.calls if "audio" in call.inputs} == {"translate"}
    assert texts_of(triton) == ["part 3", "part 4"]
    audio = [event for event in events if event.type == "session.output_audio.delta"]
    assert {(event.format, event.sample_rate, event.channels) for event in audio} == {("pcm16", 24_000, 1)}
    assert len(b"".join(base64.b64decode(event.delta) for event in audio)) == 2 * round(1.2 * 24_000) * 2
    assert {event.elapsed_ms % 200 for event in audio} == {0}
    assert text_of(events, "input") == ""


async def test_the_text_of_the_source_follows_a_later_change(gateway: Gateway, triton: FakeTriton) -> None:
    async with translating(gateway) as (client, _):
        for language in ("de", "ko"):
            change = {"input": {"transcription": {"model": "whisper-1", "language": language}}}
            await client.send("session.update", session={"audio": change})
            await client.until("session.updated")
        await client.say(TWO_SENTENCES)
        await client.send("session.close")
        await client.until("session.closed")
    heard = [call.parameters for call in triton.calls if "audio" in call.inputs]
    assert {each.get("language") for each in heard if each.get("task", "transcribe") == "transcribe"} == {"ko"}


async def test_the_source_is_not_transcribed_any_more_after_null(gateway: Gateway, triton: FakeTriton) -> None:
    async with translating(gateway) as (client, _):
        for transcription in ({"model": "whisper-1"}, None):
            await client.send("session.update", session={"audio": {"input": {"transcription": transcription}}})
            await client.until("session.updated")
        await client.say(TWO_SENTENCES)
        await client.send("session.close")
        events = await client.until("session.closed")
    assert text_of(events, "output") == "part 3 part 4"
    assert {call.parameters["task"] for call in triton.calls if "audio" in call.inputs} == {"translate"}


async def test_the_text_of_the_source_comes_where_it_is_asked_for(gateway: Gateway, triton: FakeTriton) -> None:
    async with translating(gateway) as (client, _):
        change = {
            "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"voice": "af_bella"}}
        }
        await client.send("session.update", session=change)
        (*_, updated) = await client.until("session.updated")
        assert updated.session.audio.input.transcription.model == "gpt-realtime-whisper"
        await client.say(TWO_SENTENCES)
        await client.send("session.close")
        events = await client.until("session.closed")
    assert (text_of(events, "input"), text_of(events, "output")) == ("part 3 part 4", "part 3 part 4")
    tasks = {call.parameters.get("task", "transcribe") for call in triton.calls if "audio" in call.inputs}
    assert tasks == {"transcribe", "translate"}
    assert {call.parameters["voice"] for call in triton.calls if "text" in call.inputs} == {"af_bella"}


async def test_a_turn_that_takes_long_is_written_before_the_next(gateway: Gateway, whisper: FakeWhisper) -> None:
    async with translating(gateway) as (client, _), whisper.holding(3):
        await client.say(TWO_SENTENCES)
        await client.send("session.close")
        async with asyncio.timeout(300):
            await whisper.arrived[4].wait()
        whisper.gates[3].set()
        events = await client.until("session.closed")
    assert text_of(events, "output") == "part 3 part 4"


@pytest.mark.parametrize(
    ("event", "param"),
    [
        (update(audio={"output": {"language": "de"}}), "session.audio.output.language"),
        (update(audio={"output": {"voice": "none"}}), "session.audio.output.voice"),
        (update(audio={"input": {"transcription": {"model": "none"}}}), "model"),
        (update(model="whisper-1"), "session.model"),
        ({"type": "session.input_audio_buffer.append", "audio": "?"}, "audio"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "type"),
    ],
)
async def test_a_wrong_event_is_told_and_the_session_goes_on(gateway: Gateway, event: Any, param: str) -> None:
    async with translating(gateway) as (client, _):
        await client.send(**{"type_": event.pop("type"), **event})
        (error,) = await client.until("error")
        assert error.error.param == param
        await client.send("session.close")
        await client.until("session.closed")


async def test_a_secret_opens_sessions_with_its_configuration(
    serve: Any, triton: FakeTriton, model: FakeWhisper
) -> None:
    async with serve(api_keys="sk-one") as gateway:
        await gateway.follow(triton)
        server = gateway.openai.with_options(api_key="sk-one")
        secret = await server.realtime.translations.client_secrets.create(
            session={"model": MODEL, "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        )
        async with translating(gateway, api_key=secret.value) as (_, session):
            assert session.audio.input.transcription.model == "whisper-1"
        with pytest.raises(openai.BadRequestError, match="English only"):
            await server.realtime.translations.client_secrets.create(
                session={"model": MODEL, "audio": {"output": {"language": "fr"}}}
            )
