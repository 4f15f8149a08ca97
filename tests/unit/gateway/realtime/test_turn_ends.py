"""Turns that end by what was said, and silences that last too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from openai.types.realtime import InputAudioBufferTimeoutTriggered

from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.realtime.test_realtime import TRANSCRIPTION, model, pcm, send, session, until, updated
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment, whisper
from tritone.contract import LISTEN_RATE
from tritone.transcript import Transcript

__all__ = ["model", "whisper"]

MEDIUM = {"type": "semantic_vad", "eagerness": "medium"}


async def test_a_sentence_that_sounds_complete_ends_its_turn(gateway: Gateway, model: FakeWhisper) -> None:
    """The text is known later than the last audio: no more of it is needed."""
    model.script[1] = Transcript("en", 0.9, (segment(" I went home."),))
    async with session(gateway) as connection:
        detection: Any = (await updated(connection, turn_detection=MEDIUM)).audio.input.turn_detection
        assert (detection.type, detection.eagerness) == ("semantic_vad", "medium")
        await send(connection, pcm((1, 1), (1, None)))
        events = await until(connection, f"{TRANSCRIPTION}.completed")
    (stopped,) = [event for event in events if event.type == "input_audio_buffer.speech_stopped"]
    assert stopped.audio_end_ms < 2000
    assert events[-1].transcript == "I went home."


async def test_a_sentence_that_trails_off_goes_on(gateway: Gateway, triton: FakeTriton) -> None:
    answered = asyncio.Event()

    async def speaker(call: Call) -> AsyncIterator[Tensors]:
        """Transcribe a half of the sentence, or more audio as the whole."""
        half = call.inputs["audio"].shape[1] < 3 * LISTEN_RATE
        text = " I went home, and then I" if half else " I went home, and then I slept."
        yield Transcript("en", 0.9, (segment(text),)).to_columns()
        answered.set()

    triton.handlers["whisper-base"] = speaker
    async with session(gateway) as connection:
        await updated(connection, turn_detection=MEDIUM)
        await send(connection, pcm((1, 1), (0.3, None)))
        async with asyncio.timeout(300):
            await answered.wait()
        await send(connection, pcm((2, None), (1, 1), (1, None)))
        events = await until(connection, f"{TRANSCRIPTION}.completed")
    assert [event.type for event in events].count("input_audio_buffer.speech_started") == 1
    assert events[-1].transcript == "I went home, and then I slept."


async def test_a_session_without_text_ends_its_turns_by_silence(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=MEDIUM, transcription=None)
        await send(connection, pcm((1, 1), (1.7, None)))
        await until(connection, "conversation.item.done")
    assert not model.calls


async def test_a_long_silence_becomes_an_item(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
        await send(connection, pcm((1, 1), (1, None)))
        (turn,) = [e for e in await until(connection, f"{TRANSCRIPTION}.completed") if e.type.endswith(".committed")]
        await send(connection, pcm((5, None)))
        triggered, *events = await until(connection, f"{TRANSCRIPTION}.completed")
    assert isinstance(triggered, InputAudioBufferTimeoutTriggered)
    assert triggered.audio_end_ms - triggered.audio_start_ms == 4992, "in whole frames"
    assert [event.type for event in events] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.completed",
    ]
    assert (events[0].item_id, events[0].previous_item_id) == (triggered.item_id, turn.item_id)
    assert (events[-1].item_id, events[-1].transcript) == (triggered.item_id, "")
