"""Kokoro-82M as a Triton model."""

from __future__ import annotations

import threading

import triton_python_backend_utils as pb_utils

from adapters.kokoro.network import KokoroNetwork, pieces_at_once
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.pipeline import KokoroPipeline, PhonemePiece
from adapters.kokoro.settings import FAMILY, KOKORO_GRAPH, KOKORO_MAX_REQUESTS
from adapters.kokoro.voices import VoiceStyles
from adapters.speech.engine import PartByPartEngine
from adapters.speech.self_test import self_test
from adapters.triton.instance import Instance
from adapters.triton.self_test_once import self_test_once
from adapters.triton.speech_model import SpeechModel


class TritonPythonModel(SpeechModel):
    """Kokoro with at most KOKORO_MAX_REQUESTS open requests."""

    def load(self, instance: Instance) -> PartByPartEngine[PhonemePiece]:
        """Load the checkpoint from MODEL_DIR and run the self-test.

        The dictionary of Mandarin is loaded after that, beside the first requests; Chinese text waits for it.
        """
        phonemizer = Phonemizer()
        network = KokoroNetwork(
            instance.folder,
            threads=instance.threads,
            cuda_device=instance.device_index if instance.device == "cuda" else None,
            is_fast=KOKORO_GRAPH.read() == "fast",
            warn=pb_utils.Logger.log_warn,
        )
        pipeline = KokoroPipeline(
            VoiceStyles(instance.folder / "voices"),
            phonemizer,
            network,
            options=[
                name for name in instance.entry_in(FAMILY).options if name != "word_timestamps" or network.has_durations
            ],
        )
        self_test_once(instance, instance.folder, lambda: self_test(pipeline))
        threading.Thread(target=lambda: phonemizer.mandarin, name="mandarin").start()
        return PartByPartEngine(
            pipeline,
            max_requests=KOKORO_MAX_REQUESTS.read(),
            at_once=pieces_at_once(instance.device, instance.threads),
        )
