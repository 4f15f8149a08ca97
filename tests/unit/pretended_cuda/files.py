"""Reads files of tensors to the pretended GPU, as `safetensors` does without torch's knowledge."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor


def load_file(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Stand in for `safetensors.torch.load_file`."""
    return {name: tensor.to(device) for name, tensor in safetensors.torch.load_file(path).items()}


class safe_open:
    """Stands in for `safetensors.safe_open`."""

    def __init__(self, file: Path, framework: str, device: str = "cpu") -> None:
        self._opened = safetensors.safe_open(file, framework)
        self._device = device

    def __enter__(self) -> safe_open:
        self._content = self._opened.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(*error)

    def keys(self) -> list[str]:
        return list(self._content.keys())

    def get_tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._content.get_tensor(name).to(self._device)
        return tensor
