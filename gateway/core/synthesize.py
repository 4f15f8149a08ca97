"""The use case `synthesize`: text in, an encoded audio stream out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples
from gateway.audio.renderer import Renderer
from gateway.core.errors import DeadlineExceeded
from gateway.core.first_audio import FirstAudio
from gateway.core.references import Reference, clone, reference_of
from gateway.core.services import Services
from gateway.core.speech_options import (
    ResolvedOptions,
    SynthesisRequest,
    description_of,
    expected_seconds,
    tells_word_times,
)
from gateway.core.telemetry import WorkTelemetry
from gateway.core.tracing import SpeechTrace
from gateway.core.voices.speaking import choose_voice, stored_reference
from gateway.core.wire import Tensors
from gateway.core.workers import run_in
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.options import Value
from tritone.spoken_words import words_of
from tritone.transcript import Word

__all__ = ["SpeechStream", "SynthesisRequest", "synthesize"]

_HEAD_SECONDS: Final = 0.2
"""A page of Opus, and several frames of the other codecs. The listener would wait for all of a second of mp3: 8 ms."""


@dataclass
class Recording:
    """The samples of a speech as its model made them, before the gateway changed their tempo and rate."""

    tempo: float
    """The factor by which the gateway makes them faster."""
    rate: int = SPEECH_RATE
    blocks: list[Samples] = field(default_factory=list)

    def add(self, samples: Samples, rate: int) -> None:
        """Keep the next samples."""
        self.blocks.append(samples)
        self.rate = rate


class SpeechStream:
    """The speech of one text: `encoded` yields the bytes; the summary is complete after the last of them."""

    def __init__(
        self,
        model: str,
        responses: AsyncGenerator[Tensors],
        audio_format: AudioFormat,
        resolved: ResolvedOptions,
        telemetry: WorkTelemetry,
        *,
        whole: bool,
        sample_rate: int | None,
        volume: float,
        encoding: Executor,
        first_audio: FirstAudio | None,
        on_audio: Callable[[], object],
        records: bool = False,
    ) -> None:
        """`encoding`: the threads that encode; `first_audio`: None for speech that continues other speech.

        `on_audio` is called once, when the model has begun to answer. `records`: keep the model's own samples.
        """
        self.model = model
        """The id of the model."""
        self.audio_format = audio_format
        self.whole = whole
        self.sample_rate = sample_rate or SPEECH_RATE
        """The rate of `pcm`, in Hz."""
        self._sample_rate = sample_rate
        self._volume = volume
        self.ignored = resolved.ignored
        """The options of the request that have no effect with this model."""
        self.finish_reason = ""
        """`stop`: complete; `length`, `runaway`: cut."""
        self.text_tokens = 0
        self.audio_frames = 0
        self.engine_seconds = 0.0
        """From the request's arrival in the model to its last audio."""
        self.audio_seconds = 0.0
        self._responses = responses
        self._tempo = resolved.tempo
        self._words: list[Word] = []
        self.recording = Recording(resolved.tempo) if records else None
        """Of a model that does not report the times of words, if the request asks for them."""
        self._telemetry = telemetry
        self._encoding = encoding
        self._first_audio = first_audio
        self._on_audio = on_audio
        self._trace = SpeechTrace(model)

    async def encoded(self) -> AsyncGenerator[bytes]:
        """Yield the audio file in pieces, none of them empty. Closing it cancels the work in Triton."""
        renderer: Renderer | None = None
        with self._trace:
            async with aclosing(self._responses) as responses:
                async for tensors in responses:
                    rate = int(tensors["sample_rate"].item())
                    renderer = renderer or self._begun(rate)
                    self._words += [word.scaled(1 / self._tempo).shifted(renderer.delay) for word in words_of(tensors)]
                    samples = tensors["audio"].reshape(-1)
                    if self._first_audio:
                        self._first_audio.receive(samples, rate)
                    if self.recording:
                        self.recording.add(samples, rate)
                    for part in self._parts(renderer, samples, rate):
                        if piece := await self._run(renderer, renderer.write, part):
                            self._note_sent()
                            yield piece
                    if "finish_reason" in tensors:
                        self._summarize(tensors)
            if renderer is not None and (piece := await self._run(renderer, renderer.finish)):
                self._note_sent()
                yield piece

    def _begun(self, rate: int) -> Renderer:
        """Note that the model has begun to answer, with audio at `rate` Hz; return its renderer."""
        self._on_audio()
        self._trace.first_audio()
        return Renderer(
            self.audio_format,
            rate,
            self._tempo,
            whole=self.whole,
            sample_rate=self._sample_rate,
            volume=self._volume,
        )

    def _parts(self, renderer: Renderer, samples: Samples, rate: int) -> list[Samples]:
        """Divide the first samples of a stream whose encoding takes time, so that its first bytes are there early."""
        is_first = renderer.costly and not self.whole and not renderer.seconds
        head = round(_HEAD_SECONDS * rate) if is_first else 0
        return [part for part in (samples[:head], samples[head:]) if part.size]

    def take_words(self) -> list[Word]:
        """Return the words whose times have become known since the last call, in seconds of the whole file's audio."""
        taken, self._words = self._words, []
        return taken

    def _note_sent(self) -> None:
        if self._first_audio and not self.whole:
            self._first_audio.send()

    async def _run(self, renderer: Renderer, work: Callable[..., bytes], *args: Samples) -> bytes:
        """Encode without blocking the event loop: a second of mp3 takes milliseconds."""
        with self._trace.encoding():
            encoded = await run_in(self._encoding, work, *args) if renderer.costly else work(*args)
        self.audio_seconds = self._telemetry.audio_seconds = renderer.seconds
        return encoded

    def _summarize(self, tensors: Tensors) -> None:
        ends = {"queue": "queue_seconds", "first audio": "first_audio_seconds", "generate": "total_seconds"}
        self._trace.add_phases({phase: float(tensors[name].item()) for phase, name in ends.items() if name in tensors})
        self.finish_reason = tensors["finish_reason"].item().decode()
        self.engine_seconds = float(tensors["total_seconds"].item())
        self.text_tokens = int(tensors["text_tokens"].item())
        self.audio_frames = int(tensors["audio_frames"].item())


