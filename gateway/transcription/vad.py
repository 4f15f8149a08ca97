"""Silero's voice activity detector: how likely each 32 ms of a recording is speech."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE
from tritone.windows import FRAME, Samples

_CONTEXT: Final = 64
"""Samples of the frame before that the network also sees."""


@cache
def load(path: Path) -> Any:
    """The onnxruntime session of the network at `path`; one serves every recording."""
    options = onnxruntime.SessionOptions()
    # Requests are what runs in parallel, not the layers of so small a network.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Vad:
    """The detector for one recording, whose frames come in order."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros((1, _CONTEXT), np.float32)
        self._rate = np.array(LISTEN_RATE, np.int64)

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """The probability of speech in each of `frames`, [n, FRAME] -> [n]."""
        assert frames.shape[1] == FRAME
        heard = np.empty(len(frames), np.float32)
        for i, frame in enumerate(frames):
            inputs = np.concatenate([self._context, frame[np.newaxis]], axis=1)
            given = {"input": inputs, "state": self._state, "sr": self._rate}
            probability, self._state = self._session.run(None, given)
            self._context = inputs[:, -_CONTEXT:]
            heard[i] = probability.item()
        return heard
