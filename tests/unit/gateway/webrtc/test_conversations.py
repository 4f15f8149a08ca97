"""Conversations over WebRTC: the answer is heard on a track, and the server knows how far."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import FakeSpeech, Gateway, tone
from tests.unit.gateway.realtime.test_realtime import pcm
from tests.unit.gateway.webrtc.test_calls import QUICK, no_sessions
from tests.webrtc import Caller, calling, is_loud

TALK: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime"}
ANSWER = "Good morning. The train leaves at nine."


async def ask(caller: Caller, text: str = "When does it leave?") -> None:
    content = [{"type": "input_text", "text": text}]
    caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await caller.until("conversation.item.done")
    caller.send("response.create")


async def test_a_spoken_question_is_answered_on_the_track(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    async with calling(gateway.http, session=TALK, pace=QUICK) as caller:
        await caller.until("conversation.created")
        caller.microphone.say(pcm((0.5, None), (1.5, 3)))
        events = await caller.until("output_audio_buffer.stopped")
        heard = np.concatenate(caller.heard)
    assert [event["type"] for event in events if event["type"] != "output_audio_buffer.started"] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "output_audio_buffer.stopped",
    ]
    types = [event["type"] for event in events]
    started = events[types.index("output_audio_buffer.started")]
    assert types.index("output_audio_buffer.started") > types.index("response.content_part.added")
    response = next(event for event in events if event["type"] == "response.done")["response"]
    assert started["response_id"] == events[-1]["response_id"] == response["id"]
    assert response["output"][0]["content"][0]["transcript"] == ANSWER
    loud = sum(len(piece) for piece in np.array_split(heard, len(heard) // 480) if is_loud(piece))
    spoken = 2 * sum(map(len, kokoro.chunks))
    assert 0.8 * spoken < loud < 1.1 * spoken
    await no_sessions()


async def test_the_user_cuts_the_answer(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    kokoro.chunks = [tone(8)]
    async with calling(gateway.http, session=TALK, pace=QUICK) as caller:
        await caller.until("conversation.created")
        await ask(caller)
        await caller.until("output_audio_buffer.started")
        await caller.hear()
        caller.microphone.say(pcm((1.5, 4)))
        events = await caller.until("conversation.item.truncated")
        await caller.hear(loud=False)
        types = [event["type"] for event in events]
        assert types.index("input_audio_buffer.speech_started") < types.index("output_audio_buffer.cleared")
        done = next(event for event in events if event["type"] == "response.done")["response"]
        item = done["output"][0]
        cut = events[-1]
        assert cut["item_id"] == item["id"]
        assert 0 < cut["audio_end_ms"] < 8000
        assert ANSWER.startswith(cut["transcript"])
        assert cut["transcript"] != ANSWER
        await caller.until("response.output_item.added")
    said = [message["content"] for message in language_model.requests[-1]["messages"] if message["role"] == "assistant"]
    assert said == ([cut["transcript"]] if cut["transcript"] else [])


async def test_the_client_cuts_the_answer(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    kokoro.chunks = [tone(4)] * 10  # more than is sent ahead, so that the response goes on
    async with calling(gateway.http, session=TALK) as caller:
        await caller.until("conversation.created")
        await ask(caller)
        await caller.until("output_audio_buffer.started")
        caller.send("response.cancel")
        done = (await caller.last("response.done"))["response"]
        assert done["status"] == "cancelled"
        caller.send("output_audio_buffer.clear")
        cleared, truncated = (await caller.until("conversation.item.truncated"))[-2:]
        assert (cleared["type"], cleared["response_id"]) == ("output_audio_buffer.cleared", done["id"])
        assert truncated["audio_end_ms"] < 8000
        await caller.hear(loud=False)
        caller.send("conversation.item.retrieve", item_id=truncated["item_id"])
        kept = (await caller.last("conversation.item.retrieved"))["item"]
        assert kept["content"][0]["transcript"] == truncated["transcript"]


async def test_an_answer_that_was_heard_is_kept_whole(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    async with calling(gateway.http, session=TALK, pace=QUICK) as caller:
        await caller.until("conversation.created")
        await ask(caller)
        await caller.until("output_audio_buffer.stopped")
        caller.microphone.say(pcm((1.5, 4)))
        events = await caller.until("response.output_item.added")
        assert "conversation.item.truncated" not in [event["type"] for event in events]
    said = [message["content"] for message in language_model.requests[-1]["messages"] if message["role"] == "assistant"]
    assert said == [ANSWER]


async def test_a_client_that_leaves_frees_the_language_model(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.gate.clear()
    async with calling(gateway.http, session=TALK) as caller:
        await caller.until("conversation.created")
        await ask(caller)
        async with asyncio.timeout(300):
            while not language_model.requests:  # noqa: ASYNC110 - the stand-in has no event for it
                await asyncio.sleep(0.01)
    async with asyncio.timeout(300):
        await language_model.left.wait()
    await no_sessions()
