"""The in-flight engine and its threads: one steps, one sends, one prepares requests, one encodes new voices."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.audio_sink import AudioSink, ResponseSink
from adapters.inflight.cuda_streams import is_usable, synchronize_stream, use_own_stream
from adapters.inflight.engine import StreamEngine
from adapters.inflight.scheduler import Limits, Load
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor, PreparedInput
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import ChunkSchedule
from adapters.qwen3_tts.inflight.scheduling.loop import FrameLoop
from adapters.qwen3_tts.inflight.scheduling.runaway import RunawayDetector
from adapters.qwen3_tts.inflight.scheduling.scheduler import Scheduler
from adapters.qwen3_tts.inflight.scheduling.stream import Stream
from adapters.qwen3_tts.request import QwenRequest
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription

_CPU = torch.device("cpu")
_PIPELINE_DEPTH = 1
"""Frames by which the host stays behind a GPU: it issues the next frame before the current one has ended."""


@dataclass(frozen=True)
class Stats:
    """The present load, and totals since the start."""

    load: Load
    frames: int
    """Frames of all streams."""
    batches: int
    """Batches of frames."""


class InflightEngine(StreamEngine[Stream]):
    """Synthesizes many requests at once. Streams join and leave between frames, and do not affect each other."""

    _scheduler: Scheduler
    _loop: FrameLoop

    def __init__(
        self,
        input_processor: InputProcessor,
        stepper: FrameStepper,
        codec: StreamingCodec,
        *,
        limits: Limits,
        chunk_schedule: ChunkSchedule,
        runaway_frames: int,
        prefill_tokens: int,
        device: torch.device = _CPU,
        clock: Callable[[], float] = time.monotonic,
        is_usable: Callable[[torch.device], bool] = is_usable,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        """`runaway_frames` as in `RunawayDetector`, `prefill_tokens` as in `FrameLoop`; `device`: that of the model."""
        self.description: SpeechDescription = input_processor.description
        self._input_processor = input_processor
        self._runaway_frames = runaway_frames
        self._clock = clock
        scheduler = Scheduler(limits, clock)
        loop = FrameLoop(
            scheduler,
            stepper,
            codec,
            chunk_schedule,
            prefill_tokens=prefill_tokens,
            pipeline_depth=_PIPELINE_DEPTH if device.type == "cuda" else 0,
            clock=clock,
        )
        self._preparing = ThreadPoolExecutor(1, "qwen3-tts-preparing", use_own_stream, (device,))
        self._encoding = ThreadPoolExecutor(1, "qwen3-tts-encoding", use_own_stream, (device,))
        super().__init__(scheduler, loop, device, "qwen3-tts", is_usable=is_usable, exit_process=exit_process)

    def submit(self, request: SpeechRequest, reply: ResponseStream) -> None:
        """Enqueue a request; raises `InvalidInput` if this checkpoint cannot synthesize it, `Overloaded` when full."""
        sink = ResponseSink(reply, self._sender.enqueue)
        self.synthesize(self._input_processor.check(request), sink, timeout=request.timeout)
        sink.open()

    def synthesize(self, request: QwenRequest, sink: AudioSink, *, timeout: float = math.inf) -> None:
        """Enqueue a request. Its audio goes to `sink` within `timeout` seconds; raises `Overloaded` when full."""
        now = self._clock()
        stream = Stream(request, sink, now, RunawayDetector(self._runaway_frames), deadline=now + timeout)
        self._scheduler.submit(stream)
        self._hand_over(self._preparing, self._prepare_if_cached, stream)

    def self_test(self, request: SpeechRequest) -> None:
        """Synthesize a request; raises the engine's error, or `RuntimeError` if the result is no audio."""
        collector = AudioCollector()
        self.synthesize(self._input_processor.check(request), collector)
        collector.check_self_test()

    def stats(self) -> Stats:
        """Return the present load and the totals."""
        return Stats(self.load(), self._loop.frames, self._loop.batches)

    def _end_preparing(self) -> None:
        for executor in (self._preparing, self._encoding):
            executor.shutdown(cancel_futures=True)

    def _prepare_if_cached(self, stream: Stream) -> None:
        if not self._make_ready(stream, self._input_processor.prepare_if_cached):
            self._hand_over(self._encoding, self._prepare, stream)

    def _prepare(self, stream: Stream) -> None:
        """Prepare a stream with a new voice. Encoding takes as long as many frames, so it has its own thread."""
        self._make_ready(stream, self._input_processor.prepare)

    def _make_ready(self, stream: Stream, prepare: Callable[[QwenRequest], PreparedInput | None]) -> bool:
        """Prepare a stream. Return False if `prepare` returns None: another thread must then prepare it."""
        if stream.sink.closed or stream.over:
            return True
        try:
            with torch.inference_mode():
                prepared = prepare(stream.request)
            if prepared is None:
                return False
            synchronize_stream(self._device)
            self._scheduler.mark_ready(stream, prepared)
        except Exception as error:
            self._scheduler.mark_failed(stream, error)
        return True

    def _hand_over(self, executor: ThreadPoolExecutor, work: Callable[[Stream], None], stream: Stream) -> None:
        with suppress(RuntimeError):  # the executor was shut down; the stream is then ended with all others
            executor.submit(work, stream)
