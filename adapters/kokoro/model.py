"""Kokoro-82M as a Triton model."""

from __future__ import annotations

import os

import triton_python_backend_utils as pb_utils

from adapters.kokoro.engine import KokoroEngine
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.speaker import Speaker
from adapters.kokoro.synthesizer import Synthesizer
from adapters.kokoro.voices import Voices
from adapters.triton.instance import Instance
from adapters.triton.speech import SpeechModel


class TritonPythonModel(SpeechModel):
    """KOKORO_MAX_REQUESTS (32): how many requests are open at once; more are told to try again."""

    def load(self, instance: Instance) -> KokoroEngine:
        """Load the checkpoint from MODEL_DIR and prove that it speaks."""
        speaker = Speaker(
            Voices(instance.folder / "voices"),
            Phonemizer(),
            Synthesizer(
                instance.folder,
                threads=instance.threads,
                cuda_device=instance.device_index if instance.device == "cuda" else None,
                warn=pb_utils.Logger.log_warn,
            ),
        )
        speaker.prove()
        return KokoroEngine(speaker, max_requests=int(os.environ.get("KOKORO_MAX_REQUESTS") or 32))
