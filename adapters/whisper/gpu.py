"""Detection of a GPU that CTranslate2 has lost."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from ctranslate2.models import Whisper

from adapters.whisper.decoding import batch

_FRAMES: Final = 100
"""Frames of silence that are encoded: a second."""
_SHORT_OF_MEMORY: Final = re.compile("out of memory|ALLOC_FAILED")
"""CTranslate2's errors of CUDA and cuBLAS that pass when others free their memory."""


def is_usable(model: Whisper) -> bool:
    """Return False if the model's GPU is lost for this process: each call of CUDA then fails as the first one did."""
    if model.device == "cpu":
        return True
    try:
        model.encode(batch([np.zeros((model.n_mels, _FRAMES), np.float32)]), to_cpu=True)
    except RuntimeError as error:
        return _SHORT_OF_MEMORY.search(str(error)) is not None
    return True
