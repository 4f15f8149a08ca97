"""How an engine is loaded on a GPU, without one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.inflight.loading import MemoryLedger, Parts, parts_on_gpu
from adapters.qwen3_tts.inflight.settings import EngineSettings

AUTO = EngineSettings.read("cuda:0", {"QWEN_SLOTS": "8", "QWEN_KV_POSITIONS": "100"})
OFF = EngineSettings.read("cuda:0", {"QWEN_GRAPHS": "off"})


@dataclass
class Part:
    """A stepper or a codec that has two graphs, or cannot be captured."""

    breaks: bool = False
    captured: list[object] = field(default_factory=list)

    def capture(self, *arguments: object) -> None:
        *sizes, progress = arguments
        if self.breaks:
            try:
                raise RuntimeError("CUDA error: out of memory")
            except RuntimeError as error:
                raise RuntimeError("CUDA error: the capture has failed") from error
        for done in (1, 2):
            progress(done, 2)  # type: ignore[operator]
        self.captured += sizes or ["frames"]


@dataclass
class Maker:
    """Counts what it made, and how much memory is left: a part takes a gigabyte."""

    breaks: bool = False
    made: list[bool] = field(default_factory=list)

    def __call__(self, graphs: bool) -> Parts:
        self.made.append(graphs)
        return Parts(Part(self.breaks), Part(self.breaks))  # type: ignore[arg-type]

    def memory(self) -> tuple[int, int]:
        return (80 - 2 * len(self.made)) * 2**30, 80 * 2**30


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    monkeypatch.setattr(pb_utils.Logger, "lines", [])
    return pb_utils.Logger.lines


def test_graphs_are_captured_for_every_chunk_of_the_profile_and_progress_is_told(lines: list[tuple[str, str]]) -> None:
    maker = Maker()
    stepper, codec = parts_on_gpu(maker, AUTO, MemoryLedger(maker.memory))
    assert (stepper.captured, codec.captured) == (["frames"], [AUTO.chunk_schedule.sizes])  # type: ignore[attr-defined]
    assert lines == [("info", f"preparing the GPU for {what}: 2 of 2 shapes") for what in ("frames", "audio")]


def test_a_capture_that_fails_is_told_once_and_the_model_speaks_without(lines: list[tuple[str, str]]) -> None:
    maker = Maker(breaks=True)
    parts_on_gpu(maker, AUTO, MemoryLedger(maker.memory))
    assert maker.made == [True, False]
    assert lines == [("warn", "CUDA graphs disabled, synthesis will be slower: CUDA error: out of memory")]


def test_without_graphs_what_is_compiled_is_compiled_at_load_all_the_same() -> None:
    maker = Maker()
    stepper, _ = parts_on_gpu(maker, OFF, MemoryLedger(maker.memory))
    assert maker.made == [False]
    assert stepper.captured  # type: ignore[attr-defined]


def test_memory_is_told_by_what_took_it() -> None:
    maker = Maker()
    ledger = MemoryLedger(maker.memory)
    parts_on_gpu(maker, AUTO, ledger)
    assert str(ledger) == "8 streams of 100 positions 2.0 GB, graphs 0.0 GB; 78.0 GB of the GPU are free"
