"""A fake Whisper behind the fake Triton, and a detector that takes loud for speech."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.recordings import part_of
from tritone import vad
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Samples


def segment(text: str, start: float = 0.5, end: float = 2.0) -> Segment:
    """What a model might say of a window."""
    words = tuple(Word(start + i, start + i + 0.5, f" {word}", 0.9) for i, word in enumerate(text.split()))
    return Segment(start, end, text, (1, 2, 3), 0.0, -0.25, 1.5, 0.01, words)


@dataclass
class FakeWhisper:
    """Hears ` part N` in the N-th of `recordings.parts`, or what `script` says of it, once its gate is open."""

    script: dict[int, Transcript] = field(default_factory=dict)
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
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
        heard = self.script.get(part, Transcript(language, 0.9, (segment(f" part {part}"),)))
        yield heard.to_columns()

    @asynccontextmanager
    async def holding(self, *parts: int) -> AsyncIterator[None]:
        """Do not answer `parts` for as long."""
        self.gates |= {part: asyncio.Event() for part in parts}
        yield
        for part in parts:
            self.gates[part].set()


@pytest.fixture
def whisper() -> FakeWhisper:
    return FakeWhisper()


@pytest.fixture
def triton(triton: FakeTriton, whisper: FakeWhisper) -> FakeTriton:
    triton.handlers["whisper-base"] = whisper
    return triton


def loudness(frames: Samples) -> NDArray[np.float32]:
    """A detector that needs no weights."""
    return (np.abs(frames).max(axis=1) > 0.05).astype(np.float32)


@pytest.fixture(autouse=True)
def detect_by_loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "Vad", lambda session: loudness)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, detect_by_loudness: None) -> None:
    """The detector is hardly sure of anything."""
    monkeypatch.setattr(vad, "Vad", lambda session: lambda frames: loudness(frames) * np.float32(0.05))
