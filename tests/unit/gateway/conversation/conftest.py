"""A gateway with a stand-in language model, and clients that talk to it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests import websocket
from tests.fake_triton import FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.realtime.test_realtime import pcm, send
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["whisper"]


@pytest.fixture
async def language_model() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer(words=["Good ", "morning. ", "The train ", "leaves at nine."]).serving() as server:
        yield server


@pytest.fixture
async def gateway(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper, language_model: LanguageModelServer
) -> AsyncIterator[Gateway]:
    """A gateway with Kokoro, Whisper and the language model."""
    triton.handlers["whisper-base"] = whisper
    async with serve(llm_url=language_model.url) as running:
        await running.follow(triton)
        yield running


@dataclass
class Client:
    """A client by OpenAI's SDK, which remembers all events."""

    sdk: AsyncRealtimeConnection
    events: list[Any] = field(default_factory=list)

    async def until(self, type_: str, count: int = 1) -> list[Any]:
        """Return the events up to the next one of `type_`, or the `count`th."""
        found: list[Any] = []
        async with asyncio.timeout(300):
            while count:
                event = await self.sdk.recv()
                found.append(event)
                count -= event.type == type_
        self.events += found
        return found

    async def last(self, type_: str) -> Any:
        """Return the next event of `type_`."""
        return (await self.until(type_))[-1]

    async def say(self, part: int) -> None:
        """Speak for a second, and be silent long enough for the turn to end."""
        await send(self.sdk, pcm((0.5, None), (1, part), (1, None)))

    async def write(self, text: str, **fields: Any) -> None:
        """Add a message."""
        item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.sdk.conversation.item.create(item=item, **fields)
        await self.until("conversation.item.done")

    async def update(self, **settings: Any) -> Any:
        """Change the session, and return its configuration."""
        change: Any = {"type": "realtime", **settings}
        await self.sdk.session.update(session=change)
        return (await self.last("session.updated")).session

    async def error(self, action: Awaitable[Any]) -> Any:
        """Return the error that `action` has as its answer."""
        await action
        return (await self.last("error")).error


Connect = Callable[..., Any]


@asynccontextmanager
async def talk(gateway: Gateway, model: str = "gpt-realtime") -> AsyncIterator[Client]:
    """Begin a conversation."""
    async with gateway.openai.realtime.connect(
        model=model, websocket_connection_options=websocket.OPTIONS
    ) as connection:
        client = Client(connection)
        await client.until("conversation.created")
        yield client


def of(events: list[Any], type_: str) -> list[Any]:
    """Return the events of one type."""
    return [event for event in events if event.type == type_]


def audio_of(events: list[Any]) -> bytes:
    """Return the audio in events."""
    return b"".join(base64.b64decode(event.delta) for event in of(events, "response.output_audio.delta"))
