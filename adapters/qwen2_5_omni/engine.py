"""The engine and its threads: one prepares windows, one steps, one sends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch

from adapters.inflight.engine import PreparingEngine
from adapters.inflight.repetition import RepetitionDetector
from adapters.inflight.scheduler import Scheduler
from adapters.qwen2_5_omni.loop import TokenLoop
from adapters.qwen2_5_omni.prompt import PromptBuilder
from adapters.qwen2_5_omni.sampler import SamplingParams
from adapters.qwen2_5_omni.settings import EngineSettings
from adapters.qwen2_5_omni.stepper import TokenStepper
from adapters.qwen2_5_omni.stream import ResponseSink, Stream, TextSink
from adapters.qwen2_5_omni.text import TokenBytes
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcript_stream import TranscriptStream
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.languages import code_of
from tritone.transcript import Transcript

_USUAL_PACE = 0.05
"""Seconds per token, until a window has ended."""


class OmniEngine(PreparingEngine[Stream]):
    """Transcribes many windows at once. They join and leave between tokens, and do not affect each other."""

    def __init__(
        self,
        description: TranscriptionDescription,
        prompts: PromptBuilder,
        stepper: TokenStepper,
        settings: EngineSettings,
        *,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = description
        self._prompts = prompts
        self._settings = settings
        self._clock = clock
        self._seeds = random.SystemRandom()
        scheduler: Scheduler[Stream] = Scheduler(settings.limits, _USUAL_PACE, clock)
        loop = TokenLoop(
            scheduler,
            stepper,
            TokenBytes(prompts.tokenizer),
            prompts.ends,
            prefill_tokens=settings.prefill_tokens,
            clock=clock,
        )
        super().__init__(scheduler, loop, device, "omni")

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for a language that the model does not serve."""
        for name in [] if options.language == "auto" else options.language.split(","):
            if code_of(name) not in self.description.languages:
                known = ", ".join(self.description.languages)
                raise InvalidInput("language", f"{name!r} is not supported; choose auto, or from: {known}")

    def submit(self, window: WindowRequest, stream: TranscriptStream, *, timeout: float) -> None:
        """Enqueue a window; raises `Overloaded` when full."""
        sink = ResponseSink(stream, self._sender.enqueue)
        self.transcribe(window, sink, timeout=timeout)
        sink.open()

    def transcribe(self, window: WindowRequest, sink: TextSink, *, timeout: float) -> None:
        """Enqueue a window. Its text goes to `sink` within `timeout` seconds; raises `Overloaded` when full."""
        if not self._prompts.audio_tokens(len(window.audio)):  # too short for a word, and for the encoder
            sink.finish(Transcript("", 0.0, ()), seconds=window.seconds, reason="stop")
            return
        now, options, defaults = self._clock(), window.options, self._settings.defaults
        stream = Stream(
            window,
            SamplingParams(
                temperature=defaults.temperature if options.temperature is None else options.temperature,
                repetition_penalty=options.repetition_penalty or defaults.repetition_penalty,
                seed=self._seeds.getrandbits(62) if options.seed is None else options.seed,
                logprobs=options.logprobs,
            ),
            sink,
            arrived=now,
            deadline=now + timeout,
            max_tokens=options.max_new_tokens or defaults.max_new_tokens,
            repetition=RepetitionDetector(self._settings.repetition_tokens),
        )
        self._scheduler.enqueue(stream)

    def _prepare(self, stream: Stream) -> None:
        prompt = self._prompts.build(stream.window)
        room = self._settings.limits.positions - len(prompt.ids)
        if room < 1:
            raise InvalidInput(
                "audio",
                f"needs {len(prompt.ids)} positions with its prompt; a slot has {self._settings.limits.positions}",
            )
        stream.limit = min(stream.max_tokens, room)
        stream.prompt = prompt
