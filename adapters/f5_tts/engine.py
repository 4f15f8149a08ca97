"""The engine and its threads: one prepares requests, one steps, one sends."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable

import torch

from adapters.f5_tts.checkpoint import Networks
from adapters.f5_tts.loop import FlowLoop
from adapters.f5_tts.settings import EngineSettings
from adapters.f5_tts.stepper import FlowStepper, SamplingParams
from adapters.f5_tts.stream import Stream
from adapters.f5_tts.text import LANGUAGES, TextReader, language_of
from adapters.f5_tts.voices import DEFAULT_VOICES, VoiceCache, VoiceCondition, default_voice
from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.audio_sink import AudioSink, ResponseSink
from adapters.inflight.engine import PreparingEngine
from adapters.inflight.scheduler import Scheduler
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription, SpeechOptions
from tritone.errors import InvalidInput

_USUAL_PACE = 0.1
"""Seconds per step, until a request has ended."""
_SPEEDS = 0.5, 2.0
_TEST_STEPS = 2


class F5Engine(PreparingEngine[Stream]):
    """Synthesizes many requests at once. They join and leave between steps, and do not affect each other."""

    def __init__(
        self,
        networks: Networks,
        settings: EngineSettings,
        *,
        options: tuple[str, ...],
        device: torch.device,
        dtype: torch.dtype,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = SpeechDescription(
            voices=DEFAULT_VOICES,
            languages=LANGUAGES,
            default_voice=DEFAULT_VOICES[0].id,
            speed_range=_SPEEDS,
            options=options,
        )
        self._settings = settings
        self._clock = clock
        self._reader = TextReader(networks.vocabulary, normalize=settings.normalize)
        self._voices = VoiceCache()  # for the preparing thread
        scheduler: Scheduler[Stream] = Scheduler(settings.limits, _USUAL_PACE, clock)
        stepper = FlowStepper(networks.transformer, device, dtype, batch_frames=settings.batch_frames)
        super().__init__(scheduler, FlowLoop(scheduler, stepper, networks.vocoder, clock), device, "f5-tts")

    def submit(self, request: SpeechRequest, reply: ResponseStream) -> None:
        """Enqueue a request; raises `Overloaded` when full."""
        sink = ResponseSink(reply, self._sender.enqueue)
        self.synthesize(request, sink, timeout=request.timeout)
        sink.open()

    def synthesize(self, request: SpeechRequest, sink: AudioSink, *, timeout: float = math.inf) -> None:
        """Enqueue a request. Its audio goes to `sink` within `timeout` seconds; raises `Overloaded` when full."""
        now, options = self._clock(), request.options
        params = SamplingParams(
            steps=options.nfe_step or self._settings.steps,
            guidance=self._settings.guidance if options.cfg_strength is None else options.cfg_strength,
            seed=secrets.randbits(62) if options.seed is None else options.seed,
        )
        self._scheduler.enqueue(Stream(request, params, sink, arrived=now, deadline=now + timeout))

    def self_test(self) -> None:
        """Synthesize a few words in few steps; raises the engine's error, or `RuntimeError` if they are no audio."""
        collector = AudioCollector()
        options = SpeechOptions(seed=0, nfe_step=_TEST_STEPS)
        request = SpeechRequest.read(b"The model is loaded.", options, self.description, max_chars=100)
        self.synthesize(request, collector)
        collector.check_self_test()

    def _prepare(self, stream: Stream) -> None:
        request = stream.request
        voice = self._voice(request)
        stream.parts.extend(
            self._reader.parts(request.text, voice.text, voice.frames, language=request.language, speed=request.speed)
        )
        stream.voice = voice

    def _voice(self, request: SpeechRequest) -> VoiceCondition:
        """Return the voice of a request: its own recording, or one of the package's in the text's language."""
        if request.reference is not None:
            return self._voices.get(request.reference)
        if request.options.ref_text.strip():
            raise InvalidInput("ref_text", "is the words of ref_audio, which is missing")
        language = language_of(request.text, request.language)
        own = next(voice.id for voice in DEFAULT_VOICES if voice.language == language)
        return default_voice(request.voice or own)
