"""The engine and its threads: one prepares requests, one steps, one decodes audio, one sends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext

import torch

from adapters.inflight.audio_sink import AudioSink, ResponseSink
from adapters.inflight.cuda_streams import synchronize_stream, use_own_stream
from adapters.inflight.scheduler import Load, Scheduler
from adapters.inflight.sending import SendingThread
from adapters.inflight.stepping import SteppingThread
from adapters.triton.metrics import EngineCounts
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


class ZonosEngine:
    """Synthesizes many requests at once. They join and leave between columns, and do not affect each other."""

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
        self._slots = settings.limits.slots
        self._device = device
        self._clock = clock
        self._scheduler: Scheduler[Stream] = Scheduler(settings.limits, 1 / FRAMES_PER_SECOND, clock)
        self._audio = AudioThread(codec, device)
        self._loop = ColumnLoop(self._scheduler, stepper, self._audio, clock)
        self._sender = SendingThread(self._scheduler.wake, "zonos-sender")
        self._preparing = threading.Thread(target=self._prepare_all, name="zonos-preparing", daemon=True)
        self._preparing.start()
        self._stepping = SteppingThread(
            self._scheduler,
            self._loop,
            device,
            "zonos-stepping",
            end_stream=lambda stream, error: stream.sink.fail(error),
            before_exit=self._sender.close,
        )

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

    def counts(self) -> EngineCounts:
        """Return the slots and the counts of the batches."""
        return self._loop.counts()

    def load(self) -> Load:
        """Return the present load."""
        return self._scheduler.load()

    def close(self) -> None:
        """Stop after the current step. Open requests fail, new ones are rejected."""
        self._scheduler.close()
        self._preparing.join()
        self._stepping.join()
        self._audio.close()
        self._sender.close()

    def _prepare_all(self) -> None:
        """Prepare requests in the order in which they will get a slot, at most one for each slot ahead."""
        use_own_stream(self._device)
        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            while self._prepare_next():
                pass

    def _prepare_next(self) -> bool:
        """Prepare one request; return False once the engine closes. On its own, so that no variable keeps a stream."""
        stream = self._scheduler.wait_for_input(self._slots)
        if stream is None:
            return False
        try:
            with torch.inference_mode():
                prepared = self._inputs.prepare(stream.request)
            synchronize_stream(self._device)
            stream.text_tokens = prepared.phonemes
            stream.parts = deque(prepared.parts)
            self._scheduler.wake()
        except Exception as error:
            if self._scheduler.remove(stream):
                stream.sink.fail(error)
        return True
