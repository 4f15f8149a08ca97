"""From a speech request to the encoded audio: the voice, the speed, the call to Triton and the encoding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np

from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples
from gateway.audio.renderer import Renderer
from gateway.errors import BadRequest
from gateway.settings import Settings
from gateway.speech.protocol import SpeechRequest, Usage
from gateway.telemetry import Record
from gateway.triton import Tensors, Triton
from tritone.catalogue import Model
from tritone.contract import SpeechDescription, SpeechOptions


class Utterance:
    """One text while it is spoken: `encoded` gives the bytes; `usage` and `finish_reason` stand when it has ended."""

    def __init__(
        self, answers: AsyncGenerator[Tensors], audio_format: AudioFormat, tempo: float, record: Record
    ) -> None:
        self.usage = Usage()
        self.finish_reason = ""
        self._answers = answers
        self.audio_format = audio_format
        self._tempo = tempo
        self._record = record

    async def encoded(self) -> AsyncGenerator[bytes]:
        """The audio file, piece by piece, none of them empty. Closing it cancels the work in Triton."""
        renderer: Renderer | None = None
        async with aclosing(self._answers) as answers:
            async for tensors in answers:
                if renderer is None:
                    renderer = Renderer(self.audio_format, int(tensors["sample_rate"].item()), self._tempo)
                if piece := await self._run(renderer, renderer.write, tensors["audio"].reshape(-1)):
                    yield piece
                if "finish_reason" in tensors:
                    self._end(tensors)
        if renderer is not None and (piece := await self._run(renderer, renderer.finish)):
            yield piece

    async def _run(self, renderer: Renderer, work: Callable[..., bytes], *args: Samples) -> bytes:
        """Encode without holding up the event loop: a second of mp3 takes milliseconds."""
        encoded = await asyncio.to_thread(work, *args) if renderer.costly else work(*args)
        self._record.audio_seconds = renderer.seconds
        return encoded

    def _end(self, tensors: Tensors) -> None:
        self.finish_reason = tensors["finish_reason"].item().decode()
        read, spoken = (int(tensors[name].item()) for name in ("text_tokens", "audio_frames"))
        self.usage = Usage(input_tokens=read, output_tokens=spoken, total_tokens=read + spoken)


async def speak(triton: Triton, model: Model, body: SpeechRequest, settings: Settings, record: Record) -> Utterance:
    """Prepare an utterance of `model`; Triton is asked to speak when its audio is read.

    Raises `BadRequest` for a voice that the model does not have.
    """
    speed, tempo, voice = body.speed, 1.0, body.voice_name
    if voice or speed != 1.0:
        description = await triton.describe(model.id)
        voice = _voice(voice, model, description)
        low, high = description.speed_range
        speed = min(max(body.speed, low), high)
        tempo = body.speed / speed
    options = SpeechOptions(voice=voice, language=body.language or "auto", speed=speed)
    answers = triton.stream(
        model.id,
        {"text": np.array([body.input.encode()], dtype=np.object_)},
        options.to_parameters(),
        request_id=record.request_id,
        timeout=settings.request_timeout,
    )
    return Utterance(answers, body.response_format or settings.default_response_format, tempo, record)


def _voice(name: str, model: Model, description: SpeechDescription) -> str:
    """The model's own id of the voice that a client calls `name`."""
    own = {voice.id.lower(): voice.id for voice in description.voices}
    asked = name.strip().lower()
    found = own.get(asked) or model.voices.get(asked, "")
    if asked and not found:
        there_are = ", ".join([*own.values(), *model.voices])
        raise BadRequest(f"voice: {model.id} has no voice {name!r}; there are: {there_are}", param="voice")
    return found
