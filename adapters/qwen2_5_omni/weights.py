"""The thinker's weights, loaded once and laid out for the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder, SinusoidsPositionEmbedding

from adapters.inflight.norm import RmsNorm
from adapters.qwen2_5_omni.awq import AwqTensors, Int4Matrix
from adapters.qwen2_5_omni.checkpoint import Config, Tensors, UnreadableCheckpointError

Product = Callable[[Tensor], Tensor]
"""(tokens, inputs) -> (tokens, outputs)."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A decoder layer. Matrices with the same input are joined."""

    input_norm: RmsNorm
    qkv: Product
    """To (heads + 2 * key_value_heads) * head_dim: queries, keys, values."""
    qkv_bias: Tensor
    output: Product
    mlp_norm: RmsNorm
    gate_up: Product
    """To 2 * intermediate."""
    down: Product
    group: int
    """Query heads that share a key head."""
    head_dim: int

    def queries_keys_values(self, x: Tensor) -> Tensor:
        """Return (tokens, (heads + 2 * key_value_heads) * head_dim)."""
        return self.qkv(self.input_norm(x)).add_(self.qkv_bias)

    def attention_out(self, attended: Tensor) -> Tensor:
        """Return (tokens, hidden) from the attended values (tokens, heads * head_dim), by group, then by head."""
        # The matrix has its inputs by head; those of 4 bits cannot be reordered, because groups share a scale.
        tokens = len(attended)
        by_head = attended.view(tokens, self.group, -1, self.head_dim).transpose(1, 2).reshape(tokens, -1)
        return self.output(by_head)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Return (tokens, hidden)."""
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, 1)
        return self.down(F.silu(gate).mul_(up))


@dataclass(frozen=True, eq=False)
class Weights:
    """The content of a checkpoint, on one device."""

    config: Config
    device: torch.device
    dtype: torch.dtype
    embedding: Tensor
    """(vocabulary, hidden)"""
    layers: Sequence[Layer]
    norm: RmsNorm
    head: Tensor
    """(vocabulary, hidden): from the last hidden state to the next token."""
    heads: int
    key_value_heads: int
    head_dim: int
    rope_theta: float
    audio_encoder: Any
    """The package's `Qwen2_5OmniAudioEncoder`."""

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Weights:
        """Load a published checkpoint; raises `UnreadableCheckpointError` if any weight is missing or unknown."""
        config = Config.read(folder)
        place = torch.device(device)
        tensors = Tensors(folder, place, config.group_size)
        text = config.text
        heads = text["num_attention_heads"]
        head_dim = text.get("head_dim") or text["hidden_size"] // heads
        group = heads // text["num_key_value_heads"]
        embedding = tensors.take("model.embed_tokens.weight", dtype)
        tied = text.get("tie_word_embeddings") and "lm_head.weight" not in tensors
        eps = text["rms_norm_eps"]
        weights = cls(
            config=config,
            device=place,
            dtype=dtype,
            embedding=embedding,
            layers=[
                _layer(tensors, f"model.layers.{i}", eps, dtype, group=group, head_dim=head_dim)
                for i in range(text["num_hidden_layers"])
            ],
            norm=RmsNorm(tensors.take("model.norm.weight", dtype), eps),
            head=embedding if tied else tensors.take("lm_head.weight", dtype),
            heads=heads,
            key_value_heads=text["num_key_value_heads"],
            head_dim=head_dim,
            rope_theta=text["rope_theta"],
            audio_encoder=_audio_encoder(tensors, config, place, dtype),
        )
        tensors.check_all_taken()
        return weights


def _layer(tensors: Tensors, prefix: str, eps: float, dtype: torch.dtype, *, group: int, head_dim: int) -> Layer:
    def product(*names: str) -> Product:
        return _product(tensors.take_matrix([f"{prefix}.{name}" for name in names], dtype), dtype)

    qkv = [f"self_attn.{name}_proj" for name in "qkv"]
    return Layer(
        input_norm=RmsNorm(tensors.take(f"{prefix}.input_layernorm.weight", dtype), eps),
        qkv=product(*qkv),
        qkv_bias=torch.cat([tensors.take(f"{prefix}.{name}.bias", dtype) for name in qkv]),
        output=product("self_attn.o_proj"),
        mlp_norm=RmsNorm(tensors.take(f"{prefix}.post_attention_layernorm.weight", dtype), eps),
        gate_up=product("mlp.gate_proj", "mlp.up_proj"),
        down=product("mlp.down_proj"),
        group=group,
        head_dim=head_dim,
    )


def _product(matrix: Tensor | AwqTensors, dtype: torch.dtype) -> Product:
    """Return the product with a matrix; one of 4 bits is unpacked where torch cannot multiply with it."""
    if isinstance(matrix, AwqTensors):
        try:
            return Int4Matrix(matrix, dtype)
        except RuntimeError:
            matrix = matrix.unpacked(dtype)
    weight = matrix
    return lambda x: F.linear(x, weight)


def _audio_encoder(tensors: Tensors, config: Config, device: torch.device, dtype: torch.dtype) -> Any:
    audio = Qwen2_5OmniAudioEncoderConfig(**{**config.audio, "attn_implementation": "sdpa"})
    with torch.device("meta"):
        encoder = Qwen2_5OmniAudioEncoder(audio)
    # It is computed and not stored, so it is on no device yet.
    encoder.positional_embedding = SinusoidsPositionEmbedding(audio.max_source_positions, audio.d_model).to(device)
    try:
        encoder.load_state_dict(tensors.take_below("audio_tower.", dtype), assign=True)
    except RuntimeError as error:
        raise UnreadableCheckpointError(f"the audio encoder: {error}") from None
    return encoder.eval().requires_grad_(False)
