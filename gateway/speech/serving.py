"""From a speech request to the encoded audio: the voice, the speed, the call to Triton and the encoding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import numpy as np

from gateway.audio.encoder import encoder
from gateway.audio.frames import Samples
from gateway.audio.tempo import Tempo
from gateway.errors import BadRequest
from gateway.settings import AudioFormat
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
        self._format = audio_format
        self._tempo = tempo
        self._record = record

    async def encoded(self) -> AsyncGenerator[bytes]:
        """The audio file, piece by piece, none of them empty. Closing it cancels the work in Triton."""
        renderer: _Renderer | None = None
        async with aclosing(self._answers) as answers:
            async for tensors in answers:
                if renderer is None:
                    renderer = _Renderer(self._format, int(tensors["sample_rate"].item()), self._tempo)
                if piece := await renderer.write(tensors["audio"].reshape(-1)):
                    yield piece
                self._record.audio_seconds = renderer.seconds
                if "finish_reason" in tensors:
                    self._end(tensors)
        if renderer is not None and (piece := await renderer.finish()):
            yield piece

    def _end(self, tensors: Tensors) -> None:
        self.finish_reason = tensors["finish_reason"].item().decode()
        read, spoken = (int(tensors[name].item()) for name in ("text_tokens", "audio_frames"))
        self.usage = Usage(input_tokens=read, output_tokens=spoken, total_tokens=read + spoken)


async def speak(
    triton: Triton, model: Model, body: SpeechRequest, audio_format: AudioFormat, record: Record, *, timeout: float
) -> Utterance:
    """Ask `model` to speak; nothing is sent to it before the utterance is read. `timeout` in seconds.

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
        timeout=timeout,
    )
    return Utterance(answers, audio_format, tempo, record)


def _voice(name: str, model: Model, description: SpeechDescription) -> str:
    """The model's own id of the voice that a client calls `name`."""
    own = {voice.id.lower(): voice.id for voice in description.voices}
    asked = name.strip().lower()
    found = own.get(asked) or model.voices.get(asked, "")
    if asked and not found:
        there_are = ", ".join([*own.values(), *model.voices])
        raise BadRequest(f"voice: {model.id} has no voice {name!r}; there are: {there_are}", param="voice")
    return found


class _Renderer:
    """Samples at the model's speed and rate into encoded audio at the client's."""

    def __init__(self, audio_format: AudioFormat, rate: int, tempo: float) -> None:
        self._encoder = encoder(audio_format, rate)
        self._tempo = Tempo(tempo, rate) if tempo != 1.0 else None
        self._rate = rate
        self._samples = 0

    @property
    def seconds(self) -> float:
        """What was rendered so far, in seconds of the client's time."""
        return self._samples / self._rate

    async def write(self, samples: Samples) -> bytes:
        return await self._off_loop(self._write, samples)

    async def finish(self) -> bytes:
        return await self._off_loop(self._finish)
