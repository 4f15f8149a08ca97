"""A fake transcription model behind the fake Triton."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.fake_triton import TRANSCRIPTION, Call, FakeTriton, Tensors
from tests.unit.gateway.loudness import LoudnessDetectors
from tests.unit.gateway.recordings import part_of
from tritone.descriptions import TranscriptionDescription
from tritone.transcript import Segment, Transcript, Word


def segment(text: str, start: float = 0.5, end: float = 2.0) -> Segment:
    """Return a segment as a model might transcribe it."""
    words = tuple(Word(start + i, start + i + 0.5, f" {word}", 0.9) for i, word in enumerate(text.split()))
    return Segment(start, end, text, (1, 2, 3), 0.0, -0.25, 1.5, 0.01, words)


@dataclass
class FakeWhisper:
    """Transcribes the N-th of `recordings.parts` as ` part N`, or as in `script`, once its gate is open."""

    script: dict[int, Transcript] = field(default_factory=dict)
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
    description: TranscriptionDescription = TRANSCRIPTION
    most_at_once: int = 0
    arrived: defaultdict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        part = part_of(call.inputs["audio"])
        self.calls[part] = call
        self.most_at_once = max(self.most_at_once, len(self.calls) - len(self.finished))
        self.arrived[part].set()
        if part in self.gates:
            await self.gates[part].wait()
        self.finished.append(part)
        if part in self.failures:
            raise self.failures[part]
        language = call.parameters.get("language", "de")
        transcript = self.script.get(part, Transcript(language, 0.9, (segment(f" part {part}"),)))
        yield transcript.to_columns()

    @asynccontextmanager
    async def holding(self, *parts: int) -> AsyncIterator[None]:
        """Do not answer `parts` within the block."""
        self.gates |= {part: asyncio.Event() for part in parts}
        yield
        for part in parts:
            self.gates[part].set()


@pytest.fixture
def whisper() -> FakeWhisper:
    return FakeWhisper()


@pytest.fixture
async def triton(triton: FakeTriton, whisper: FakeWhisper) -> FakeTriton:
    triton.handlers["whisper-base"] = whisper
    return triton


@pytest.fixture
def quiet(detectors: LoudnessDetectors) -> Iterator[None]:
    """The detector is hardly sure of any speech."""
    detectors.gain = 0.05
    yield
    detectors.gain = 1.0