async def synthesize(services: Services, request: SynthesisRequest, telemetry: WorkTelemetry) -> SpeechStream:
    """Prepare the speech of a text; the model is called when its audio is read.

    Raises `ModelNotFound`, `ModelUnavailable`, `VoiceNotFound`, `VoicesUnavailable`, and `InvalidInput` for a request
    that this model cannot serve; reading raises any `ServiceError`, and `InvalidInput`.
    """
    settings = services.settings
    if not request.text.strip():
        raise InvalidInput("text", "there is nothing to synthesize")
    audio_format = request.file_format(settings.default_response_format)
    if len(request.text) > settings.max_input_chars:
        raise InvalidInput("text", f"{len(request.text)} characters; at most {settings.max_input_chars} are allowed")
    chosen = await choose_voice(services, replace(request, owner=request.owner or telemetry.owner))
    request, model = chosen.request, chosen.model
    telemetry.model = model.id
    first_audio = None if telemetry.continues else FirstAudio(model.id)
    resolved = ResolvedOptions.of(request, model)
    inputs: Tensors = {"text": np.array([request.text.encode()], dtype=np.object_)}
    parameters = resolved.options.to_parameters()

    def send(more: Tensors, named: Mapping[str, Value], seconds: float) -> AsyncGenerator[Tensors]:
        return services.triton.stream(
            model.id, {**inputs, **more}, {**parameters, **named}, request_id=telemetry.request_id, timeout=seconds
        )

    if chosen.voice is not None:
        reference: Reference | None = stored_reference(services, request.owner, chosen.voice, resolved.options)
    elif request.ref_audio is not None:
        reference = await reference_of(services, request.ref_audio, resolved.options)
    else:
        reference = None
    if reference is None:
        responses = send({}, {}, settings.request_timeout)
    else:
        for name in reference.options:
            del parameters[name]
        by_key = "voice_key" in description_of(model).options
        responses = clone(services.known_voices, send, reference, settings.request_timeout, by_key=by_key)
    telemetry.expected_seconds = expected_seconds(request.text) / request.speed
    return SpeechStream(
        model.id,
        _admitted(services, responses, telemetry, model.id),
        audio_format,
        resolved,
        telemetry,
        whole=request.whole,
        sample_rate=request.sample_rate,
        volume=request.volume,
        encoding=services.workers.encoding,
        first_audio=first_audio,
        records=request.word_times and not tells_word_times(model),
        on_audio=partial(
            services.usage.add, "speech", telemetry, len(request.text), requests=0 if telemetry.continues else 1
        ),
    )


async def _admitted(
    services: Services, responses: AsyncGenerator[Tensors], telemetry: WorkTelemetry, model: str
) -> AsyncGenerator[Tensors]:
    """Yield `responses` if the model can give them in time; the first must arrive within FIRST_AUDIO_TIMEOUT.

    Raises `ModelUnavailable`, `TooManyRequests` and `DeadlineExceeded`.
    """
    seconds = services.settings.first_audio_timeout
    async with aclosing(responses):
        with ExitStack() as held:
            try:
                async with services.timing.timeout(seconds):
                    await services.triton.wake(model, seconds)
                    admission = services.admission.admit(model, telemetry.caller, telemetry.expected_seconds)
                    work = held.enter_context(await admission)
                    tensors: Tensors | None = await anext(responses)
            except TimeoutError:
                raise DeadlineExceeded(f"model {model!r} gave no audio within {seconds:g} s") from None
            while tensors is not None:
                work.progress(tensors["audio"].size / int(tensors["sample_rate"].item()))
                with work.paused():
                    yield tensors
                tensors = await anext(responses, None)
