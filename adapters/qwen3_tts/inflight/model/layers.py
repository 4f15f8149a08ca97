"""Decoder layers with external keys and values, for the talker and the code predictor.

Roundings are those of the reference: norms in float32, rounded, then multiplied by their weight; rotations in the
model's precision; SiLU rounded before the product; residuals in the model's precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.inflight.attention import rotation_tables
from adapters.inflight.norm import RmsNorm
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, queries (tokens, heads, dim), keys and values (tokens, 2 * key_value_heads, dim) -> (tokens, heads * dim)."""


class _Layer(NamedTuple):
    """The weights of `LayerWeights`, with transposed matrices."""

    input_norm: RmsNorm
    qkv: Tensor
    qk_norm: RmsNorm
    attention_out: Tensor
    mlp_norm: RmsNorm
    gate_up: Tensor
    down: Tensor


class Decoder:
    """A stack of layers without state. `attend` keeps keys and values; it is called once per layer."""

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: the largest number of positions."""
        self._layers = [
            _Layer(
                RmsNorm(layer.input_norm, weights.eps),
                layer.qkv.t(),
                RmsNorm(layer.qk_norm, weights.eps),
                layer.attention_out.t(),
                RmsNorm(layer.mlp_norm, weights.eps),
                layer.gate_up.t(),
                layer.down.t(),
            )
            for layer in weights.layers
        ]
        self.norm = RmsNorm(weights.norm, weights.eps)
        """The final norm, to apply to the tokens that need it."""
        self._heads = weights.heads, 2 * weights.key_value_heads
        self._rotated = weights.heads + weights.key_value_heads
        self._dim = weights.head_dim
        self._cos, self._sin = rotation_tables(weights.head_dim, weights.rope_theta, positions, like=weights.norm)
        rounds = weights.norm.dtype != torch.float32
        self._residual = _rounded_addmm if rounds else torch.addmm
        self._sum = _rounded_addcmul if rounds else torch.addcmul

    def rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of positions (tokens,) int64, an argument of `__call__`."""
        return self._cos.index_select(0, positions), self._sin.index_select(0, positions)

    def __call__(self, x: Tensor, rotations: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """Compute (tokens, hidden) from (tokens, hidden), before the final norm."""
        cos, sin = rotations
        shape = x.shape[0], -1, self._dim
        for index, layer in enumerate(self._layers):
            qkv = layer.input_norm(x).mm(layer.qkv).view(shape)
            qk = qkv.narrow(1, 0, self._rotated)
            normed = layer.qk_norm(qk)
            self._sum(
                normed * cos, normed.roll(self._dim // 2, -1), sin, out=qk
            )  # the result stays in `qkv`, next to the values
            x = self._residual(x, attend(index, *qkv.split(self._heads, 1)), layer.attention_out)
            gate, up = layer.mlp_norm(x).mm(layer.gate_up).chunk(2, 1)
            x = self._residual(x, F.silu(gate).mul_(up), layer.down)
        return x


def _rounded_addmm(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """Return `x + y @ matrix`. Unlike torch's own addmm, it rounds the product before the sum."""
    return torch.mm(y, matrix).add_(x)


def _rounded_addcmul(x: Tensor, y: Tensor, z: Tensor, *, out: Tensor) -> Tensor:
    """Return `x + y * z`, with the product rounded before the sum."""
    return torch.add(x, y * z, out=out)
