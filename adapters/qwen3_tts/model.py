"""Qwen3-TTS as a Triton model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import Checkpoint, choose
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.loading import load_engine
from adapters.qwen3_tts.inflight.settings import EngineSettings
from adapters.qwen3_tts.runtime import Hardware, Runtime
from adapters.qwen3_tts.self_test import SELF_TEST
from adapters.qwen3_tts.settings import (
    DEFAULT_LANGUAGE,
    DEFAULT_SPEAKER,
    QWEN_ENGINE,
    QWEN_MAX_BATCH,
    QWEN_MAX_REQUESTS,
    QWEN_TEXT_NORMALIZATION,
)
from adapters.speech.normalizing_engine import NormalizingEngine
from adapters.triton.instance import Instance
from adapters.triton.speech_engine import SpeechEngine
from adapters.triton.speech_model import SpeechModel


class TritonPythonModel(SpeechModel):
    """A Qwen3-TTS checkpoint on the engine that QWEN_ENGINE names. All settings: `adapters.qwen3_tts.settings`."""

    def load(self, instance: Instance) -> SpeechEngine:
        """Load the checkpoint and run the self-test."""
        engine = QWEN_ENGINE.read()
        checkpoint = choose(instance)
        runtime = Runtime.choose(Hardware.of(instance))
        pb_utils.Logger.log_info(f"{instance.model}: {checkpoint.folder} on {runtime}, {engine}")
        torch.set_num_threads(instance.threads)
        loaded = _ENGINES[engine](checkpoint, runtime)
        if QWEN_TEXT_NORMALIZATION.read() == "off":
            return loaded
        return NormalizingEngine(loaded, default_language=checkpoint.default_language(DEFAULT_LANGUAGE.read()))


def _inflight(checkpoint: Checkpoint, runtime: Runtime) -> InflightEngine:
    engine = load_engine(checkpoint, runtime, EngineSettings.read(runtime.device), **_defaults())
    try:
        engine.self_test(SELF_TEST)
    except BaseException:
        engine.close()
        raise
    return engine


def _stock(checkpoint: Checkpoint, runtime: Runtime) -> SpeechEngine:
    # The other engine starts without the package, whose import takes seconds.
    from adapters.qwen3_tts.stock.batch_engine import StaticBatchEngine  # noqa: PLC0415
    from adapters.qwen3_tts.stock.package_model import PackageModel  # noqa: PLC0415
    from adapters.qwen3_tts.stock.package_runner import PackageRunner  # noqa: PLC0415

    runner = PackageRunner(PackageModel.load(checkpoint, runtime), checkpoint, **_defaults())
    runner.self_test()
    return StaticBatchEngine(runner, max_requests=QWEN_MAX_REQUESTS.read(), max_batch=QWEN_MAX_BATCH.read())


_ENGINES: Mapping[str, Callable[[Checkpoint, Runtime], SpeechEngine]] = {"inflight": _inflight, "stock": _stock}


class _Defaults(TypedDict):
    default_speaker: str
    default_language: str


def _defaults() -> _Defaults:
    """Return the voice and the language of requests that name none."""
    return {"default_speaker": DEFAULT_SPEAKER.read(), "default_language": DEFAULT_LANGUAGE.read()}
