"""Silero's voice activity detector: how likely each 32 ms of a recording is speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tritone.windowing import FRAME, Samples

_FILE: Final = Path("silero-vad", "silero_vad_16k_sequence.onnx")
_CONTEXT: Final = 64
"""Samples of the frame before that the network also sees."""


class MissingWeightsError(Exception):
    """The network's file is not there; the message says how to get it."""


def load(model_dir: Path) -> Any:
    """The onnxruntime session of the network below `model_dir`; one serves every recording.

    Raises `MissingWeightsError`.
    """
    if not (model_dir / _FILE).exists():
        raise MissingWeightsError(f"{model_dir / _FILE} is missing; scripts/fetch_models silero-vad brings it")
    options = onnxruntime.SessionOptions()
    # Requests are what runs in parallel, not the layers of so small a network.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model_dir / _FILE, options, providers=["CPUExecutionProvider"])


class Vad:
    """The detector for one recording, whose frames come in order."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._hidden = self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros((1, _CONTEXT), np.float32)

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """The probability of speech in each of `frames`, [n, FRAME] -> [n]."""
        assert frames.shape[1] == FRAME
        ends = np.concatenate([self._context, frames[:, -_CONTEXT:]])
        given = {"input": np.concatenate([ends[:-1], frames], axis=1), "h": self._hidden, "c": self._cell}
        heard: NDArray[np.float32]
        heard, self._hidden, self._cell = self._session.run(None, given)
        self._context = ends[-1:]
        return heard
