"""A checkpoint's config and tensors, loaded once and laid out for the stepper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

if TYPE_CHECKING:
    from adapters.qwen3_tts.encoders import Encoders


class UnreadableCheckpointError(Exception):
    """The tensors are not those of a Qwen3-TTS model. The message names them."""


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A decoder layer. Matrices with the same input are joined."""

    input_norm: Tensor
    """(hidden,)"""
    qkv: Tensor
    """((heads + 2 * key_value_heads) * head_dim, hidden): queries, keys, values."""
    qk_norm: Tensor
    """(heads + key_value_heads, head_dim): each head's norm, queries first."""
    attention_out: Tensor
    """(hidden, heads * head_dim), with columns in the order of `layers.attend`: by group, then by head."""
    mlp_norm: Tensor
    """(hidden,)"""
    gate_up: Tensor
    """(2 * intermediate, hidden)"""
    down: Tensor
    """(hidden, intermediate)"""


@dataclass(frozen=True, eq=False)
class DecoderWeights:
    """A stack of decoder layers and the norm after them."""

    layers: Sequence[LayerWeights]
    norm: Tensor
    """(hidden,)"""
    heads: int
    key_value_heads: int
    head_dim: int
    eps: float
    rope_theta: float


@dataclass(frozen=True, eq=False)
class Weights:
    """The content of a checkpoint, on one device; in one precision, unless noted."""

    folder: Path
    device: torch.device
    dtype: torch.dtype
    config: Mapping[str, Any]
    """config.json."""
    generation: Mapping[str, Any]
    """generation_config.json: the checkpoint's own defaults."""
    talker: DecoderWeights
    codec_head: Tensor
    """(talker vocabulary, hidden): from the talker's hidden state to codebook 0."""
    predictor: DecoderWeights
    """With float16, the predictor, its projection and its heads are float32 (see `_predictor_dtype`)."""
    predictor_in: tuple[Tensor, Tensor] | None
    """Weight and bias from the talker's width to the predictor's; None if the widths are equal."""
    predictor_heads: Sequence[Tensor]
    """15 of (codes, predictor hidden): from the predictor's hidden state to codebooks 1 to 15."""
    code_embeddings: Sequence[Tensor]
    """16 of (vocabulary, hidden): codebook 0 with its control codes, and the 15 others."""
    text_embedding: Tensor
    """(text vocabulary, text hidden)"""
    text_projection: tuple[Tensor, Tensor, Tensor, Tensor]
    """Weight and bias of the two layers from the text's width to the talker's."""
    encoders: Encoders | None
    """The encoders of voices; None for checkpoints that do not clone voices."""

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        predictor_dtype: torch.dtype | None = None,
    ) -> Weights:
        """Load a published checkpoint; raises `UnreadableCheckpointError`.

        `predictor_dtype`: by default as `_predictor_dtype` says.
        """
        config = _json(folder / "config.json")
        talker, predictor = config["talker_config"], config["talker_config"]["code_predictor_config"]
        tensors = _Tensors(folder, device, dtype)
        predictor_tensors = tensors.in_dtype(predictor_dtype or _predictor_dtype(dtype))
        codebooks = range(talker["num_code_groups"] - 1)
        projected = talker["hidden_size"] != predictor["hidden_size"]
        weights = cls(
            folder=folder,
            device=torch.device(device),
            dtype=dtype,
            config=config,
            generation=_json(folder / "generation_config.json"),
            talker=_decoder(tensors, "talker.model", talker),
            codec_head=tensors.take("talker.codec_head.weight"),
            predictor=_decoder(predictor_tensors, "talker.code_predictor.model", predictor),
            predictor_in=predictor_tensors.linear("talker.code_predictor.small_to_mtp_projection")
            if projected
            else None,
            predictor_heads=[predictor_tensors.take(f"talker.code_predictor.lm_head.{i}.weight") for i in codebooks],
            code_embeddings=[
                tensors.take("talker.model.codec_embedding.weight"),
                *(tensors.take(f"talker.code_predictor.model.codec_embedding.{i}.weight") for i in codebooks),
            ],
            text_embedding=tensors.take("talker.model.text_embedding.weight"),
            text_projection=(
                *tensors.linear("talker.text_projection.linear_fc1"),
                *tensors.linear("talker.text_projection.linear_fc2"),
            ),
            encoders=_encoders(folder, config, tensors) if config["tts_model_type"] == "base" else None,
        )
        tensors.check_all_taken()
        return weights


