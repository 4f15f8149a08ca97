"""Qwen3-TTS as a Triton model, with the package `qwen-tts` as its engine."""

from __future__ import annotations

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import choose
from adapters.qwen3_tts.engine import QwenEngine
from adapters.qwen3_tts.runtime import Hardware, Runtime
from adapters.qwen3_tts.stock import StockModel
from adapters.qwen3_tts.synthesizer import Synthesizer
from adapters.settings import DEFAULT_LANGUAGE, DEFAULT_SPEAKER, QWEN_MAX_BATCH, QWEN_MAX_REQUESTS
from adapters.triton.instance import Instance
from adapters.triton.speech import SpeechModel


class TritonPythonModel(SpeechModel):
    """A Qwen3-TTS checkpoint, spoken by its package; the settings are those of `adapters.settings`."""

    def load(self, instance: Instance) -> QwenEngine:
        """Load the checkpoint and prove that it speaks."""
        checkpoint = choose(instance)
        runtime = Runtime.choose(Hardware.of(instance))
        pb_utils.Logger.log_info(f"{instance.model}: {checkpoint.folder} on {runtime}")
        torch.set_num_threads(instance.threads)
        synthesizer = Synthesizer(
            StockModel.load(checkpoint, runtime),
            checkpoint,
            default_speaker=DEFAULT_SPEAKER.read(),
            default_language=DEFAULT_LANGUAGE.read(),
        )
        synthesizer.prove()
        return QwenEngine(
            synthesizer,
            max_requests=QWEN_MAX_REQUESTS.read(),
            max_batch=QWEN_MAX_BATCH.read(),
        )
