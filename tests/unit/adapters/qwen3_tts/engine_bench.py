"""An engine on a fake model, and its clients."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from tests.unit.adapters.qwen3_tts.requests import request
from tests.unit.adapters.qwen3_tts.scheduling.fakes import WAIT, FakeCodec, FakeInputProcessor, FakeStepper

LIMITS = Limits(slots=2, positions=100, queue=1, queue_seconds=WAIT)


class WatchedSender(pb_utils.ResponseSender):
    """Records the threads that use it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.breaks = False

    def send(self, response: pb_utils.InferenceResponse | None = None, flags: int = 0) -> None:
        self.threads.add(threading.current_thread().name)
        if self.breaks:
            self.breaks = False
            raise pb_utils.TritonError("the pipe is closed")
        super().send(response, flags)

    def is_cancelled(self) -> bool:
        self.threads.add(threading.current_thread().name)
        return super().is_cancelled()


@dataclass
class Model:
    """An engine on a fake model."""

    limits: Limits = LIMITS
    input_processor: FakeInputProcessor = field(default_factory=FakeInputProcessor)
    codec: FakeCodec = field(default_factory=FakeCodec)
    gated: bool = False
    clock_offset: float = 0.0
    """Seconds that the engine's clock is ahead."""
    is_usable: Callable[[torch.device], bool] = lambda device: True
    exit_process: Callable[[int], object] = os._exit

    def __post_init__(self) -> None:
        self.stepper = FakeStepper(self.limits.slots, gate=threading.Semaphore(0) if self.gated else None)
        self.engine = InflightEngine(
            self.input_processor, self.stepper, self.codec,
            limits=self.limits, chunk_schedule=CHUNK_SCHEDULES["latency"], runaway_frames=0, prefill_tokens=64,
            clock=lambda: time.monotonic() + self.clock_offset,
            is_usable=self.is_usable, exit_process=self.exit_process,
        )  # fmt: skip

    def submit(self, frames: int, key: int = 0, **options: object) -> WatchedSender:
        sender = WatchedSender()
        self.engine.submit(
            request("w " * frames, seed=key, **options), ResponseStream(sender, Metrics("qwen", "speech"))
        )
        return sender

    def release_steps(self) -> None:
        """Release all steps, present and future."""
        if self.stepper.gate:
            self.stepper.gate.release(10_000)

    def is_idle(self) -> bool:
        load = self.engine.stats().load
        return (load.active, load.waiting, load.reserved, load.free_slots) == (0, 0, 0, self.limits.slots)


def ended(*senders: WatchedSender) -> list[int | None]:
    """Wait for the end of each, and return the codes of their errors."""
    assert all(sender.ended.wait(WAIT) for sender in senders)
    assert all(sender.finals == 1 for sender in senders)
    errors = [sender.sent[-1].error() for sender in senders]
    return [error.code() if error else None for error in errors]


def tensors(sender: WatchedSender, name: str) -> list[np.ndarray]:
    return [tensor.as_numpy() for sent in sender.sent for tensor in sent.output_tensors() if tensor.name() == name]
