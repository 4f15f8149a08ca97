"""A loop on a fake model, on the thread of whoever turns it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.loop import FrameLoop
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits, Scheduler
from adapters.qwen3_tts.inflight.stream import Stream
from tests.unit.adapters.qwen3_tts.inflight_fakes import PROMPT, FakeCodec, FakePreparation, FakeStepper
from tests.unit.adapters.qwen3_tts.requests import request

LIMITS = Limits(slots=3, positions=80, queue=4, queue_seconds=5.0, batch=3)
UNGUARDED = Guards(0)


@dataclass
class Bench:
    """A loop on a fake model, and a clock that stands until a test moves it."""

    limits: Limits = LIMITS
    profile: Profile = PROFILES["latency"]
    guards: Guards = UNGUARDED
    codec: FakeCodec = field(default_factory=FakeCodec)
    behind: int = 0
    prefill_tokens: int = 256
    now: float = 0.0

    def __post_init__(self) -> None:
        self.preparation = FakePreparation()
        self.stepper = FakeStepper(self.limits.slots, self.limits.positions, issued_ahead=self.behind)
        self.scheduler = Scheduler(self.limits, lambda: self.now)
        self.loop = FrameLoop(
            self.scheduler,
            self.stepper,
            self.codec,
            self.profile,
            prefill_tokens=self.prefill_tokens,
            behind=self.behind,
            clock=lambda: self.now,
        )

    def join(
        self, key: int, frames: int, *, prompt: int = PROMPT, timeout: float = math.inf, **options: object
    ) -> Recording:
        recording = Recording()
        self.preparation.prompts[key] = prompt
        utterance = self.preparation.utterance(request("w " * frames, seed=key, **options))
        stream = Stream(utterance, recording, self.now, self.guards.watch(), deadline=self.now + timeout)
        self.scheduler.admit(stream)
        prepared = self.preparation.prepare_soon(utterance)
        assert prepared
        self.scheduler.ready(stream, prepared)
        return recording

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn()

    def run(self) -> None:
        """Turn until nothing is open."""
        for _ in range(10_000):
            if not self.scheduler.open():
                return
            self.loop.turn()
        raise AssertionError("it does not end")

    def all_is_free(self) -> bool:
        load = self.scheduler.load()
        return (load.free_slots, load.reserved, len(self.stepper.made)) == (self.limits.slots, 0, 0)
