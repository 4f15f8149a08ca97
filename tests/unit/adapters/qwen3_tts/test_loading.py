"""Loading an engine on a GPU, without one."""

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
    """A stepper or a codec with two graphs, or one that cannot be captured."""

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
    """Counts the parts that it makes; each takes a gigabyte."""

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


def test_graphs_are_captured_for_every_chunk_size_and_progress_is_logged(lines: list[tuple[str, str]]) -> None:
    maker = Maker()
    stepper, codec = parts_on_gpu(maker, AUTO, MemoryLedger(maker.memory))
    assert (stepper.captured, codec.captured) == (["frames"], [AUTO.chunk_schedule.sizes])  # type: ignore[attr-defined]
    assert lines == [("info", f"preparing the GPU for {what}: 2 of 2 shapes") for what in ("frames", "audio")]


def test_failed_capture_is_logged_once_and_disables_graphs(lines: list[tuple[str, str]]) -> None:
    maker = Maker(breaks=True)
    parts_on_gpu(maker, AUTO, MemoryLedger(maker.memory))
    assert maker.made == [True, False]
    assert lines == [("warn", "CUDA graphs disabled, synthesis will be slower: CUDA error: out of memory")]


def test_kernels_are_compiled_at_load_without_graphs_too() -> None:
    maker = Maker()
    stepper, _ = parts_on_gpu(maker, OFF, MemoryLedger(maker.memory))
    assert maker.made == [False]
    assert stepper.captured  # type: ignore[attr-defined]


def test_memory_is_logged_by_use() -> None:
    maker = Maker()
    ledger = MemoryLedger(maker.memory)
    parts_on_gpu(maker, AUTO, ledger)
    assert str(ledger) == "8 streams of 100 positions 2.0 GB, graphs 0.0 GB; 78.0 GB of the GPU are free"
