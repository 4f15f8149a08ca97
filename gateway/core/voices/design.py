"""The use case `design_voice`: a voice from a description. The model's speech becomes the recording that is cloned."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Final

import numpy as np

from gateway.core.errors import ModelNotFound
from gateway.core.services import Services
from gateway.core.speech_options import SynthesisRequest
from gateway.core.synthesize import synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.voices.sample import Sample
from gateway.core.voices.use_cases import checked_name, store_voice
from gateway.core.voices.voice import Voice, new_voice_id
from tritone.contract import REFERENCE_SECONDS
from tritone.errors import InvalidInput

DEFAULT_SCRIPT: Final = (
    "Hello, and welcome. This is how I sound when I read a few calm sentences aloud. I hope that you like my voice."
)
_MAX_CHARS: Final = 300
"""Characters of a script: at 15 a second, 20 s of speech."""
_LEAST_LEVEL: Final = 1e-3
_FIELDS: Final = {"text": "script_hint", "instruct": "prompt"}
"""The fields of a speech request -> those of a voice."""
_UNNAMED: Final = ("", "auto")


async def design_voice(
    services: Services,
    owner: str,
    name: str,
    prompt: str,
    telemetry: WorkTelemetry,
    *,
    script: str = "",
    model: str = "",
) -> Voice:
    """Register a voice that a voice design model makes from `prompt`, while it speaks `script`.

    `model` is the model's id or alias; empty, `auto` or a date of OpenAI's: the first that is served. Raises
    `InvalidInput` for `name`, `prompt`, `script_hint` and `model`, `VoiceConflict`, `VoicesUnavailable`, and the errors
    of `synthesize`.
    """
    name = await checked_name(services, owner, name)
    if not prompt.strip():
        raise InvalidInput("prompt", "describe the voice")
    text = script.strip() or DEFAULT_SCRIPT
    if len(text) > _MAX_CHARS:
        raise InvalidInput("script_hint", f"it has {len(text)} characters; at most {_MAX_CHARS} are allowed")
    request = SynthesisRequest(
        text, _design_model(services, model), options={"instruct": prompt}, audio_format="pcm", whole=False
    )
    try:
        stream = await synthesize(services, request, telemetry)
        async with aclosing(stream.encoded()) as pieces:
            samples = np.frombuffer(b"".join([piece async for piece in pieces]), "<i2")
    except InvalidInput as error:
        raise InvalidInput(_FIELDS.get(error.field, error.field), error.problem) from None
    sample = Sample(samples.astype(np.float32) / np.iinfo(np.int16).max, None)
    _check(sample, stream.finish_reason)
    voice = Voice(new_voice_id(), name, time.time(), "prompt", sample.seconds, text, "", "", prompt=prompt)
    return await store_voice(services, owner, voice, sample)


def _design_model(services: Services, name: str) -> str:
    services.triton.served.check_reached()
    designers = [model for model in services.triton.served.of_kind("speech") if model.mode == "voice_design"]
    if not designers:
        raise InvalidInput("type", "no model that designs voices is served here (TTS_MODES); send an audio_sample")
    if name in _UNNAMED or name[:4].isdecimal():
        return min(designers, key=lambda model: model.state != "ready").id
    for model in designers:
        if name == model.id or name in model.aliases:
            return model.id
    raise ModelNotFound(
        f"no model {name[:64]!r} that designs voices is served; choose from: {', '.join(each.id for each in designers)}"
    )


def _check(sample: Sample, finish_reason: str) -> None:
    """Raise `InvalidInput` if the model's speech cannot be cloned."""
    least, most = REFERENCE_SECONDS
    level = float(np.sqrt(np.mean(np.square(sample.samples, dtype=np.float64)))) if sample.samples.size else 0.0
    if finish_reason == "stop" and least <= sample.seconds <= most and level >= _LEAST_LEVEL:
        return
    problem = (
        f"the model made no usable voice of it ({sample.seconds:.1f} s of speech, {finish_reason}, at a level of "
        f"{level:.4f}); try again, or with another script_hint"
    )
    raise InvalidInput("prompt", problem)
