"""Decoder layers with their keys and values outside: what talker and code predictor share.

Where it matters which number is rounded when, it is as in the reference: norms in float32, rounded, then times their
weight; rotations in the model's precision; SiLU rounded before the product; residuals in the model's precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.weights import DecoderWeights

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
        """Of `x` (..., size)."""
        if self._plain:  # half as many operations on a CPU, where torch has no kernel for it
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x.div(torch.hypot(length, self._least)).mul_(self._scaled)
        return F.rms_norm(x, self._size, eps=self._eps).mul_(self._weight)


class _Layer(NamedTuple):
    """As `LayerWeights`, its matrices transposed."""

    input_norm: RmsNorm
    qkv: Tensor
    qk_norm: RmsNorm
    attention_out: Tensor
    mlp_norm: RmsNorm
    gate_up: Tensor
    down: Tensor


class Decoder:
    """A stack of layers. Keeps no state: `attend` does, which is called once a layer."""

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: how many there may be."""
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
        """The last one, for those tokens that it is wanted of."""
        self._heads = weights.heads, 2 * weights.key_value_heads
        self._rotated = weights.heads + weights.key_value_heads
        self._dim = weights.head_dim
        self._cos, self._sin = rotation_tables(weights, positions)
        rounds = weights.norm.dtype != torch.float32
        self._residual = _rounded_addmm if rounds else torch.addmm
        self._sum = _rounded_addcmul if rounds else torch.addcmul

    def rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """What `__call__` needs to know of the tokens' positions, (tokens,) int64."""
        return self._cos.index_select(0, positions), self._sin.index_select(0, positions)

    def __call__(self, x: Tensor, rotations: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """From (tokens, hidden) to (tokens, hidden), before the last norm."""
        cos, sin = rotations
        shape = x.shape[0], -1, self._dim
        for index, layer in enumerate(self._layers):
            qkv = layer.input_norm(x).mm(layer.qkv).view(shape)
            qk = qkv.narrow(1, 0, self._rotated)
            normed = layer.qk_norm(qk)
            self._sum(normed * cos, normed.roll(self._dim // 2, -1), sin, out=qk)  # keys and values stay side by side
            x = self._residual(x, attend(index, *qkv.split(self._heads, 1)), layer.attention_out)
            gate, up = layer.mlp_norm(x).mm(layer.gate_up).chunk(2, 1)
            x = self._residual(x, F.silu(gate).mul_(up), layer.down)
        return x


def keys_and_values(cache: Tensor) -> tuple[Tensor, Tensor]:
    """Both (..., key_value_heads, positions, dim) of a cache (..., positions, 2 * key_value_heads, dim)."""
    keys, values = cache.transpose(-2, -3).chunk(2, -3)
    return keys, values


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of `queries` (rows * tokens, heads, dim) to `keys` (rows, key_value_heads, positions, dim).

    The queries that share a key's head stand in the place of one head's tokens, so that no key is copied. `mask` is
    added to the scores: (rows or 1, 1, tokens * heads // key_value_heads, positions), by token, then by group; one
    row of it stands for all. Gives (rows * tokens, heads * dim), by group, then by head.
    """
    rows, key_value_heads, _, dim = keys.shape
    by_head = queries.view(rows, -1, key_value_heads, queries.shape[1] // key_value_heads, dim).transpose(1, 2)
    grouped = by_head.reshape(rows, key_value_heads, -1, dim)
    attended = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return attended.transpose(1, 2).reshape(queries.shape[0], -1)


def causal_mask(tokens: int, group: int, device: torch.device, dtype: torch.dtype, *, before: int = 0) -> Tensor:
    """The `mask` of `attend` for tokens that follow `before` others, (1, 1, tokens * group, before + tokens)."""
    mask = torch.full((tokens, before + tokens), -torch.inf, device=device, dtype=dtype).triu_(before + 1)
    return mask.repeat_interleave(group, 0)[None, None]


def _rounded_addmm(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """`x + y @ matrix`, the product rounded before the sum, which torch's own would not do."""
    return torch.mm(y, matrix).add_(x)


def _rounded_addcmul(x: Tensor, y: Tensor, z: Tensor, *, out: Tensor) -> Tensor:
    """`x + y * z`, likewise."""
    return torch.add(x, y * z, out=out)


def rotation_tables(weights: DecoderWeights, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (positions, 1, dim), the sines with the signs of a rotation of the two halves."""
    device, dtype = weights.norm.device, weights.norm.dtype
    exponents = torch.arange(0, weights.head_dim, 2, device=device).float() / weights.head_dim
    angles = torch.outer(torch.arange(positions, device=device).float(), 1.0 / (weights.rope_theta**exponents))
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], -1)[:, None].to(dtype), torch.cat([-sin, sin], -1)[:, None].to(dtype)
