"""Silero's voice activity detector: the probability of speech in each frame of 32 ms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tritone.vad_network import faster
from tritone.windowing import FRAME, Samples

_FILE: Final = Path("silero-vad", "silero_vad_16k_sequence.onnx")
_CONTEXT: Final = 64
"""Samples at the end of the previous frame that are also an input of the network."""


class MissingWeightsError(Exception):
    """The network's file is missing; the message names the command that fetches it."""


def missing(model_dir: Path) -> str:
    """Return the problem with the network's file below `model_dir`, and how to fetch it; empty if it exists."""
    path = model_dir / _FILE
    if os.access(path, os.R_OK):
        return ""
    return f"{path} is missing; fetch it with: scripts/fetch_models silero-vad, and let user {os.geteuid()} read it"


def load(model_dir: Path) -> Any:
    """Return the onnxruntime session of the network below `model_dir`; all recordings may share it.

    Raises `MissingWeightsError`.
    """
    # 20 MB, which a process that transcribes nothing does not need.
    import onnxruntime  # noqa: PLC0415

    if problem := missing(model_dir):
        raise MissingWeightsError(problem)
    options = onnxruntime.SessionOptions()
    # The network is small: requests run in parallel, its operations do not.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Almost every call has a number of frames of its own, for each of which a pattern would be kept.
    options.enable_mem_pattern = False
    network = faster((model_dir / _FILE).read_bytes())
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


class Vad:
    """A detector for one recording; keeps the network's state from one call to the next."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._hidden = self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros((1, _CONTEXT), np.float32)

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """Return the probability of speech in each of the next `frames`, [n, FRAME] -> [n]."""
        assert frames.shape[1] == FRAME
        ends = np.concatenate([self._context, frames[:, -_CONTEXT:]])
        inputs = {"input": np.concatenate([ends[:-1], frames], axis=1), "h": self._hidden, "c": self._cell}
        probability: NDArray[np.float32]
        probability, self._hidden, self._cell = self._session.run(None, inputs)
        self._context = ends[-1:]
        return probability
