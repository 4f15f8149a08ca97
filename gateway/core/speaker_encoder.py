"""Speaker embeddings: a WeSpeaker network maps speech to a direction, close for one speaker and far apart for two."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE
from tritone.windowing import Samples

SpeakerEmbedding = NDArray[np.float32]
"""A unit vector of shape [256]."""

FILE: Final = Path("speaker-embedding", "model.onnx")
SHORTEST: Final = 0.4
"""Seconds; shorter speech gives no usable embedding."""
_LONGEST: Final = 6.0
"""Seconds; longer speech gives no better embedding, and the work grows by a twelfth of its length."""


class SpeakerEncoder:
    """The network below `model_dir`, which is read when it is first needed. Its methods block: call them in threads."""

    def __init__(self, model_dir: Path) -> None:
        self._path = model_dir / FILE
        self._lock = threading.Lock()
        self._session: Any = None

    @property
    def missing(self) -> str:
        """The problem with the network's file, and the command that fetches it; empty if it can be used."""
        if self._session is not None or os.access(self._path, os.R_OK):
            return ""
        fetch = f"fetch it with: scripts/fetch_models {FILE.parent}, and let user {os.geteuid()} read it"
        return f"{FILE} is missing in MODEL_DIR; {fetch}"

    def encode(self, samples: Samples) -> SpeakerEmbedding:
        """Return the embedding of `samples` [n], which are at `LISTEN_RATE` and no shorter than `SHORTEST`."""
        spare = max(0, len(samples) - int(_LONGEST * LISTEN_RATE))
        features = _features(samples[spare // 2 : len(samples) - (spare - spare // 2)])
        (found,) = self._loaded().run(None, {"input_features": features[np.newaxis]})
        embedding: SpeakerEmbedding = found[0] / np.linalg.norm(found[0])
        return embedding

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                # 20 MB, which a process that hears nothing does not need.
                import onnxruntime  # noqa: PLC0415

                options = onnxruntime.SessionOptions()
                # Windows and requests run in parallel; the network's operations do not.
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                self._session = onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])
            return self._session


def _features(samples: Samples) -> NDArray[np.float32]:
    """Return the features that the network was trained on: Kaldi's 80 log-mel filters less their mean, [frames, 80]."""
    import kaldi_native_fbank as fbank  # noqa: PLC0415 - as above

    options = fbank.FbankOptions()
    options.frame_opts.samp_freq = LISTEN_RATE
    options.frame_opts.window_type = "hamming"
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    filters = fbank.OnlineFbank(options)
    filters.accept_waveform(LISTEN_RATE, (samples * 32768).tolist())  # Kaldi's samples are of 16 bits
    filters.input_finished()
    frames = np.stack([filters.get_frame(i) for i in range(filters.num_frames_ready)])
    centred: NDArray[np.float32] = (frames - frames.mean(axis=0)).astype(np.float32)
    return centred
