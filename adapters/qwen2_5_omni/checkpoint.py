"""The tensors of a checkpoint, plain or quantised with AWQ: only the thinker's are read, and all of those."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from adapters.qwen2_5_omni.awq import AwqTensors

_THINKER = "thinker."
_VISION = "thinker.visual."
_QUANTIZED = ("qweight", "qzeros", "scales")


class UnreadableCheckpointError(Exception):
    """The files are not those of a Qwen2.5-Omni model, or of one that this family cannot compute."""


@dataclass(frozen=True)
class Config:
    """The parts of config.json that the thinker needs."""

    audio_token: int
    audio: Mapping[str, Any]
    """The configuration of the audio encoder."""
    text: Mapping[str, Any]
    """The configuration of the decoder."""
    group_size: int
    """Inputs that share a scale in an AWQ checkpoint; 0: the checkpoint is not quantised."""

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read config.json; raises `UnreadableCheckpointError`."""
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            thinker = config.get("thinker_config", config)
            text = thinker["text_config"]
            read = cls(
                audio_token=thinker["audio_token_index"],
                audio=thinker["audio_config"],
                text=text,
                group_size=_group_size(config.get("quantization_config") or thinker.get("quantization_config") or {}),
            )
        except OSError as error:
            raise UnreadableCheckpointError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UnreadableCheckpointError(f"{path} is not of a Qwen2.5-Omni model: {error!r}") from None
        _check_decoder(text)
        return read


class Tensors:
    """The thinker's tensors in the files of a folder. Each is read once, when it is taken."""

    def __init__(self, folder: Path, device: torch.device, group_size: int) -> None:
        """Open the files; raises `UnreadableCheckpointError` if there are none."""
        self._folder = folder
        self._device = device
        self._group_size = group_size
        self._left: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                self._left |= {name: path for name in file.keys() if name.startswith(_THINKER)}  # noqa: SIM118
        self._left = {name: path for name, path in self._left.items() if not name.startswith(_VISION)}
        if not self._left:
            raise UnreadableCheckpointError(f"{folder} has no *.safetensors with tensors of a thinker")

    def __contains__(self, name: str) -> bool:
        return _THINKER + name in self._left

    def take(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return a tensor by its name in the thinker; raises `UnreadableCheckpointError` if it is missing."""
        path = self._left.pop(_THINKER + name, None)
        if path is None:
            raise UnreadableCheckpointError(f"{self._folder} has no tensor {_THINKER}{name}")
        with safe_open(path, "pt", device=str(self._device)) as file:
            tensor: Tensor = file.get_tensor(_THINKER + name)
        return tensor if dtype is None else tensor.to(dtype)

    def take_matrix(self, names: Sequence[str], dtype: torch.dtype) -> Tensor | AwqTensors:
        """Return matrices with the same input as one, (outputs, inputs), or as quantised tensors."""
        if f"{names[0]}.qweight" not in self:
            return torch.cat([self.take(f"{name}.weight", dtype) for name in names])
        if not self._group_size:
            raise UnreadableCheckpointError(
                f"{self._folder} has quantised tensors, but config.json has no quantization_config"
            )
        qweight, qzeros, scales = (torch.cat([self.take(f"{name}.{kind}") for name in names], 1) for kind in _QUANTIZED)
        return AwqTensors(qweight, qzeros, scales, self._group_size)

    def take_below(self, prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return all tensors with a prefix, by their names after it; quantised matrices are unpacked."""
        names = [name.removeprefix(_THINKER + prefix) for name in self._left if name.startswith(_THINKER + prefix)]
        taken = {}
        for name in names:
            stem, _, kind = name.rpartition(".")
            if kind == _QUANTIZED[0]:
                matrix = self.take_matrix([prefix + stem], dtype)
                assert isinstance(matrix, AwqTensors)
                taken[f"{stem}.weight"] = matrix.unpacked(dtype)
            elif kind not in _QUANTIZED:
                taken[name] = self.take(prefix + name, dtype)
        return taken

    def check_all_taken(self) -> None:
        """Raise `UnreadableCheckpointError` for tensors that the thinker should not have."""
        if self._left:
            names = ", ".join(sorted(self._left)[:5])
            raise UnreadableCheckpointError(f"{self._folder} has {len(self._left)} unknown tensors: {names}...")


def _group_size(quantization: Mapping[str, Any]) -> int:
    """Return the group size of `quantization_config`, 0 without one. Raises for any but AWQ's usual form."""
    if not quantization:
        return 0
    supported = {"quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": True}
    for name, right in supported.items():
        value = quantization.get(name)
        if (value.lower() if isinstance(value, str) else value) != right:
            raise UnreadableCheckpointError(f"quantization_config.{name} is {value!r}; only {right!r} is supported")
    return int(quantization["group_size"])


def _check_decoder(config: Mapping[str, Any]) -> None:
    """Raise for values that the layers do not support. The published checkpoints do not have them."""
    rope = config.get("rope_scaling") or {}
    supported = {
        "hidden_act": (config.get("hidden_act", "silu"), ("silu",)),
        "use_sliding_window": (bool(config.get("use_sliding_window")), (False,)),
        "rope_scaling.type": (rope.get("rope_type", rope.get("type", "default")), ("default", "mrope")),
    }
    for name, (value, right) in supported.items():
        if value not in right:
            raise UnreadableCheckpointError(f"text_config.{name} is {value!r}; only {right[0]!r} is supported")
