"""The engine and its threads: one prepares requests, one steps, one decodes audio, one sends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import torch

from adapters.inflight.audio_sink import AudioSink, ResponseSink
from adapters.inflight.engine import PreparingEngine
from adapters.inflight.scheduler import Scheduler
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from adapters.zonos.audio import AudioThread
from adapters.zonos.codec import Codec
from adapters.zonos.loop import ColumnLoop
from adapters.zonos.request import InputProcessor
from adapters.zonos.settings import FRAMES_PER_SECOND, EngineSettings
from adapters.zonos.stepper import ColumnStepper
from adapters.zonos.stream import Stream
from tritone.contract import SpeechDescription


class ZonosEngine(PreparingEngine[Stream]):
    """Synthesizes many requests at once. They join and leave between columns, and do not affect each other."""

    _loop: ColumnLoop

    def __init__(
        self,
        description: SpeechDescription,
        inputs: InputProcessor,
        stepper: ColumnStepper,
        codec: Codec,
        settings: EngineSettings,
        *,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = description
        self._inputs = inputs
        self._clock = clock
        scheduler: Scheduler[Stream] = Scheduler(settings.limits, 1 / FRAMES_PER_SECOND, clock)
        self._audio = AudioThread(codec, device)
        super().__init__(scheduler, ColumnLoop(scheduler, stepper, self._audio, clock), device, "zonos")

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        """Enqueue a request; raises `InvalidInput` if this model cannot synthesize it, `Overloaded` when full."""
        sink = ResponseSink(stream, self._sender.enqueue)
        self.synthesize(request, sink)
        sink.open()

    def synthesize(self, request: SpeechRequest, sink: AudioSink) -> Stream:
        """Enqueue a request. Its audio goes to `sink` within its timeout; raises as `submit`. Returns its state."""
        self._inputs.check(request)
        now = self._clock()
        stream = Stream(request, sink, arrived=now, deadline=now + request.timeout)
        self._scheduler.enqueue(stream)
        return stream

    def _end_decoding(self) -> None:
        self._audio.close()

    def _prepare(self, stream: Stream) -> None:
        prepared = self._inputs.prepare(stream.request)
        stream.text_tokens = prepared.phonemes
        stream.parts = deque(prepared.parts)
