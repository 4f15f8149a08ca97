"""Kokoro's network on a CPU: phonemes and a voice's style in, samples out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from adapters.kokoro.graph import DURATIONS, with_durations
from adapters.kokoro.graph_cache import fast_graph
from adapters.kokoro.synthesis import BOUNDARY, Spoken, Vocabulary


class KokoroNetwork:
    """A loaded checkpoint. Threads may call it at the same time, and share its own threads."""

    def __init__(
        self,
        folder: Path,
        *,
        threads: int,
        is_fast: bool = True,
        warn: Callable[[str], None] = print,
    ) -> None:
        """Load `model.onnx` and `tokenizer.json`; raises `FileNotFoundError` with the missing one's path.

        `is_fast`: compute on the CPU with the faster graph, which is built below MODEL_DIR/cache if it is not there.
        """
        self._vocabulary = Vocabulary(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # For tensors of many lengths, plans of the memory take time at the load and more memory, and save nothing.
        options.enable_mem_pattern = options.enable_mem_reuse = False
        # Threads that wait for work in a loop take the cores from other processes, and end with them later.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        published = folder / "model.onnx"
        cache = folder.parent / "cache" / "kokoro"
        graph = fast_graph(published, cache, warn) if is_fast else None
        if graph is None:
            model = published.read_bytes()
            graph = with_durations(model) or model
        else:
            # One level more puts the channels of convolutions into blocks of 16, which makes this graph slower.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.has_durations = any(output.name == DURATIONS for output in self._session.get_outputs())
        """Whether the checkpoint tells the durations of its phonemes."""
        self._tokens_input = next(i.name for i in self._session.get_inputs() if i.name not in ("style", "speed"))

    def tokens(self, phonemes: str) -> list[int]:
        """Return the tokens of phonemes; sounds that Kokoro was not trained on are left out."""
        return self._vocabulary(phonemes)

    def speak(self, tokens: Sequence[int], style: NDArray[np.float32], speed: float) -> Spoken:
        """Return the speech of one piece; `tokens`: at most `MAX_TOKENS`; `style`: shape [1, 256]."""
        audio, *durations = self._session.run(
            None,
            {
                self._tokens_input: np.array([[BOUNDARY, *tokens, BOUNDARY]], np.int64),
                "style": style,
                "speed": np.array([speed], np.float32),
            },
        )
        frames = durations[0] if durations else np.empty(0, np.float32)
        return np.asarray(audio, np.float32).reshape(-1), np.asarray(frames, np.float32).reshape(-1)
