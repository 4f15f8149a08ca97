"""Text of an open turn: how soon, and how sure."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.openai.realtime.stability import Delay, pace_of, stable_prefix, stable_text
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Serve
from tests.unit.gateway.realtime.test_realtime import TRANSCRIPTION, called, pcm, send, session, until, updated
from tests.unit.gateway.transcription.conftest import segment
from tritone.transcript import Transcript


@pytest.mark.parametrize(
    ("earlier", "later", "both"),
    [
        ("", "We can", ""),
        ("We can", "We cannot", "We"),
        ("We can go", "We can go", "We can go"),
        ("I", "It is", ""),
        ("今天天", "今天天气很好", "今天天"),
        ("今天田", "今天天气", "今天"),
    ],
)
def test_the_stable_prefix_of_two_texts_has_whole_words(earlier: str, later: str, both: str) -> None:
    assert stable_prefix(earlier, later) == both


@pytest.mark.parametrize(
    ("texts", "agreeing", "sent"),
    [
        ([" We can"], 1, " We"),
        (["今天天气"], 1, "今天"),
        ([" We"], 1, ""),
        ([" We can"], 2, ""),
        ([" We can", " We can go"], 2, " We"),
        ([" We can", " We can go"], 3, ""),
        ([" We came", " We can go", " We can go home"], 3, " We"),
        ([" Oh", " We can go", " We can go home"], 2, " We can"),
    ],
)
def test_a_word_is_sent_when_enough_transcriptions_agree(texts: list[str], agreeing: int, sent: str) -> None:
    assert stable_text(texts, agreeing) == sent


def test_a_longer_delay_is_never_hastier() -> None:
    delays: list[Delay] = ["minimal", "low", "medium", "high", "xhigh"]
    paces = [pace_of(delay, 2.0) for delay in delays]
    waits = [pace.interval * pace.agreeing for pace in paces]
    assert waits == sorted(set(waits))
    assert pace_of(None, 2.0) == paces[2] == (2.0, 2)


@pytest.mark.parametrize(("delay", "transcriptions"), [("minimal", 1), ("medium", 2), ("high", 3)])
async def test_the_first_text_comes_after_as_many_transcriptions_as_the_delay_asks_for(
    serve: Serve, triton: FakeTriton, delay: str, transcriptions: int
) -> None:
    async def speaker(call: Call) -> AsyncIterator[Tensors]:
        """Transcribe the same words at each call."""
        yield Transcript("en", 0.9, (segment(" one two three"),)).to_columns()

    triton.handlers["whisper-base"] = speaker
    async with serve(clocks={"partial_interval": 0.01}) as gateway, session(gateway) as connection:
        settings = {"model": "gpt-realtime-whisper", "delay": delay}
        config = await updated(connection, transcription=settings, turn_detection={"type": "server_vad"})
        assert config.audio.input.transcription.delay == delay
        await send(connection, pcm((1, 1)))
        for calls in range(1, transcriptions):
            await called(triton, calls)
            await send(connection, pcm((0.5, 1)))
        *_, delta = await until(connection, f"{TRANSCRIPTION}.delta")
    assert delta.delta == ("one two" if delay == "minimal" else "one two three")
    assert len(triton.calls) >= transcriptions
