"""A frame loop on a fake model, stepped by the test's own thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES, ChunkSchedule
from adapters.qwen3_tts.inflight.scheduling.loop import FrameLoop
from adapters.qwen3_tts.inflight.scheduling.runaway import RunawayDetector
from adapters.qwen3_tts.inflight.scheduling.scheduler import Scheduler
from adapters.qwen3_tts.inflight.scheduling.stream import Stream
from tests.unit.adapters.qwen3_tts.requests import request
from tests.unit.adapters.qwen3_tts.scheduling.fakes import PROMPT, FakeCodec, FakeInputProcessor, FakeStepper

LIMITS = Limits(slots=3, positions=80, queue=4, queue_seconds=5.0)


@dataclass
class Bench:
    """A frame loop on a fake model, and a clock that only the test advances."""

    limits: Limits = LIMITS
    chunk_schedule: ChunkSchedule = CHUNK_SCHEDULES["latency"]
    runaway_frames: int = 0
    codec: FakeCodec = field(default_factory=FakeCodec)
    pipeline_depth: int = 0
    copy_frame: Callable[[Tensor], AsyncCopy] = AsyncCopy
    """Copies the frames to the host."""
    prefill_tokens: int = 256
    now: float = 0.0

    def __post_init__(self) -> None:
        self.input_processor = FakeInputProcessor()
        self.stepper = FakeStepper(self.limits.slots, self.limits.positions, issued_ahead=self.pipeline_depth)
        self.scheduler = Scheduler(self.limits, lambda: self.now)
        self.loop = FrameLoop(
            self.scheduler,
            self.stepper,
            self.codec,
            self.chunk_schedule,
            prefill_tokens=self.prefill_tokens,
            pipeline_depth=self.pipeline_depth,
            clock=lambda: self.now,
            copy_to_host=self._copy,
        )

    def _copy(self, tensor: Tensor) -> AsyncCopy:
        return self.copy_frame(tensor)

    def join(
        self, key: int, frames: int, *, prompt: int = PROMPT, timeout: float = math.inf, **options: object
    ) -> AudioCollector:
        collector = AudioCollector()
        self.input_processor.prompts[key] = prompt
        checked = self.input_processor.check(request("w " * frames, seed=key, **options))
        stream = Stream(checked, collector, self.now, RunawayDetector(self.runaway_frames), deadline=self.now + timeout)
        self.scheduler.submit(stream)
        prepared = self.input_processor.prepare_if_cached(checked)
        assert prepared
        self.scheduler.mark_ready(stream, prepared)
        return collector

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.step()

    def run(self) -> None:
        """Step until no stream is open."""
        for _ in range(10_000):
            if not self.scheduler.open_streams():
                return
            self.loop.step()
        raise AssertionError("the streams do not end")

    def all_is_free(self) -> bool:
        load = self.scheduler.load()
        return (load.free_slots, load.reserved, len(self.stepper.made)) == (self.limits.slots, 0, 0)
