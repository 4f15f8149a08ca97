"""The speakers of live sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from openai.types.realtime import ConversationItemInputAudioTranscriptionSegment as SegmentEvent

from gateway.core.speaker_encoder import SpeakerEmbedding, SpeakerEncoder
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.realtime.test_realtime import TRANSCRIPTION, model, pcm, plain, send, session, until
from tests.unit.gateway.realtime.test_session_config import update
from tests.unit.gateway.recordings import part_of
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment, whisper
from tritone.transcript import Transcript
from tritone.windowing import Samples

__all__ = ["model", "whisper"]

DIARIZE = "gpt-4o-transcribe-diarize"


@pytest.fixture
def voices(monkeypatch: pytest.MonkeyPatch, model: FakeWhisper) -> None:
    """Each part of a recording is another person, who speaks for two seconds."""

    def encode(self: SpeakerEncoder, samples: Samples, parts: Sequence[slice]) -> list[SpeakerEmbedding]:
        return [np.eye(256, dtype=np.float32)[part_of(samples[np.newaxis])]] * len(parts)

    monkeypatch.setattr(SpeakerEncoder, "encode_parts", encode)
    monkeypatch.setattr(SpeakerEncoder, "missing", "")
    for part in (1, 2):
        said = replace(segment(f" I am number {part}.", 0.4, 2.2), words=())
        model.script[part] = Transcript("en", 0.9, (said,))


async def turns(connection: Any, number: int) -> list[Any]:
    """Return the events of the text of so many turns, without deltas."""
    events: list[Any] = []
    for _ in range(number):
        events += await until(connection, f"{TRANSCRIPTION}.completed")
    return [event for event in events if event.type in (f"{TRANSCRIPTION}.segment", f"{TRANSCRIPTION}.completed")]


@pytest.mark.usefixtures("voices")
async def test_a_speaker_keeps_the_label_from_turn_to_turn(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway, model=DIARIZE) as connection:
        await send(connection, pcm((0.5, None), *[(2, 1), (1, None), (2, 2), (1, None), (2, 1), (1, None)]))
        events = await turns(connection, 3)
    segments, completed = events[::2], events[1::2]
    assert all(isinstance(event, SegmentEvent) for event in segments)
    assert [event.speaker for event in segments] == ["A", "B", "A"]
    assert [event.text for event in segments] == [event.transcript for event in completed]
    assert [event.item_id for event in segments] == [event.item_id for event in completed]
    assert [event.start for event in segments] == pytest.approx([0.3] * 3, abs=0.05)
    assert [event.end for event in segments] == pytest.approx([2.3] * 3, abs=0.05)
    assert {event.content_index for event in segments} == {0}
    assert len({event.id for event in segments}) == 3
    assert model.calls[1].parameters["word_timestamps"]


@pytest.mark.usefixtures("voices")
async def test_speakers_are_named_in_the_order_of_their_turns(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway, model=DIARIZE) as connection:
        async with model.holding(1):
            await send(connection, pcm((0.5, None), (2, 1), (1, None), (2, 2), (1, None)))
            await until(connection, "conversation.item.done")
            await until(connection, "conversation.item.done")
        first, _, second, _ = await turns(connection, 2)
    assert [(first.text, first.speaker), (second.text, second.speaker)] == [
        ("I am number 1.", "A"),
        ("I am number 2.", "B"),
    ]


async def test_other_models_tell_no_speakers(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await send(connection, pcm((1, 1), (1, None)))
        events = await turns(connection, 1)
    assert [event.type for event in events] == [f"{TRANSCRIPTION}.completed"]


async def test_a_missing_network_for_speakers_is_an_error(
    gateway: Gateway, model: FakeWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpeakerEncoder, "missing", "fetch it")
    async with plain(gateway) as connection:
        await connection.recv()
        error = (await update(connection, transcription={"model": DIARIZE}))["error"]
    assert error["param"] == "session.audio.input.transcription.model"
    assert "fetch it" in error["message"]
