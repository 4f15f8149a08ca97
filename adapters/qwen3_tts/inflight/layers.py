"""Decoder layers with their keys and values outside: what talker and code predictor share.

Where it matters which number is rounded when, it is as in the reference: norms in float32, rounded, then times their
weight; rotations in the model's precision; SiLU rounded before the product; residuals in the model's precision.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.weights import DecoderWeights

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, queries (tokens, heads, dim), keys and values (tokens, 2 * key_value_heads, dim) -> (tokens, heads * dim)."""


class Decoder:
    """A stack of layers. Keeps no state: `attend` does, which is called once a layer."""

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: how many there may be."""
        device, dtype = weights.norm.device, weights.norm.dtype
        self._layers = weights.layers
        self._norm = weights.norm
        self._heads = weights.heads
        self._rotated = weights.heads + weights.key_value_heads
        self._dim = weights.head_dim
        self._eps = weights.eps
        self._cos, self._sin = _rotations(weights, positions, device, dtype)

    def rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """What `__call__` needs to know of the tokens' positions, (tokens,) int64."""
        return self._cos.index_select(0, positions), self._sin.index_select(0, positions)

    def __call__(self, x: Tensor, rotations: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """From (tokens, hidden) to (tokens, hidden), before the last norm."""
        cos, sin = rotations
        half = self._dim // 2
        for index, layer in enumerate(self._layers):
            qkv = F.linear(rms_norm(x, layer.input_norm, self._eps), layer.qkv).view(len(x), -1, self._dim)
            qk = qkv[:, : self._rotated]
            normed = rms_norm(qk, layer.qk_norm, self._eps)
            turned = normed.roll(half, -1).mul_(sin)
            torch.add(normed.mul_(cos), turned, out=qk)  # in place: keys and values stay side by side
            attended = attend(index, qkv[:, : self._heads], qkv[:, self._heads :])
            x = F.linear(attended, layer.attention_out).add_(x)
            gate, up = F.linear(rms_norm(x, layer.mlp_norm, self._eps), layer.gate_up).chunk(2, -1)
            x = F.linear(F.silu(gate).mul_(up), layer.down).add_(x)
        return x

    def norm(self, x: Tensor) -> Tensor:
        """The last norm, for the tokens (tokens, hidden) that it is wanted of."""
        return rms_norm(x, self._norm, self._eps)


def attend(queries: Tensor, cache: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of `queries` (rows * tokens, heads, dim) to `cache` (rows, positions, 2 * key_value_heads, dim).

    The queries that share a key's head stand in the place of one head's tokens, so that no key is copied. `mask` is
    added to the scores: (rows or 1, 1, tokens * heads // key_value_heads, positions), by token, then by group; one
    row of it stands for all. Gives (rows * tokens, heads * dim), by group, then by head.
    """
    keys, values = cache.transpose(1, 2).chunk(2, 1)
    rows, key_value_heads = keys.shape[:2]
    grouped = queries.unflatten(0, (rows, -1)).unflatten(2, (key_value_heads, -1)).transpose(1, 2).flatten(2, 3)
    attended = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return attended.transpose(1, 2).reshape(len(queries), -1)


def causal_mask(tokens: int, group: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The `mask` of `attend` for tokens at the positions 0, 1, 2..., (1, 1, tokens * group, tokens)."""
    mask = torch.full((tokens, tokens), -torch.inf, device=device, dtype=dtype).triu_(1)
    return mask.repeat_interleave(group, 0)[None, None]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm over the last dimension."""
    if x.is_cuda:
        return F.rms_norm(x, x.shape[-1:], eps=eps).mul_(weight)
    wide = x.float()  # on a CPU, torch's own is a chain of six operations, with a slow mean among them
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = norm.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
    return (wide * scale).to(x.dtype).mul_(weight)


def _rotations(
    weights: DecoderWeights, positions: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (positions, 1, dim), the sines with the signs of a rotation of the two halves."""
    exponents = torch.arange(0, weights.head_dim, 2, device=device).float() / weights.head_dim
    angles = torch.outer(torch.arange(positions, device=device).float(), 1.0 / (weights.rope_theta**exponents))
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], -1)[:, None].to(dtype), torch.cat([-sin, sin], -1)[:, None].to(dtype)
