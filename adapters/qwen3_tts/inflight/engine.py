"""The in-flight engine: a thread that makes frames, one that sends audio, and one that prepares what comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.loop import FrameLoop
from adapters.qwen3_tts.inflight.preparation import Preparation
from adapters.qwen3_tts.inflight.profiles import Profile
from adapters.qwen3_tts.inflight.recording import Recording
from adapters.qwen3_tts.inflight.scheduler import Limits, Load, Scheduler
from adapters.qwen3_tts.inflight.sending import Sender
from adapters.qwen3_tts.inflight.settings import Settings
from adapters.qwen3_tts.inflight.stream import Stream, Way
from adapters.qwen3_tts.inflight.voices import VoiceCache, VoiceEncoder
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.utterance import Utterance
from adapters.triton.speech import Reply, SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import Overloaded


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description: SpeechDescription = preparation.description
        self._preparation = preparation
        self._guards = guards
        self._clock = clock
        self._scheduler = Scheduler(limits, clock)
        self._loop = FrameLoop(self._scheduler, stepper, codec, profile, clock)
        self._sender = Sender(self._scheduler.wake)
        self._preparing = ThreadPoolExecutor(1, "qwen3-tts-preparing")  # a new voice takes longer than many frames
        self._stepping = threading.Thread(target=self._step, name="qwen3-tts-stepping", daemon=True)
        self._stepping.start()

    @classmethod
    def load(cls, checkpoint: Checkpoint, runtime: Runtime, settings: Settings, **defaults: str) -> InflightEngine:
        """The engine of a checkpoint; `defaults` are those of `Preparation`. Raises what is wrong with its files."""
        weights = Weights.load(checkpoint.folder, runtime.device, getattr(torch, runtime.dtype))
        decoder = CodecDecoder(weights.speech_tokenizer.decoder)
        voices = None
        if checkpoint.mode == "voice_clone":
            voices = VoiceCache(VoiceEncoder(weights, decoder), max_bytes=settings.voice_cache_bytes)
        limits = settings.limits
        return cls(
            Preparation(checkpoint, weights, voices, **defaults),
            FrameStepper(weights, slots=limits.slots, positions=limits.positions),
            StreamingCodec(decoder, slots=limits.slots),
            limits=limits,
            profile=settings.profile,
            guards=settings.guards,
        )

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        """Take a request; raises `InvalidInput` for what this checkpoint cannot speak, `Overloaded` when full."""
        outlet = self._sender.outlet(reply)
        self.speak(self._preparation.utterance(request), outlet)
        outlet.open()

    def speak(self, utterance: Utterance, way: Way) -> None:
        """Take an utterance, whose audio leaves by `way`; raises `Overloaded` when full."""
        stream = Stream(utterance, way, arrived=self._clock(), watch=self._guards.watch())
        self._scheduler.admit(stream)
        try:
            self._preparing.submit(self._prepare, stream)
        except RuntimeError:  # closed since; the stream is ended with the others
            return

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
        self._preparing.shutdown(cancel_futures=True)
        self._stepping.join()
        self._sender.close()

    def _prepare(self, stream: Stream) -> None:
        if stream.way.gone:
            return
        try:
            with torch.inference_mode():
                prepared = self._preparation.prepare(stream.utterance)
            self._scheduler.ready(stream, prepared)
        except Exception as error:
            if self._scheduler.remove(stream):
                stream.way.fail(error)

    def _step(self) -> None:
        while self._scheduler.wait():
            try:
                with torch.inference_mode():
                    self._loop.turn()
            except Exception as error:  # not of one stream or batch, which the loop deals with itself
                self._end_all(error)
        self._end_all(Overloaded("the model is shutting down; try again"))

    def _end_all(self, error: BaseException) -> None:
        for stream in self._scheduler.open():
            try:
                self._loop.fail(stream, error)
            except Exception as worse:
                stream.way.fail(worse)
