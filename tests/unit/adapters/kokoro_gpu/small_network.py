"""A narrow network with random weights, and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from adapters.kokoro.gpu import decoder
from adapters.kokoro.gpu.module import Kokoro
from adapters.kokoro.gpu.network import GpuNetwork
from adapters.kokoro.synthesis import PieceInput
from tests.unit.pretended_cuda import PretendedCuda

CPU = torch.device("cpu")
FRAMES_PER_TOKEN = 3.0


def no_vocabulary(phonemes: str) -> list[int]:
    raise AssertionError("the tests give tokens")


def small_module() -> Kokoro:
    """Return a narrow network with random weights that speaks a few frames for each token."""
    torch.manual_seed(0)
    module = Kokoro(width=64)
    share = torch.tensor(FRAMES_PER_TOKEN / 50)
    torch.nn.init.constant_(module.predictor.duration_proj.bias, float(torch.logit(share)))
    torch.nn.init.normal_(module.predictor.duration_proj.weight, std=0.2)
    torch.nn.init.constant_(module.predictor.F0_proj.bias, 150)  # Hz
    return module


def inputs(*lengths: int, speed: float = 1.0) -> list[PieceInput]:
    """Return pieces of so many tokens."""
    random = np.random.default_rng(sum(lengths))
    return [
        (random.integers(1, 178, length).tolist(), random.standard_normal((1, 256), np.float32), speed)
        for length in lengths
    ]


@pytest.fixture
def continuous_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the source's phase, whose jumps make much of a rounding error, by a continuous function."""
    monkeypatch.setattr(decoder, "_phase", lambda real, imaginary: real + 2 * imaginary)


@pytest.fixture
def network() -> Callable[..., GpuNetwork]:
    """Return a function that makes a narrow network on a device."""

    def make(device: Any = CPU, *, batch_frames: int = 4096, graphs: bool = True) -> GpuNetwork:
        module = small_module().prepare(device, torch.float32)
        return GpuNetwork(module, no_vocabulary, device, batch_frames=batch_frames, graphs=graphs)

    return make


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedCuda]:
    """Pretend that there is a GPU, without cuDNN, which would join the weights of recurrent layers."""
    monkeypatch.setattr(torch.backends.cudnn, "is_acceptable", lambda tensor: False)
    with PretendedCuda()() as cuda:
        yield cuda