class _Tensors:
    """A checkpoint's tensors. Each is taken once, so that none is missed or kept twice."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        self._folder = folder
        self.device = torch.device(device)
        self.dtype = dtype
        self._left: dict[str, Tensor] = {}
        for path in sorted(folder.glob("model*.safetensors")):
            self._left |= load_file(path, device=device)

    def in_dtype(self, dtype: torch.dtype) -> _Tensors:
        """Return the same tensors, to be taken in another precision."""
        same = copy(self)
        same.dtype = dtype
        return same

    def take(self, name: str) -> Tensor:
        try:
            return self._left.pop(name).to(self.dtype)
        except KeyError:
            raise UnreadableCheckpointError(f"{self._folder} has no tensor {name}") from None

    def linear(self, name: str) -> tuple[Tensor, Tensor]:
        return self.take(f"{name}.weight"), self.take(f"{name}.bias")

    def take_below(self, prefix: str) -> dict[str, Tensor]:
        names = [name for name in self._left if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.take(name) for name in names}

    def check_all_taken(self) -> None:
        if self._left:
            raise UnreadableCheckpointError(f"{self._folder} has tensors of another model: {', '.join(self._left)}")


def _predictor_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the predictor's precision. The published 0.6B has values in it twice as large as float16 can hold."""
    return torch.float32 if dtype == torch.float16 else dtype


def _decoder(tensors: _Tensors, prefix: str, config: Mapping[str, Any]) -> DecoderWeights:
    check_decoder(config)
    heads, key_value_heads, head_dim = (
        config[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim")
    )
    return DecoderWeights(
        layers=[
            _layer(tensors, f"{prefix}.layers.{i}", heads, key_value_heads) for i in range(config["num_hidden_layers"])
        ],
        norm=tensors.take(f"{prefix}.norm.weight"),
        heads=heads,
        key_value_heads=key_value_heads,
        head_dim=head_dim,
        eps=config["rms_norm_eps"],
        rope_theta=config["rope_theta"],
    )


def _layer(tensors: _Tensors, prefix: str, heads: int, key_value_heads: int) -> LayerWeights:
    def take(*names: str) -> list[Tensor]:
        return [tensors.take(f"{prefix}.{name}.weight") for name in names]

    q_norm, k_norm = take("self_attn.q_norm", "self_attn.k_norm")
    (out,) = take("self_attn.o_proj")
    by_head = out.view(out.shape[0], key_value_heads, heads // key_value_heads, -1)
    return LayerWeights(
        input_norm=take("input_layernorm")[0],
        qkv=torch.cat(take("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        qk_norm=torch.cat([q_norm.expand(heads, -1), k_norm.expand(key_value_heads, -1)]),
        attention_out=by_head.transpose(1, 2).reshape(out.shape),
        mlp_norm=take("post_attention_layernorm")[0],
        gate_up=torch.cat(take("mlp.gate_proj", "mlp.up_proj")),
        down=take("mlp.down_proj")[0],
    )


def check_decoder(config: Mapping[str, Any]) -> None:
    """Raise `UnreadableCheckpointError` for values that our layers do not support; no published checkpoint has them."""
    rope = config.get("rope_scaling") or {}
    supported = {
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "attention_bias": (config.get("attention_bias", False), False),
        "use_sliding_window": (bool(config.get("use_sliding_window")), False),
        "rope_scaling.rope_type": (rope.get("rope_type", rope.get("type", "default")), "default"),
    }
    for name, (value, right) in supported.items():
        if value != right:
            raise UnreadableCheckpointError(f"{name} is {value}; only {right} is supported")


def _encoders(folder: Path, config: Mapping[str, Any], tensors: _Tensors) -> Encoders:
    from adapters.qwen3_tts.encoders import Encoders  # noqa: PLC0415 - other checkpoints start without the package

    return Encoders(folder, config, tensors.take_below("speaker_encoder."), tensors.device, tensors.dtype)


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
