"""Kokoro-82M as a Triton model."""

from __future__ import annotations

import threading

import triton_python_backend_utils as pb_utils

from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.pipeline import KokoroPipeline, PhonemePiece
from adapters.kokoro.settings import FAMILY, KOKORO_ENGINE, KOKORO_GRAPH, KOKORO_MAX_REQUESTS
from adapters.kokoro.synthesis import Network
from adapters.kokoro.voices import VoiceStyles
from adapters.speech.engine import PartByPartEngine
from adapters.speech.self_test import self_test
from adapters.triton.instance import Instance
from adapters.triton.self_test_once import self_test_once
from adapters.triton.speech_model import SpeechModel

_REQUESTS_ON_CPU, _REQUESTS_ON_GPU = 32, 128
_BATCH = 64
"""The most pieces that a GPU computes at once."""


class TritonPythonModel(SpeechModel):
    """Kokoro with at most KOKORO_MAX_REQUESTS open requests."""

    def load(self, instance: Instance) -> PartByPartEngine[PhonemePiece]:
        """Load the checkpoint from MODEL_DIR and run the self-test.

        The dictionary of Mandarin is loaded after that, beside the first requests; Chinese text waits for it.
        """
        phonemizer = Phonemizer()
        is_gpu = instance.device == "cuda" and KOKORO_ENGINE.read() == "torch"
        if instance.device == "cuda" and not is_gpu:
            pb_utils.Logger.log_info(f"{instance.model}: computes on the CPU; KOKORO_ENGINE=torch uses the GPU")
        network = _on_gpu(instance) if is_gpu else _on_cpu(instance)
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
            max_requests=KOKORO_MAX_REQUESTS.read() or (_REQUESTS_ON_GPU if is_gpu else _REQUESTS_ON_CPU),
            at_once=1 if is_gpu else pieces_at_once(instance.threads),
            most_together=_BATCH if is_gpu else 1,
        )


def pieces_at_once(threads: int) -> int:
    """Return how many pieces a CPU computes at the same time.

    Some operators run on one thread; another piece takes the cores that they leave.
    """
    return 2 if threads > 1 else 1


def _on_cpu(instance: Instance) -> Network:
    """Load the network for a CPU. Each device has its own runtime, which only its environment has."""
    from adapters.kokoro.network import KokoroNetwork  # noqa: PLC0415

    return KokoroNetwork(
        instance.folder,
        threads=instance.threads,
        is_fast=KOKORO_GRAPH.read() == "fast",
        warn=pb_utils.Logger.log_warn,
    )


def _on_gpu(instance: Instance) -> Network:
    """Load the network for a GPU."""
    from adapters.kokoro.gpu.loading import load  # noqa: PLC0415

    return load(instance, pb_utils.Logger.log_info)
