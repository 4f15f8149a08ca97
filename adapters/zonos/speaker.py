"""The network that finds the embedding of a voice: a ResNet with SimAM attention on mel bands, then a projection.

Its two files hold state dicts. Sizes and depths are read from them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import librosa
import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adapters.zonos.checkpoint import Tensors, UnreadableCheckpointError
from tritone.contract import SPEECH_RATE

FILES: Final = "ResNet293_SimAM_ASP_base.pt", "ResNet293_SimAM_ASP_base_LDA-128.pt"
_RATE, _FFT, _WINDOW, _HOP, _BANDS = 16_000, 512, 400, 160, 80
_STAGES: Final = 4
_COUNTERS: Final = ".num_batches_tracked"
"""The counters of batch norms, which only training uses."""
_LEAST_POWER: Final = 1e-6
_LEAST_VARIANCE: Final = 1e-5
_SIMAM_LAMBDA: Final = 1e-4


class SpeakerEncoder:
    """Samples -> the embedding of their voice. In float32, on one device."""

    def __init__(self, network: Mapping[str, Tensor], projection: Mapping[str, Tensor], device: torch.device) -> None:
        """Take both state dicts; raises `UnreadableCheckpointError` if a tensor is missing or unknown."""
        counted = {name: tensor.to(device) for name, tensor in network.items() if not name.endswith(_COUNTERS)}
        tensors = Tensors(counted, Path(FILES[0]), torch.float32)
        self._first = _Convolution(tensors, "front.conv1", "front.bn1")
        self._blocks = [
            _Block(tensors, f"front.layer{stage}.{number}", halved=stage > 1 and number == 0)
            for stage in range(1, _STAGES + 1)
            for number in _numbers(counted, f"front.layer{stage}.")
        ]
        self._pooling = _Pooling(tensors)
        self._bottleneck = tensors.take("bottleneck.weight", -1, -1), tensors.take("bottleneck.bias", -1)
        tensors.check_all_taken()
        last = Tensors({name: tensor.to(device) for name, tensor in projection.items()}, Path(FILES[1]), torch.float32)
        width = len(self._bottleneck[1])
        self._projection = last.take("weight", -1, width), last.take("bias", -1)
        last.check_all_taken()
        self.width = len(self._projection[1])
        """The length of the embedding."""
        filters = librosa.filters.mel(sr=_RATE, n_fft=_FFT, n_mels=_BANDS, htk=True, norm=None)
        self._filters = torch.from_numpy(filters).to(device)
        self._window = torch.hann_window(_WINDOW, device=device)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> SpeakerEncoder:
        """Read the two published files; raises `UnreadableCheckpointError`."""
        network, projection = (_state(folder / name) for name in FILES)
        return cls(network, projection, device)

    def __call__(self, audio: NDArray[np.float32]) -> Tensor:
        """Return the embedding (width,) of mono samples (n,) at `SPEECH_RATE`."""
        samples = soxr.resample(audio, SPEECH_RATE, _RATE)
        x = self.bands(torch.from_numpy(samples).to(self._filters.device))[None, None]
        x = self._first(x).relu_()
        for block in self._blocks:
            x = block(x)
        return F.linear(F.linear(self._pooling(x), *self._bottleneck), *self._projection)[0]

    def bands(self, samples: Tensor) -> Tensor:
        """Return the logarithms of the mel bands (80, frames) of samples at 16 kHz, less the mean of each band."""
        spectrum = torch.stft(
            samples,
            _FFT,
            _HOP,
            _WINDOW,
            self._window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        logs = (self._filters @ spectrum.abs().square() + _LEAST_POWER).log()
        return logs - logs.mean(-1, keepdim=True)


class _Convolution:
    """A convolution without a bias, and the batch norm after it."""

    def __init__(self, tensors: Tensors, convolution: str, norm: str, stride: int = 1) -> None:
        weight = tensors.take(f"{convolution}.weight", -1, -1, -1, -1)
        self._weight = weight
        self._norm = _batch_norm(tensors, norm, len(weight))
        self._stride = stride

    def __call__(self, x: Tensor) -> Tensor:
        padding = self._weight.shape[-1] // 2
        return self._norm(F.conv2d(x, self._weight, stride=self._stride, padding=padding))


def _batch_norm(tensors: Tensors, name: str, width: int) -> Callable[[Tensor], Tensor]:
    """Return the norm with the means and variances of the training."""
    mean, variance, weight, bias = (
        tensors.take(f"{name}.{part}", width) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return lambda x: F.batch_norm(x, mean, variance, weight, bias)


class _Block:
    """A residual block; `halved`: the first of a stage that halves bands and frames."""

    def __init__(self, tensors: Tensors, prefix: str, *, halved: bool) -> None:
        self._first = _Convolution(tensors, f"{prefix}.conv1", f"{prefix}.bn1", 1 + halved)
        self._second = _Convolution(tensors, f"{prefix}.conv2", f"{prefix}.bn2")
        self._shortcut = None
        if halved:
            self._shortcut = _Convolution(tensors, f"{prefix}.downsample.0", f"{prefix}.downsample.1", 2)

    def __call__(self, x: Tensor) -> Tensor:
        inner = _attended(self._second(self._first(x).relu_()))
        return (inner + (self._shortcut(x) if self._shortcut else x)).relu_()


def _attended(x: Tensor) -> Tensor:
    """SimAM (Yang et al., 2021): weigh each value by its distance from the mean of its channel."""
    distances = (x - x.mean((2, 3), keepdim=True)).square()
    variance = distances.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
    return x * (distances / (4 * (variance + _SIMAM_LAMBDA)) + 0.5).sigmoid()


class _Pooling:
    """Attentive statistics: the weighted mean and deviation over the frames."""

    def __init__(self, tensors: Tensors) -> None:
        prefix = "pooling.attention"
        self._inward = tensors.take(f"{prefix}.0.weight", -1, -1, 1), tensors.take(f"{prefix}.0.bias", -1)
        self._norm = _batch_norm(tensors, f"{prefix}.2", len(self._inward[1]))
        self._outward = tensors.take(f"{prefix}.3.weight", -1, -1, 1), tensors.take(f"{prefix}.3.bias", -1)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.flatten(1, 2)
        hidden = self._norm(F.conv1d(x, *self._inward).relu_())
        weights = F.conv1d(hidden, *self._outward).softmax(2)
        mean = (x * weights).sum(2)
        variance = (x.square() * weights).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], 1)


def _numbers(names: Mapping[str, Tensor], prefix: str) -> list[int]:
    """Return the numbers of the blocks of a stage."""
    return sorted({int(name.removeprefix(prefix).split(".")[0]) for name in names if name.startswith(prefix)})


def _state(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UnreadableCheckpointError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UnreadableCheckpointError(f"{path} is no state dict")
    return state
