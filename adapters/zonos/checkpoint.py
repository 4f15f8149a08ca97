"""A published Zonos folder: config.json and model.safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

CODEBOOKS = 9


class UnreadableCheckpointError(Exception):
    """The files are not those of a Zonos model, or of one that this family cannot compute."""


@dataclass(frozen=True)
class Config:
    """The parts of config.json that the engine needs."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    eps: float
    conditioners: Sequence[Mapping[str, Any]]
    """In the order of their tokens."""
    projection: str
    """After the conditioners: `none`, `linear` or `mlp`."""
    end: int
    """The code that ends the speech."""
    mask: int
    """The code of a place without a code."""

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read config.json; raises `UnreadableCheckpointError`."""
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            backbone, prefix = config["backbone"], config["prefix_conditioner"]
            if backbone.get("ssm_cfg"):
                raise UnreadableCheckpointError(f"{path} is of a hybrid model; only Zonos' transformer is supported")
            attention = backbone["attn_cfg"]
            read = cls(
                hidden=backbone["d_model"],
                intermediate=backbone["attn_mlp_d_intermediate"],
                layers=backbone["n_layer"],
                heads=attention["num_heads"],
                key_value_heads=attention["num_heads_kv"],
                eps=backbone.get("norm_epsilon", 1e-5),
                conditioners=prefix["conditioners"],
                projection=prefix["projection"],
                end=config.get("eos_token_id", 1024),
                mask=config.get("masked_token_id", 1025),
            )
            _check(path, read, backbone)
        except OSError as error:
            raise UnreadableCheckpointError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UnreadableCheckpointError(f"{path} is not of a Zonos model: {error!r}") from None
        return read

    @property
    def head_dim(self) -> int:
        """The width of an attention head."""
        return self.hidden // self.heads


def _check(path: Path, config: Config, backbone: Mapping[str, Any]) -> None:
    """Raise for values that the layers do not support. The published checkpoint does not have them."""
    attention = backbone["attn_cfg"]
    supported = {
        "backbone.rms_norm": (backbone.get("rms_norm", False), False),
        "backbone.attn_layer_idx": (list(backbone["attn_layer_idx"]), list(range(config.layers))),
        "backbone.attn_cfg.causal": (attention.get("causal", True), True),
        "backbone.attn_cfg.rotary_emb_dim": (attention.get("rotary_emb_dim"), config.head_dim),
        "backbone.attn_cfg.qkv_proj_bias": (attention.get("qkv_proj_bias", False), False),
        "backbone.attn_cfg.out_proj_bias": (attention.get("out_proj_bias", False), False),
        "eos_token_id": (config.end, 1024),
        "masked_token_id": (config.mask, 1025),
    }
    for name, (value, right) in supported.items():
        if value != right:
            raise UnreadableCheckpointError(f"{path}: {name} is {value!r}; only {right!r} is supported")


class Tensors:
    """The tensors of a file or of a state dict. Each is taken once, and none may be left."""

    def __init__(self, tensors: Mapping[str, Tensor], source: Path, dtype: torch.dtype) -> None:
        self._left = dict(tensors)
        self._source = source
        self._dtype = dtype

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> Tensors:
        """Read a safetensors file; raises `UnreadableCheckpointError`."""
        try:
            return cls(load_file(path, device=str(device)), path, dtype)
        except (OSError, SafetensorError) as error:
            raise UnreadableCheckpointError(f"{path} cannot be read: {error}") from None

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor of this shape (-1: any size); raises `UnreadableCheckpointError`."""
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise UnreadableCheckpointError(f"{self._source} has no tensor {name}")
        found = tuple(tensor.shape)
        if len(found) != len(shape) or any(size not in (-1, has) for size, has in zip(shape, found, strict=True)):
            raise UnreadableCheckpointError(f"{self._source}: {name} has the shape {found}, not {shape}")
        return tensor.to(self._dtype)

    def check_all_taken(self) -> None:
        """Raise `UnreadableCheckpointError` for tensors that the model should not have."""
        if self._left:
            names = ", ".join(sorted(self._left)[:5])
            raise UnreadableCheckpointError(f"{self._source} has {len(self._left)} unknown tensors: {names}...")
