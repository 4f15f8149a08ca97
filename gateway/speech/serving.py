"""From a speech request to the encoded audio: the call to Triton and the encoding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np
from fastapi import Request

from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples
from gateway.audio.renderer import Renderer
from gateway.errors import GatewayTimeout
from gateway.requests import record
from gateway.settings import Settings
from gateway.speech.asking import Asked, check_mode
from gateway.speech.protocol import SpeechRequest, Usage
from gateway.speech.sources import reference
from gateway.telemetry import Record
from gateway.triton import Tensors, Triton
from tritone.catalogue import Model


class Utterance:
    """One text while it is spoken: `encoded` gives the bytes; how it ended is known after the last of them."""

    def __init__(
        self, answers: AsyncGenerator[Tensors], audio_format: AudioFormat, asked: Asked, record: Record, *, whole: bool
    ) -> None:
        self.usage = Usage()
        self.finish_reason = ""
        self.engine_seconds = 0.0
        """From the request's arrival in the model to its last audio."""
        self.audio_seconds = 0.0
        self.audio_format = audio_format
        self.whole = whole
        self.ignored = asked.ignored
        self._answers = answers
        self._tempo = asked.tempo
        self._record = record

    async def encoded(self) -> AsyncGenerator[bytes]:
        """The audio file, piece by piece, none of them empty. Closing it cancels the work in Triton."""
        renderer: Renderer | None = None
        async with aclosing(self._answers) as answers:
            async for tensors in answers:
                if renderer is None:
                    rate = int(tensors["sample_rate"].item())
                    renderer = Renderer(self.audio_format, rate, self._tempo, whole=self.whole)
                if piece := await self._run(renderer, renderer.write, tensors["audio"].reshape(-1)):
                    yield piece
                if "finish_reason" in tensors:
                    self._end(tensors)
        if renderer is not None and (piece := await self._run(renderer, renderer.finish)):
            yield piece

    async def _run(self, renderer: Renderer, work: Callable[..., bytes], *args: Samples) -> bytes:
        """Encode without holding up the event loop: a second of mp3 takes milliseconds."""
        encoded = await asyncio.to_thread(work, *args) if renderer.costly else work(*args)
        self.audio_seconds = self._record.audio_seconds = renderer.seconds
        return encoded

    def _end(self, tensors: Tensors) -> None:
        self.finish_reason = tensors["finish_reason"].item().decode()
        self.engine_seconds = float(tensors["total_seconds"].item())
        read, spoken = (int(tensors[name].item()) for name in ("text_tokens", "audio_frames"))
        self.usage = Usage(input_tokens=read, output_tokens=spoken, total_tokens=read + spoken)


async def speak(request: Request, model: Model, body: SpeechRequest) -> Utterance:
    """Prepare an utterance of `model`; Triton is asked to speak when its audio is read.

    Raises `BadRequest` for what this model cannot speak.
    """
    state, told = request.app.state, record(request)
    settings: Settings = state.settings
    triton: Triton = state.triton
    check_mode(body, model, state.models)
    asked = Asked.of(body, model, await triton.describe(model.id))
    inputs: Tensors = {"text": np.array([body.input.encode()], dtype=np.object_)}
    if body.ref_audio is not None:
        inputs["ref_audio"] = await reference(body.ref_audio, settings)
    answers = triton.stream(
        model.id,
        inputs,
        asked.options.to_parameters(),
        request_id=told.request_id,
        timeout=settings.request_timeout,
    )
    return Utterance(
        _soon(answers, settings.first_audio_timeout, model.id),
        body.response_format or settings.default_response_format,
        asked,
        told,
        whole=body.stream is False,
    )


async def _soon(answers: AsyncGenerator[Tensors], seconds: float, model: str) -> AsyncGenerator[Tensors]:
    """`answers`, of which the first must come within `seconds`. Raises `GatewayTimeout`."""
    async with aclosing(answers):
        try:
            async with asyncio.timeout(seconds):
                first = await anext(answers)
        except TimeoutError:
            raise GatewayTimeout(f"model {model!r} gave no audio within {seconds:g} s") from None
        yield first
        async for tensors in answers:
            yield tensors
