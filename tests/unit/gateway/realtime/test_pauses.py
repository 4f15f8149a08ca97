"""The final text of a turn is begun when the speaker pauses."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.core.live_speakers import LiveSpeakers
from gateway.core.window_client import WindowClient
from gateway.openai.realtime.input_audio import InputAudio
from gateway.openai.realtime.items import TranscriptionItems
from gateway.openai.realtime.protocol import Event
from gateway.openai.realtime.session_config import AudioInput, TranscriptionSettings
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.loudness import LoudnessDetectors
from tests.unit.gateway.realtime.test_realtime import TRANSCRIPTION, pcm, send, session, until, updated
from tests.unit.gateway.transcription.conftest import segment
from tritone.contract import TranscriptionOptions
from tritone.errors import Overloaded
from tritone.transcript import Transcript

if TYPE_CHECKING:
    from gateway.core.services import Services
    from gateway.core.triton_client import TritonClient

DEADLINE = 120
PATIENT = {"type": "server_vad", "silence_duration_ms": 2000}
SAID = f"{TRANSCRIPTION}.completed"


@dataclass
class Listener:
    """Transcribes the n-th call as ` text n`, once it may; the calls in `failing` fail."""

    calls: list[Call] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    failing: frozenset[int] = frozenset()
    heard: tuple[str, float] = ("en", 0.8)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        self.calls.append(call)
        n = len(self.calls)
        async with self._arrived:
            self._arrived.notify_all()
        if n in self.failing:
            raise Overloaded("full")
        await self.may.wait()
        yield Transcript(*self.heard, (segment(f" text {n}"),)).to_columns()

    async def called(self, times: int) -> None:
        async with asyncio.timeout(DEADLINE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.calls) >= times)


@pytest.fixture
def listener(triton: FakeTriton) -> Listener:
    triton.handlers["whisper-base"] = listener = Listener()
    return listener


@pytest.mark.parametrize("answered", ["in the pause", "after the end"])
async def test_turn_that_ends_with_its_pause_is_transcribed_once(
    gateway: Gateway, listener: Listener, answered: str
) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=PATIENT)
        await send(connection, pcm((1, 1), (0.5, None)))
        await listener.called(1)
        if answered == "in the pause":
            listener.may.set()
        await send(connection, pcm((2, None)))
        await until(connection, "input_audio_buffer.committed")
        listener.may.set()
        completed = (await until(connection, SAID))[-1]
    assert completed.transcript == "text 1"
    [call] = listener.calls
    assert "draft" not in call.parameters
    assert call.parameters["clip"] is True


async def test_text_that_a_pause_began_is_discarded_if_the_speaker_goes_on(
    gateway: Gateway, listener: Listener
) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=PATIENT)
        await send(connection, pcm((1, 1), (0.5, None)))
        await listener.called(1)
        await send(connection, pcm((1, 1), (2.5, None)))
        await listener.called(2)
        async with asyncio.timeout(DEADLINE):
            await listener.calls[0].cancelled.wait()
        listener.may.set()
        completed = (await until(connection, SAID))[-1]
    assert completed.transcript == "text 2"
    first, second = (call.inputs["audio"].shape[1] for call in listener.calls)
    assert second > first + 16_000


async def test_turn_is_transcribed_again_if_the_call_of_its_pause_fails(gateway: Gateway, listener: Listener) -> None:
    listener.failing = frozenset({1})
    listener.may.set()
    async with session(gateway) as connection:
        await updated(connection, turn_detection=PATIENT)
        await send(connection, pcm((1, 1), (0.5, None)))
        await listener.called(1)
        await send(connection, pcm((2, None)))
        completed = (await until(connection, SAID))[-1]
    assert completed.transcript.startswith("text ")
    assert listener.calls[-1].inputs["audio"].shape[1] > 2 * 16_000


async def test_audio_that_is_cleared_in_a_pause_is_transcribed_no_further(gateway: Gateway, listener: Listener) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=PATIENT)
        await send(connection, pcm((1, 1), (0.5, None)))
        await listener.called(1)
        await connection.input_audio_buffer.clear()
        async with asyncio.timeout(DEADLINE):
            await listener.calls[0].cancelled.wait()


async def test_client_that_leaves_in_a_pause_cancels_its_call(gateway: Gateway, listener: Listener) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=PATIENT)
        await send(connection, pcm((1, 1), (0.5, None)))
        await listener.called(1)
    async with asyncio.timeout(DEADLINE):
        await listener.calls[0].cancelled.wait()


async def test_text_of_a_turn_that_grows_is_a_draft(serve: Serve, listener: Listener) -> None:
    listener.may.set()
    async with serve(clocks={"partial_interval": 0.01}) as gateway, session(gateway) as connection:
        await send(connection, pcm((2, 1)))
        await listener.called(1)
        await send(connection, pcm((1, None)))
        await until(connection, SAID)
    assert listener.calls[0].parameters["draft"] is True
    assert "draft" not in listener.calls[-1].parameters


@pytest.mark.parametrize(("probability", "second"), [(0.95, "fr"), (0.8, "auto")])
async def test_drafts_after_a_sure_one_have_its_language_and_the_final_text_detects_it(
    serve: Serve, listener: Listener, probability: float, second: str
) -> None:
    listener.may.set()
    listener.heard = ("fr", probability)
    async with serve(clocks={"partial_interval": 0.01}) as gateway, session(gateway) as connection:
        await send(connection, pcm((2, 1)))
        await listener.called(1)
        await send(connection, pcm((1, 1)))
        await listener.called(2)
        await send(connection, pcm((1, None)))
        await until(connection, SAID)
    first, later, *_, final = (call.parameters.get("language", "auto") for call in listener.calls)
    assert (first, later, final) == ("auto", second, "auto")


class HeldCalls:
    """Stands for the gateway's gRPC client; its calls are answered by nobody, and note their cancellation."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def stream(self, *_: object, **__: object) -> AsyncGenerator[Any]:
        self.begun.set()
        try:
            await asyncio.Future()
        finally:
            self.ended.set()
        yield {}


async def test_client_that_leaves_while_its_turn_ends_has_what_the_pause_began_cancelled() -> None:
    calls, ending = HeldCalls(), asyncio.Event()

    async def send_nothing_of_the_end(sent: Event) -> None:
        if sent["type"] == "input_audio_buffer.speech_stopped":
            ending.set()
            await asyncio.Future()  # the client's connection takes no more

    client = WindowClient(cast("TritonClient", calls), "whisper-base", TranscriptionOptions(), (), "request", 300.0)
    with ThreadPoolExecutor(1) as threads:
        audio = InputAudio(
            AudioInput(transcription=TranscriptionSettings(model="whisper-base")),
            send_nothing_of_the_end,
            TranscriptionItems(send_nothing_of_the_end),
            lambda *_: client,
            LoudnessDetectors().new,
            logprobs=False,
            partial_interval=1.0,
            threads=threads,
            speakers=LiveSpeakers(cast("Services", None)),
        )
        async with asyncio.timeout(DEADLINE):
            await audio.append(base64.b64encode(pcm((1, 1), (0.4, None))).decode())
            await calls.begun.wait()
            appending = asyncio.create_task(audio.append(base64.b64encode(pcm((1, None))).decode()))
            await ending.wait()
            appending.cancel()
            await audio.close()
            await calls.ended.wait()
