"""Speaker embeddings: a WeSpeaker network maps speech to a direction, close for one speaker and far apart for two."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE
from tritone.windowing import Samples

SpeakerEmbedding = NDArray[np.float32]
"""A unit vector of shape [256]."""

FILE: Final = Path("speaker-embedding", "model.onnx")
SHORTEST: Final = 0.4
"""Seconds; shorter speech gives no usable embedding."""
ALIKE: Final = 0.42
"""The least cosine between two pieces of one speaker: the value at which as many pairs of one speaker fall below it as
pairs of two speakers reach it, 0.7 % each. Measured over 27 speakers (22 of Kokoro's English voices, and people in read
speech and on the telephone), in pieces of 1.75 s (one speaker mostly 0.5-0.8, two below 0.37) and of up to 6 s
(0.66-0.9, below 0.41). Voices that are mixed from one another, as Kokoro's af_heart and af_bella (0.7), stay one.
"""

_LONGEST: Final = 6.0
"""Seconds; longer speech gives no better embedding, and the work grows by a twenty-third of its length."""
_FRAME: Final = LISTEN_RATE * 8 // 100
"""Samples of a frame of the network's last convolution: 80 ms."""
_ACTIVATIONS: Final = "343"
"""The file's name of the output of the last convolution, [1, channels, bands, frames]."""
_HEAD: Final = ("model.seg_1.weight", "model.seg_1.bias", "mean_vec")
"""The file's names of what maps the mean and the deviation of these over time to an embedding."""
_LEAST_VARIANCE: Final = 1e-7


class SpeakerEncoder:
    """The network below `model_dir`, which is read when it is first needed. Its methods block: call them in threads."""

    def __init__(self, model_dir: Path) -> None:
        self._path = model_dir / FILE
        self._lock = threading.Lock()
        self._network: _Network | None = None

    @property
    def missing(self) -> str:
        """The problem with the network's file, and the command that fetches it; empty if it can be used."""
        if self._network is not None or os.access(self._path, os.R_OK):
            return ""
        fetch = f"fetch it with: scripts/fetch_models {FILE.parent}, and let user {os.geteuid()} read it"
        return f"{FILE} is missing in MODEL_DIR; {fetch}"

    def encode(self, samples: Samples) -> SpeakerEmbedding:
        """Return the embedding of `samples` [n], which are at `LISTEN_RATE` and no shorter than `SHORTEST`."""
        spare = max(0, len(samples) - int(_LONGEST * LISTEN_RATE))
        middle = samples[spare // 2 : len(samples) - (spare - spare // 2)]
        return self.encode_parts(middle, [slice(0, len(middle))])[0]

    def encode_parts(self, samples: Samples, parts: Sequence[slice]) -> list[SpeakerEmbedding]:
        """Return the embeddings of parts of `samples`, by one pass of the network; parts may overlap.

        All are no shorter than `SHORTEST`. The work grows with `samples`, hardly with the number of parts.
        """
        network = self._loaded()
        activations = network.activations(samples)
        return [network.embedding(activations[_frames(part, len(activations))]) for part in parts]

    def _loaded(self) -> _Network:
        with self._lock:
            if self._network is None:
                self._network = _Network.read(self._path)
            return self._network


@dataclass(frozen=True)
class _Network:
    session: Any
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> Self:
        # 20 MB, which a process that hears nothing does not need.
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        # Windows and requests run in parallel; the network's operations do not.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = path.read_bytes() + _outputs(_ACTIVATIONS, *_HEAD)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        weight, bias, mean = session.run([*_HEAD], {"input_features": np.zeros((1, 8, 80), np.float32)})
        return cls(session, weight, bias - mean)

    def activations(self, samples: Samples) -> NDArray[np.float32]:
        """Return the network's output before it is pooled over time, [frames, channels * bands]."""
        (found,) = self.session.run([_ACTIVATIONS], {"input_features": _features(samples)[np.newaxis]})
        return np.ascontiguousarray(found[0].reshape(-1, found.shape[-1]).T)

    def embedding(self, activations: NDArray[np.float32]) -> SpeakerEmbedding:
        """Return the embedding of some frames of `activations`, two or more."""
        deviation = np.sqrt(activations.var(axis=0, ddof=1) + _LEAST_VARIANCE)
        found: SpeakerEmbedding = self.weight @ np.concatenate([activations.mean(axis=0), deviation]) + self.bias
        return found / np.linalg.norm(found)


def _frames(part: slice, count: int) -> slice:
    """Return the frames of a part that is given in samples; there are `count`, fewer than its end may need."""
    length = max(2, -(-(part.stop - part.start) // _FRAME))
    start = max(0, min(round(part.start / _FRAME), count - length))
    return slice(start, start + length)


def _outputs(*names: str) -> bytes:
    """Return what makes these values outputs of an ONNX model if it is appended to the file.

    A message of protobuf that follows another one of its kind is merged with it: `graph` (7) gets more of `output`
    (12), each with a `name` (1).
    """

    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 128  # one byte holds the length
        return bytes((number << 3 | 2, len(content))) + content

    return b"".join(field(7, field(12, field(1, name.encode()))) for name in names)


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
