"""Qwen3-TTS as a Triton model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import Checkpoint, choose
from adapters.qwen3_tts.engine import QwenEngine
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.settings import Settings, UnusableSettingError
from adapters.qwen3_tts.runtime import Hardware, Runtime
from adapters.qwen3_tts.stock import StockModel
from adapters.qwen3_tts.synthesizer import PROOF, Synthesizer
from adapters.triton.instance import Instance
from adapters.triton.speech import Engine, SpeechModel


class TritonPythonModel(SpeechModel):
    """The settings are environment variables.

    DTYPE, ATTN_IMPLEMENTATION: see `Runtime.choose`; CUSTOM_VOICE_MODEL_PATH and its like: see `checkpoint.choose`.
    DEFAULT_SPEAKER (Vivian), DEFAULT_LANGUAGE (Auto): for requests that name none.
    QWEN_ENGINE (inflight): `inflight` streams, and its settings are those of `inflight.settings`; `stock` is the
    published package as it is. QWEN_MAX_REQUESTS (64): how many requests that one has open at once; QWEN_MAX_BATCH (8):
    how many it speaks together.
    """

    def load(self, instance: Instance) -> Engine:
        """Load the checkpoint and prove that it speaks."""
        engine = os.environ.get("QWEN_ENGINE") or "inflight"
        if engine not in _ENGINES:
            raise UnusableSettingError(f"QWEN_ENGINE={engine}: choose from {', '.join(_ENGINES)}")
        checkpoint = choose(instance)
        runtime = Runtime.choose(Hardware.of(instance))
        pb_utils.Logger.log_info(f"{instance.model}: {checkpoint.folder} on {runtime}, {engine}")
        torch.set_num_threads(instance.threads)
        return _ENGINES[engine](checkpoint, runtime)


def _inflight(checkpoint: Checkpoint, runtime: Runtime) -> InflightEngine:
    engine = InflightEngine.load(checkpoint, runtime, Settings.read(runtime.device, os.environ), **_defaults())
    try:
        engine.prove(PROOF)
    except BaseException:
        engine.close()
        raise
    return engine


def _stock(checkpoint: Checkpoint, runtime: Runtime) -> QwenEngine:
    synthesizer = Synthesizer(StockModel.load(checkpoint, runtime), checkpoint, **_defaults())
    synthesizer.prove()
    return QwenEngine(
        synthesizer,
        max_requests=int(os.environ.get("QWEN_MAX_REQUESTS") or 64),
        max_batch=int(os.environ.get("QWEN_MAX_BATCH") or 8),
    )


_ENGINES: Mapping[str, Callable[[Checkpoint, Runtime], Engine]] = {"inflight": _inflight, "stock": _stock}


def _defaults() -> dict[str, str]:
    """The speaker and the language of requests that name none."""
    return {
        "default_speaker": os.environ.get("DEFAULT_SPEAKER") or "Vivian",
        "default_language": os.environ.get("DEFAULT_LANGUAGE") or "Auto",
    }
