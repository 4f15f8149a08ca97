"""The published tensors and config of the codec's decoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from adapters.qwen3_tts.inflight.model.weights import UnreadableCheckpointError

_DECODER = "decoder."
"""The prefix of the decoder's tensors; the file also has those of the encoder."""


@dataclass(frozen=True, eq=False)
class CodecWeights:
    """The decoder's tensors and config, both by their published names."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> CodecWeights:
        """Read the decoder in `folder`, in float32 as published; raises `UnreadableCheckpointError`.

        The encoder's tensors are not read.
        """
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))["decoder_config"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableCheckpointError(f"{path} is not of a Qwen3-TTS codec: {error!r}") from None
        tensors: dict[str, Tensor] = {}
        for file in sorted(folder.glob("model*.safetensors")):
            with safe_open(file, "pt", device=str(device)) as content:
                names = [name for name in content.keys() if name.startswith(_DECODER)]  # noqa: SIM118 - no mapping
                tensors |= {name.removeprefix(_DECODER): content.get_tensor(name).float() for name in names}
        if not tensors:
            raise UnreadableCheckpointError(f"{folder} has no tensors of the codec's decoder")
        return cls(tensors, config)

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return next(iter(self.tensors.values())).device

    def tensor(self, name: str) -> Tensor:
        """Return a tensor; raises `UnreadableCheckpointError` if it is missing."""
        try:
            return self.tensors[name]
        except KeyError:
            raise UnreadableCheckpointError(f"the codec's decoder has no tensor {name}") from None

    def linear(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the weight and the bias of a layer."""
        return self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")

    def setting(self, name: str) -> Any:
        """Return a value of the config; raises `UnreadableCheckpointError` if it is missing."""
        try:
            return self.config[name]
        except KeyError:
            raise UnreadableCheckpointError(f"the config of the codec's decoder has no {name}") from None
