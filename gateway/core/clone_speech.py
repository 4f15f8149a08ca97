"""The use case `speak_as`: speech in the voice of a recording, by a clone model, with what the client leaves out."""

from __future__ import annotations

import io
import wave
from dataclasses import replace
from typing import Final

import numpy as np

from gateway.audio.frames import Pcm
from gateway.audio.ref_audio_source import load_ref_audio
from gateway.core.errors import ModelNotFound
from gateway.core.services import Services
from gateway.core.speech_options import SynthesisRequest, description_of
from gateway.core.synthesize import SpeechStream, synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.words import words_of
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput

_FULL_SCALE: Final = 32767


async def speak_as(services: Services, request: SynthesisRequest, telemetry: WorkTelemetry) -> SpeechStream:
    """Prepare the speech of a text, as `synthesize` does, with defaults for voice clones.

    Without a model, the first of F5_MODELS that is served is used. Where the model needs the words of `ref_audio` and
    the request has none, a transcription model that is served writes them.

    Raises what `synthesize` raises, and `InvalidInput` for a recording without words.
    """
    served = services.triton.served
    names = [request.model] if request.model else services.settings.f5_models
    model = served.first(names, "speech")
    request = replace(request, model=model.id)
    telemetry.model = model.id
    if model.mode == "voice_clone" and _lacks_words(request) and "ref_text" in description_of(model).options:
        request = await _with_words(services, request, telemetry)
    return await synthesize(services, request, telemetry)


def _lacks_words(request: SynthesisRequest) -> bool:
    known = request.options.get("ref_text") or request.options.get("x_vector_only")
    return request.ref_audio is not None and not known


async def _with_words(services: Services, request: SynthesisRequest, telemetry: WorkTelemetry) -> SynthesisRequest:
    """Return `request` with its recording decoded, and with the words that are said in it."""
    samples = request.ref_audio
    if isinstance(samples, str):
        samples = await load_ref_audio(samples, services.settings, services.workers.voices)
    assert samples is not None
    words = await _transcript(services, samples, telemetry)
    return replace(request, ref_audio=samples, options={**request.options, "ref_text": words})


async def _transcript(services: Services, samples: Pcm, telemetry: WorkTelemetry) -> str:
    """Return the words of a recording. Raises `InvalidInput` if there are none, or no model to find them."""
    try:
        words, _ = await words_of(services, _wav(samples), telemetry)
    except ModelNotFound:
        raise InvalidInput(
            "ref_text", "it is missing: send the words of ref_audio, because no transcription model is served here"
        ) from None
    if not words:
        raise InvalidInput("ref_audio", "no words were found in it; send its words as ref_text, or another recording")
    return words


def _wav(samples: Pcm) -> io.BytesIO:
    """Return `samples`, at `SPEECH_RATE`, as a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SPEECH_RATE)
        writer.writeframes((np.clip(samples, -1, 1) * _FULL_SCALE).astype("<i2").tobytes())
    file.seek(0)
    return file
