"""Attention of decoder layers over explicit keys and values, and the rotations of positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def rotation_tables(dim: int, theta: float, positions: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (positions, 1, dim), on the device and in the precision of `like`.

    The sines have the signs of a rotation of the two halves.
    """
    exponents = torch.arange(0, dim, 2, device=like.device).float() / dim
    angles = torch.outer(torch.arange(positions, device=like.device).float(), 1.0 / (theta**exponents))
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], -1)[:, None].to(like.dtype), torch.cat([-sin, sin], -1)[:, None].to(like.dtype)
