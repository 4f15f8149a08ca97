"""Decoder layers with external keys and values, for the talker and the code predictor.

Roundings are those of the reference: norms in float32, rounded, then multiplied by their weight; rotations in the
model's precision; SiLU rounded before the product; residuals in the model's precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.model.weights import DecoderWeights

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, queries (tokens, heads, dim), keys and values (tokens, 2 * key_value_heads, dim) -> (tokens, heads * dim)."""


class RmsNorm:
    """Root mean square norm over the last dimension."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        """`weight`: (..., size)."""
        size = weight.shape[-1]
        self._weight = weight
        self._size = (size,)
        self._eps = eps
        self._plain = weight.dtype == torch.float32 and not weight.is_cuda
        self._least = torch.full((), math.sqrt(size * eps), device=weight.device)
        self._scaled = weight * math.sqrt(size)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize `x` (..., size)."""
        if self._plain:  # half as many operations on a CPU, for which torch has no norm kernel
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x.div(torch.hypot(length, self._least)).mul_(self._scaled)
        return F.rms_norm(x, self._size, eps=self._eps).mul_(self._weight)


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
        self._cos, self._sin = rotation_tables(weights, positions)
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


def keys_and_values(cache: Tensor) -> tuple[Tensor, Tensor]:
    """Split a cache (..., positions, 2 * key_value_heads, dim) into keys and values.

    Both are (..., key_value_heads, positions, dim).
    """
    keys, values = cache.transpose(-2, -3).chunk(2, -3)
    return keys, values


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Compute attention of `queries` (rows * tokens, heads, dim) to `keys` (rows, key_value_heads, positions, dim).

    Queries that share a key head are laid out as further tokens of one head, so that no key is copied. `mask` is added
    to the scores: (rows or 1, 1, tokens * heads // key_value_heads, positions), by token, then by group. Returns (rows
    * tokens, heads * dim), by group, then by head.
    """
    rows, key_value_heads, _, dim = keys.shape
    by_head = queries.view(rows, -1, key_value_heads, queries.shape[1] // key_value_heads, dim).transpose(1, 2)
    grouped = by_head.reshape(rows, key_value_heads, -1, dim)
    attended = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return attended.transpose(1, 2).reshape(queries.shape[0], -1)


def causal_mask(tokens: int, group: int, device: torch.device, dtype: torch.dtype, *, before: int = 0) -> Tensor:
    """Return the `mask` of `attend` for tokens after `before` others, (1, 1, tokens * group, before + tokens)."""
    mask = torch.full((tokens, before + tokens), -torch.inf, device=device, dtype=dtype).triu_(before + 1)
    return mask.repeat_interleave(group, 0)[None, None]


def _rounded_addmm(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """Return `x + y @ matrix`. Unlike torch's own addmm, it rounds the product before the sum."""
    return torch.mm(y, matrix).add_(x)


def _rounded_addcmul(x: Tensor, y: Tensor, z: Tensor, *, out: Tensor) -> Tensor:
    """Return `x + y * z`, with the product rounded before the sum."""
    return torch.add(x, y * z, out=out)


def rotation_tables(weights: DecoderWeights, positions: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (positions, 1, dim). The sines have the signs of a rotation of the two halves."""
    device, dtype = weights.norm.device, weights.norm.dtype
    exponents = torch.arange(0, weights.head_dim, 2, device=device).float() / weights.head_dim
    angles = torch.outer(torch.arange(positions, device=device).float(), 1.0 / (weights.rope_theta**exponents))
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], -1)[:, None].to(dtype), torch.cat([-sin, sin], -1)[:, None].to(dtype)
