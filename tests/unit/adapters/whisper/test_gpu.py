"""A GPU that is lost is told from one that is short of memory, and from an error of one window."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.triton.lost_gpu import GpuLost
from adapters.triton.transcriber import WindowRequest
from adapters.whisper.gpu import is_usable
from adapters.whisper.transcriber import WhisperTranscriber
from tritone.contract import TranscriptionOptions

SECOND = WindowRequest(np.zeros(16_000, np.float32), TranscriptionOptions(language="en"))


class Gpu:
    """A model of CTranslate2 on a GPU, with the real model in it; each encode fails with the next error, if any."""

    device = "cuda"

    def __init__(self, model: Any, *errors: str | None) -> None:
        self._model = model
        self.errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, *args: Any, **options: Any) -> Any:
        if error := self.errors.pop(0):
            raise RuntimeError(error)
        return self._model.encode(*args, **options)


def transcribe(whisper: Any, *errors: str | None) -> None:
    gpu = SimpleNamespace(**{name: getattr(whisper, name) for name in ("feature_extractor", "hf_tokenizer")})
    gpu.model = Gpu(whisper.model, *errors)
    WhisperTranscriber(gpu).transcribe([SECOND])


@pytest.mark.parametrize(
    "error",
    ["CUDA failed with error an illegal memory access was encountered", "cuBLAS failed with status EXECUTION_FAILED"],
)
def test_gpu_on_which_every_call_fails_is_lost(whisper: Any, error: str) -> None:
    with pytest.raises(GpuLost) as caught:
        transcribe(whisper, error, error)
    assert str(caught.value.__cause__) == error


@pytest.mark.parametrize("second", [None, "CUDA failed with error out of memory", "CUBLAS_STATUS_ALLOC_FAILED"])
def test_gpu_that_is_short_of_memory_is_not_lost(whisper: Any, second: str | None) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        transcribe(whisper, "CUDA failed with error out of memory", second)


def test_cpu_is_never_lost(whisper: Any) -> None:
    model = Gpu(whisper.model)
    model.device = "cpu"
    assert is_usable(model)
