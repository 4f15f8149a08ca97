"""The in-flight engine: a thread that makes frames, one that sends audio, and two that prepare what comes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.inflight.codec import StreamingCodec
from adapters.qwen3_tts.inflight.cuda import complete, usable, work_apart
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.loop import FrameLoop
from adapters.qwen3_tts.inflight.preparation import Preparation
from adapters.qwen3_tts.inflight.profiles import Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits, Load, Scheduler
from adapters.qwen3_tts.inflight.sending import Sender
from adapters.qwen3_tts.inflight.stream import Prepared, Stream, Way
from adapters.qwen3_tts.utterance import Utterance
from adapters.triton.speech import Reply, SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import Overloaded

_CPU = torch.device("cpu")
_BEHIND = 1
"""Frames by which the host stays behind a GPU: it is told of the next one before it has ended this one."""


@dataclass(frozen=True)
class Stats:
    """What the engine does, and has done."""

    load: Load
    frames: int
    """Frames made, of all streams together."""
    batches: int
    """Batches in which they were made."""


class InflightEngine:
    """Speaks many requests at once; each joins and leaves between two frames of the others, and sounds as if alone."""

    def __init__(
        self,
        preparation: Preparation,
        stepper: FrameStepper,
        codec: StreamingCodec,
        *,
        limits: Limits,
        profile: Profile,
        guards: Guards,
        prefill_tokens: int,
        device: torch.device = _CPU,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`prefill_tokens` as in `FrameLoop`; `device` is where the model is."""
        self.description: SpeechDescription = preparation.description
        self._preparation = preparation
        self._guards = guards
        self._device = device
        self._clock = clock
        self._scheduler = Scheduler(limits, clock)
        self._loop = FrameLoop(
            self._scheduler,
            stepper,
            codec,
            profile,
            prefill_tokens=prefill_tokens,
            behind=_BEHIND if device.type == "cuda" else 0,
            clock=clock,
        )
        self._sender = Sender(self._scheduler.wake)
        self._preparing = ThreadPoolExecutor(1, "qwen3-tts-preparing", work_apart, (device,))
        self._encoding = ThreadPoolExecutor(1, "qwen3-tts-encoding", work_apart, (device,))
        self._stepping = threading.Thread(target=self._step, name="qwen3-tts-stepping", daemon=True)
        self._stepping.start()

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        """Take a request; raises `InvalidInput` for what this checkpoint cannot speak, `Overloaded` when full."""
        outlet = self._sender.outlet(reply)
        self.speak(self._preparation.utterance(request), outlet, timeout=request.timeout)
        outlet.open()

    def speak(self, utterance: Utterance, way: Way, *, timeout: float = math.inf) -> None:
        """Take an utterance, whose audio leaves by `way` within `timeout` seconds; raises `Overloaded` when full."""
        now = self._clock()
        stream = Stream(utterance, way, arrived=now, deadline=now + timeout, watch=self._guards.watch())
        self._scheduler.admit(stream)
        self._hand_over(self._preparing, self._prepare_soon, stream)

    def prove(self, request: SpeechRequest) -> None:
        """Speak a request to nobody; raises what the engine fails with, and `RuntimeError` if no audio comes of it."""
        recording = Recording()
        self.speak(self._preparation.utterance(request), recording)
        recording.wait()
        if not len(recording.samples()):
            raise RuntimeError("the checkpoint does not speak")

    def stats(self) -> Stats:
        """The present state."""
        return Stats(self._scheduler.load(), self._loop.frames, self._loop.batches)

    def close(self) -> None:
        """Take no more; what is open fails after the frame in work."""
        self._scheduler.close()
        for executor in (self._preparing, self._encoding):
            executor.shutdown(cancel_futures=True)
        self._stepping.join()
        self._sender.close()

    def _prepare_soon(self, stream: Stream) -> None:
        if not self._make_ready(stream, self._preparation.prepare_soon):
            self._hand_over(self._encoding, self._prepare, stream)

    def _prepare(self, stream: Stream) -> None:
        """The same for a voice that is new: it takes as long as many frames, and others do not wait for it."""
        self._make_ready(stream, self._preparation.prepare)

    def _make_ready(self, stream: Stream, prepare: Callable[[Utterance], Prepared | None]) -> bool:
        """Prepare a stream; False where `prepare` leaves that to another."""
        if stream.way.gone or stream.over:
            return True
        try:
            with torch.inference_mode():
                prepared = prepare(stream.utterance)
            if prepared is None:
                return False
            complete(self._device)
            self._scheduler.ready(stream, prepared)
        except Exception as error:
            if self._scheduler.remove(stream):
                stream.way.fail(error)
        return True

    def _hand_over(self, executor: ThreadPoolExecutor, work: Callable[[Stream], None], stream: Stream) -> None:
        with suppress(RuntimeError):  # it was shut down; the stream is ended with all others
            executor.submit(work, stream)

    def _step(self) -> None:
        work_apart(self._device, urgent=True)  # audio, prompts and voices can wait; all streams wait for frames
        faults = 0
        while self._scheduler.wait():
            try:
                with torch.inference_mode():
                    self._loop.turn()
            except Exception as error:  # not of one stream or batch, which the loop deals with itself
                self._end_all(error)
            if self._loop.faults > faults and not usable(self._device):
                return self._give_up()
            faults = self._loop.faults
        self._end_all(Overloaded("the model is shutting down; try again"))

    def _give_up(self) -> None:
        """End the process, as nothing less makes a GPU usable again; the supervisor then loads the model anew."""
        self._end_all(Overloaded("the GPU has failed, and the model is loaded again"))
        self._sender.close()
        pb_utils.Logger.log_error("the GPU does nothing for this process any more: it ends")
        os._exit(1)

    def _end_all(self, error: BaseException) -> None:
        for stream in self._scheduler.open():
            try:
                self._loop.fail(stream, error)
            except Exception as worse:
                stream.way.fail(worse)
