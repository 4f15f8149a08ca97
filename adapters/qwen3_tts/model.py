"""Qwen3-TTS as a Triton model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import Checkpoint, choose
from adapters.qwen3_tts.engine import QwenEngine
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.loading import load_engine
from adapters.qwen3_tts.inflight.settings import Settings
from adapters.qwen3_tts.runtime import Hardware, Runtime
from adapters.qwen3_tts.stock import StockModel
from adapters.qwen3_tts.synthesizer import PROOF, Synthesizer
from adapters.settings import DEFAULT_LANGUAGE, DEFAULT_SPEAKER, QWEN_ENGINE, QWEN_MAX_BATCH, QWEN_MAX_REQUESTS
from adapters.triton.instance import Instance
from adapters.triton.speech import Engine, SpeechModel


class TritonPythonModel(SpeechModel):
    """A Qwen3-TTS checkpoint, spoken by the engine that QWEN_ENGINE names; settings: `adapters.settings`."""

    def load(self, instance: Instance) -> Engine:
        """Load the checkpoint and prove that it speaks."""
        engine = QWEN_ENGINE.read()
        checkpoint = choose(instance)
        runtime = Runtime.choose(Hardware.of(instance))
        pb_utils.Logger.log_info(f"{instance.model}: {checkpoint.folder} on {runtime}, {engine}")
        torch.set_num_threads(instance.threads)
        return _ENGINES[engine](checkpoint, runtime)


def _inflight(checkpoint: Checkpoint, runtime: Runtime) -> InflightEngine:
    engine = load_engine(checkpoint, runtime, Settings.read(runtime.device), **_defaults())
    try:
        engine.prove(PROOF)
    except BaseException:
        engine.close()
        raise
    return engine


def _stock(checkpoint: Checkpoint, runtime: Runtime) -> QwenEngine:
    synthesizer = Synthesizer(StockModel.load(checkpoint, runtime), checkpoint, **_defaults())
    synthesizer.prove()
    return QwenEngine(synthesizer, max_requests=QWEN_MAX_REQUESTS.read(), max_batch=QWEN_MAX_BATCH.read())


_ENGINES: Mapping[str, Callable[[Checkpoint, Runtime], Engine]] = {"inflight": _inflight, "stock": _stock}


def _defaults() -> dict[str, str]:
    """The speaker and the language of requests that name none."""
    return {"default_speaker": DEFAULT_SPEAKER.read(), "default_language": DEFAULT_LANGUAGE.read()}
