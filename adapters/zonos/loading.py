"""From the published folders to a running engine."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from adapters.zonos.codec import Codec
from adapters.zonos.engine import ZonosEngine
from adapters.zonos.phonemes import Phonemizer
from adapters.zonos.request import InputProcessor
from adapters.zonos.settings import EngineSettings
from adapters.zonos.speaker import SpeakerEncoder
from adapters.zonos.stepper import ColumnStepper
from adapters.zonos.vocabulary import LANGUAGES
from adapters.zonos.weights import Weights
from tritone.contract import SPEECH_RATE, SpeechDescription, SpeechOptions

CODEC_FOLDER = "dac_44khz"
SPEAKER_FOLDER = "Zonos-v0.1-speaker-embedding"
"""Beside the model's folder."""


def load_engine(
    folder: Path, settings: EngineSettings, *, options: tuple[str, ...], device: str, dtype: torch.dtype
) -> ZonosEngine:
    """Load a checkpoint, the codec and the speaker network, and start the engine; raises errors of the files."""
    place = torch.device(device)
    disable_cudnn_attention(place)
    with torch.cuda.device(place) if place.type == "cuda" else nullcontext():
        weights = Weights.load(folder, place, dtype)
        codec = Codec.load(folder.parent / CODEC_FOLDER, place, torch.float32)
        speaker = SpeakerEncoder.load(folder.parent / SPEAKER_FOLDER, place)
        stepper = ColumnStepper(weights, slots=settings.limits.slots, positions=settings.limits.positions)
        if place.type == "cuda":
            torch.cuda.empty_cache()  # reordering matrices left free blocks, which other models may need
            torch.cuda.synchronize()  # the threads of the engine have streams of their own
    description = SpeechDescription(
        voices=(), languages=tuple(LANGUAGES), default_voice="", speed_range=(1.0, 1.0), options=options
    )
    return ZonosEngine(
        description, InputProcessor(weights, Phonemizer(), speaker), stepper, codec, settings, device=place
    )


def self_test(engine: ZonosEngine) -> None:
    """Synthesize a quarter of a second; raises the engine's error, or `RuntimeError` if the result is no audio."""
    collector = AudioCollector()
    tone = 0.1 * np.sin(np.arange(2 * SPEECH_RATE) * (2 * np.pi * 150 / SPEECH_RATE))
    request = SpeechRequest(
        text="The model can speak.",
        voice="",
        language="en",
        speed=1.0,
        options=SpeechOptions(seed=0, max_new_tokens=22),
        reference=Reference.of(tone.astype(np.float32)),
    )
    engine.synthesize(request, collector)
    collector.check_self_test()
