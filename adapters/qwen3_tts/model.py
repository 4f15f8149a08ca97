"""Qwen3-TTS as a Triton model, with the package `qwen-tts` as its engine."""

from __future__ import annotations

import os

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import choose
from adapters.qwen3_tts.engine import QwenEngine
from adapters.qwen3_tts.runtime import Hardware, Runtime
from adapters.qwen3_tts.stock import StockModel
from adapters.qwen3_tts.synthesizer import Synthesizer
from adapters.triton.instance import Instance
from adapters.triton.speech import SpeechModel


class TritonPythonModel(SpeechModel):
    """The settings are environment variables.

    DTYPE, ATTN_IMPLEMENTATION: see `Runtime.choose`; CUSTOM_VOICE_MODEL_PATH and its like: see `checkpoint.choose`.
    DEFAULT_SPEAKER (Vivian), DEFAULT_LANGUAGE (Auto): for requests that name none.
    QWEN_MAX_REQUESTS (64): how many requests are open at once; QWEN_MAX_BATCH (8): how many are spoken together.
    """

    def load(self, instance: Instance) -> QwenEngine:
        """Load the checkpoint and prove that it speaks."""
        checkpoint = choose(instance)
        runtime = Runtime.choose(Hardware.of(instance))
        pb_utils.Logger.log_info(f"{instance.model}: {checkpoint.folder} on {runtime}")
        torch.set_num_threads(instance.threads)
        synthesizer = Synthesizer(
            StockModel.load(checkpoint, runtime),
            checkpoint,
            default_speaker=os.environ.get("DEFAULT_SPEAKER") or "Vivian",
            default_language=os.environ.get("DEFAULT_LANGUAGE") or "Auto",
        )
        synthesizer.prove()
        return QwenEngine(
            synthesizer,
            max_requests=int(os.environ.get("QWEN_MAX_REQUESTS") or 64),
            max_batch=int(os.environ.get("QWEN_MAX_BATCH") or 8),
        )
