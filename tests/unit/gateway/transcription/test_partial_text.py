"""Text that the model sends as it decodes it, in the events of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.core.partial_text import PartialTexts
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.recordings import part_of
from tests.unit.gateway.transcription.test_transcriptions import LONG, post
from tritone.descriptions import TranscriptionDescription
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Transcript


@dataclass
class Decoder:
    """Sends ` part N` in two pieces, the second once `gates[N]` is open, and then the transcript."""

    description = TranscriptionDescription(("en",), ("transcribe",), ("partial_text", "logprobs", "background"))
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    skips: bool = False
    """Whether the second piece is left to the transcript."""

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        part = part_of(call.inputs["audio"])
        self.calls.append(call)
        if call.parameters.get("partial_text"):
            yield {"text_delta": np.array([[b" part"]], np.object_)}
            if part in self.gates:
                await self.gates[part].wait()
            if not self.skips:
                yield {"text_delta": np.array([[f" {part}".encode()]], np.object_)}
        yield Transcript("", 0.0, (Segment(0.0, 2.0, f" part {part}", (1, 2)),)).to_columns()


@pytest.fixture
async def decoder(gateway: Gateway, triton: FakeTriton) -> Decoder:
    decoder = Decoder()
    triton.handlers["whisper-base"] = decoder
    await gateway.follow(triton)
    return decoder


def events_of(text: str) -> list[dict]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("skips", [False, True])
async def test_deltas_are_the_pieces_and_make_up_the_text(gateway: Gateway, decoder: Decoder, skips: bool) -> None:
    decoder.skips = skips
    response = await post(gateway, file=("long.flac", LONG), stream="true")
    *deltas, done = events_of(response.text)
    assert done["type"] == "transcript.text.done"
    assert done["text"].startswith("part 0 part 1 part 2")
    assert "".join(event["delta"] for event in deltas) == done["text"]
    assert len(deltas) == 2 * len(decoder.calls)
    assert done["languages"] == []


async def test_first_piece_is_sent_before_its_window_is_complete(gateway: Gateway, decoder: Decoder) -> None:
    decoder.gates[0] = asyncio.Event()
    async with gateway.http.stream(
        "POST",
        "/v1/audio/transcriptions",
        data={"model": "whisper-base", "stream": "true"},
        files={"file": ("long.flac", LONG)},
    ) as response:
        lines = response.aiter_lines()
        while not (line := await anext(lines)).startswith("data: {"):
            pass
        assert json.loads(line[6:])["delta"] == "part"
        decoder.gates[0].set()
        rest = [json.loads(line[6:]) async for line in lines if line.startswith("data: {")]
    assert rest[0]["delta"] == " 0"
    assert rest[-1]["text"].startswith("part 0 part 1")


@pytest.mark.parametrize(
    "fields", [{}, {"stream": "true", "include[]": ["logprobs"]}, {"response_format": "text"}], ids=str
)
async def test_no_partial_text_is_asked_for_where_none_is_sent_on(
    gateway: Gateway, decoder: Decoder, fields: dict
) -> None:
    response = await post(gateway, **fields)
    assert response.status_code == 200
    assert "x-tritone-ignored" not in response.headers
    assert [call.parameters.get("partial_text") for call in decoder.calls] == [None]


async def test_no_task_is_left_of_a_stream_that_is_cancelled() -> None:
    async def no_windows() -> AsyncGenerator[WindowTranscript]:
        await asyncio.Event().wait()
        yield WindowTranscript(0.0, 1.0, "en", ())

    before = asyncio.all_tasks()
    reading = asyncio.ensure_future(anext(PartialTexts().beside(no_windows())))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
