"""Kokoro's network: phonemes and a voice's style in, samples out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from adapters.kokoro.graph import DURATIONS, with_durations
from adapters.kokoro.graph_cache import fast_graph

MAX_TOKENS = 510
"""The most phonemes of one call; the network was trained on no more."""
SPEED_RANGE = (0.7, 1.3)
"""Speeds with good audio: above 1.3 the network drops the first sounds, below 0.7 it adds some."""
FRAME = 600
"""Samples in one frame of Kokoro, at 24 kHz."""

_BOUNDARY = 0
"""The token before and after the phonemes."""


def pieces_at_once(device: str, threads: int) -> int:
    """Return how many pieces to compute at the same time.

    Some operators run on one thread; on a CPU, another piece takes the cores that they leave.
    """
    return 2 if device == "cpu" and threads > 1 else 1


class KokoroNetwork:
    """A loaded checkpoint. Threads may call it at the same time, and share its own threads."""

    def __init__(
        self,
        folder: Path,
        *,
        threads: int,
        cuda_device: int | None = None,
        is_fast: bool = True,
        warn: Callable[[str], None] = print,
    ) -> None:
        """Load `model.onnx` and `tokenizer.json`; raises `FileNotFoundError` with the missing one's path.

        `is_fast`: compute on the CPU with the faster graph, which is built below MODEL_DIR/cache if it is not there.
        """
        for path in (folder / "model.onnx", folder / "tokenizer.json"):
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing; run scripts/fetch_models")
        self._vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # For tensors of many lengths, plans of the memory take time at the load and more memory, and save nothing.
        options.enable_mem_pattern = options.enable_mem_reuse = False
        # Threads that wait for work in a loop take the cores from other processes, and end with them later.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        published = folder / "model.onnx"
        cache = folder.parent / "cache" / "kokoro"
        graph = fast_graph(published, cache, warn) if is_fast and cuda_device is None else None
        if graph is None:
            model = published.read_bytes()
            graph = with_durations(model) or model
        else:
            # One level more puts the channels of convolutions into blocks of 16, which makes this graph slower.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        self._session = onnxruntime.InferenceSession(graph, options, providers=_providers(cuda_device, warn))
        self.has_durations = any(output.name == DURATIONS for output in self._session.get_outputs())
        """Whether the checkpoint tells the durations of its phonemes."""
        self._tokens_input = next(i.name for i in self._session.get_inputs() if i.name not in ("style", "speed"))

    def tokens(self, phonemes: str) -> list[int]:
        """Return the tokens of phonemes; sounds that Kokoro was not trained on are left out."""
        return [self._vocabulary[sound] for sound in phonemes if sound in self._vocabulary]

    def speak(
        self, tokens: Sequence[int], style: NDArray[np.float32], speed: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return samples and durations.

        The samples, 24 kHz, -1 to 1, are whole frames, with Kokoro's own silence at both ends. The durations are the
        frames of that silence, of each token, and of the silence at the end; none if the checkpoint does not tell them.
        `tokens`: at most `MAX_TOKENS`; `style`: shape [1, 256].
        """
        audio, *durations = self._session.run(
            None,
            {
                self._tokens_input: np.array([[_BOUNDARY, *tokens, _BOUNDARY]], np.int64),
                "style": style,
                "speed": np.array([speed], np.float32),
            },
        )
        frames = durations[0] if durations else np.empty(0, np.float32)
        return np.asarray(audio, np.float32).reshape(-1), np.asarray(frames, np.float32).reshape(-1)


def _providers(cuda_device: int | None, warn: Callable[[str], None]) -> list[str | tuple[str, dict[str, int]]]:
    cpu: list[str | tuple[str, dict[str, int]]] = ["CPUExecutionProvider"]
    if cuda_device is None:
        return cpu
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        warn("this onnxruntime has no CUDA; Kokoro runs on the CPU")
        return cpu
    return [("CUDAExecutionProvider", {"device_id": cuda_device}), *cpu]
