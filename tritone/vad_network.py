"""Silero's network as published, with other operations: the same results to float rounding, three times as fast.

onnxruntime computes each of the network's convolutions frame by frame, as products with four columns or fewer, for
which it reads all weights again each time. Here each is one product for all frames. Only the LSTM goes frame by frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tritone.onnx_format import Network

_INPUT: Final = 576
"""Samples of a frame, with the end of the frame before."""
_STEP, _WINDOW, _WINDOWS = 128, 256, 4
"""The STFT: samples from one window to the next, samples in one, and windows in a frame."""
_BINS: Final = _WINDOW // 2 + 1
_LSTM: Final = 128
"""Units of the LSTM."""


def faster(published: bytes) -> bytes:
    """Return an ONNX file with the inputs, outputs and weights of the `published` one."""
    return _Builder(Network(published)).build()


class _Builder:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._weights = network.constants
        self._add = network.add

    def build(self) -> bytes:
        """Add all operations; return the file. In comments: the shapes, of n frames."""
        magnitudes = self._stft()  # [n * 4, 129]
        hidden = self._encoder(magnitudes)  # [n, 128]
        weights = [self._network.constant(self._weights[f"onnx::LSTM_{number}"]) for number in (209, 210, 211)]
        steps = self._reshaped(hidden, -1, 1, _LSTM)
        spoken = self._add("LSTM", steps, *weights, "", "h", "c", outputs=("steps", "hn", "cn"), hidden_size=_LSTM)
        spoken = self._add("Relu", self._reshaped(spoken, -1, _LSTM))
        logits = self._linear(spoken, self._weights["output.weight"][0], self._weights["output.bias"])
        self._add("Reshape", self._add("Sigmoid", logits), self._ints(-1), outputs=("speech_probs",))
        return self._network.file()

    def _stft(self) -> str:
        """Add the magnitudes of the spectra of each frame's windows."""
        end = _STEP * (_WINDOWS + 1)
        padded = self._add("Pad", "input", self._ints(0, 0, 0, end - _INPUT), mode="reflect")
        halves = [
            self._reshaped(self._part(padded, start, start + _STEP * _WINDOWS), -1, _STEP) for start in (0, _STEP)
        ]
        windows = self._add("Concat", *halves, axis=1)  # [n * 4, 256]
        # The basis is even for cosines and odd for sines around the middle of a window, and 0 at its first sample: the
        # sum and the difference of both sides need half of the products. The middle itself is in both.
        left, right = self._part(windows, 1, _STEP + 1), self._part(windows, _WINDOW - 1, _STEP - 1, -1)
        basis = self._weights["stft.forward_basis_buffer"][:, 0, 1 : _STEP + 1].T.copy()
        basis[-1] /= 2
        cosines = self._product(self._add("Add", left, right), basis[:, :_BINS])
        sines = self._product(self._add("Sub", left, right), basis[:, _BINS:])
        powers = [self._add("Mul", each, each) for each in (cosines, sines)]
        return self._add("Sqrt", self._add("Add", *powers))

    def _encoder(self, magnitudes: str) -> str:
        """Add the four convolutions, of 3 windows each; the second and the third halve the number of windows."""
        frames = self._reshaped(magnitudes, -1, _WINDOWS, _BINS)
        padded = self._add("Pad", frames, self._ints(0, 1, 0, 0, 1, 0))
        shifted = [self._part(padded, start, start + _WINDOWS) for start in range(3)]
        around = self._reshaped(self._add("Concat", *shifted, axis=2), -1, 3 * _BINS)  # [n * 4, 387]
        first = self._add("Relu", self._linear(around, self._taps(0), self._bias(0)))
        row = self._reshaped(first, -1, _WINDOWS * 128)
        # Around window 0 the first tap is outside, around window 2 none is.
        begin = self._linear(self._part(row, 0, 2 * 128), self._taps(1)[128:], self._bias(1))
        middle = self._linear(self._part(row, 128, 4 * 128), self._taps(1), self._bias(1))
        second = self._add("Relu", self._add("Concat", begin, middle, axis=1))  # [n, 2 * 64]
        third = self._add("Relu", self._linear(second, self._taps(2)[64:], self._bias(2)))
        return self._add("Relu", self._linear(third, self._taps(3)[64:128], self._bias(3)))

    def _taps(self, layer: int) -> NDArray[np.float32]:
        """Return the weights of a convolution as a matrix, [3 * channels in, channels out]."""
        weights = self._weights[f"encoder.{layer}.weight"]
        return weights.transpose(2, 1, 0).reshape(-1, len(weights))

    def _bias(self, layer: int) -> NDArray[np.float32]:
        return self._weights[f"encoder.{layer}.bias"]

    def _linear(self, rows: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        return self._add("Gemm", rows, self._network.constant(weights), self._network.constant(bias))

    def _product(self, rows: str, weights: NDArray[np.float32]) -> str:
        return self._add("MatMul", rows, self._network.constant(weights))

    def _part(self, tensor: str, start: int, stop: int, step: int = 1) -> str:
        """Add the part [start, stop) along axis 1."""
        return self._add("Slice", tensor, *map(self._ints, (start, stop, 1, step)))

    def _reshaped(self, tensor: str, *shape: int) -> str:
        return self._add("Reshape", tensor, self._ints(*shape))

    def _ints(self, *values: int) -> str:
        return self._network.constant(np.array(values, np.int64))
