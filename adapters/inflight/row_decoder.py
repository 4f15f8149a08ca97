"""A decoder over rows of keys and values that are allocated once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from adapters.inflight.attention import attend, causal_mask, keys_and_values, rotation_tables

_Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, queries (tokens, heads, dim), keys and values (tokens, 2 * key_value_heads, dim) -> as `attend`."""


class DecoderLayer(Protocol):
    """The products of a layer; each takes hidden states (tokens, hidden) and has its norm before it."""

    def queries_keys_values(self, x: Tensor) -> Tensor:
        """Return (tokens, (heads + 2 * key_value_heads) * head_dim), which may be overwritten."""

    def attention_out(self, attended: Tensor) -> Tensor:
        """Return (tokens, hidden) from the result of `attend` (tokens, heads * head_dim), by group, then by head."""

    def feed_forward(self, x: Tensor) -> Tensor:
        """Return (tokens, hidden)."""


class RowDecoder:
    """Decoder layers with residual sums, and `rows` sequences of at most `positions` tokens.

    Queries and keys are rotated by their positions, the two halves of a head against each other.
    """

    def __init__(
        self,
        layers: Sequence[DecoderLayer],
        *,
        heads: int,
        key_value_heads: int,
        head_dim: int,
        rope_theta: float,
        rows: int,
        positions: int,
        like: Tensor,
    ) -> None:
        """`like`: a tensor on the device and in the precision of the weights."""
        self._layers = layers
        self._dim = head_dim
        self._heads = heads, 2 * key_value_heads
        self._rotated = heads + key_value_heads
        self._group = heads // key_value_heads
        self._cos, self._sin = rotation_tables(head_dim, rope_theta, positions, like=like[:0])
        shape = len(layers), rows, positions, 2 * key_value_heads, head_dim
        self._cache = torch.zeros(shape, device=like.device, dtype=like.dtype)
        self._ahead = torch.arange(positions, device=like.device)
        self._rows = torch.arange(rows, device=like.device)

    def prefill(self, row: int, start: int, embeddings: Tensor) -> Tensor:
        """Add tokens (n, hidden) to a row that holds `start` tokens; return the last one's hidden state (1, hidden)."""
        tokens = embeddings.shape[0]
        end = start + tokens
        like = self._cache
        mask = causal_mask(tokens, self._group, like.device, like.dtype, before=start)

        def attend_row(layer: int, queries: Tensor, new: Tensor) -> Tensor:
            line = self._cache[layer, row : row + 1]
            line[0, start:end] = new
            return attend(queries, *keys_and_values(line[:, :end]), mask)

        return self._forward(embeddings, self._ahead[start:end], attend_row)[-1:]

    def step(self, embeddings: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Add a token (n, hidden) to each of the first n rows; return their hidden states (n, hidden).

        `lengths` (n,) int64: how many tokens each row holds; `longest`: the greatest of them.
        """
        rows, end = len(embeddings), longest + 1
        mask = None
        if rows > 1:
            unreached = self._ahead[:end] > lengths[:, None]
            mask = torch.zeros(unreached.shape, device=embeddings.device, dtype=embeddings.dtype)
            mask = mask.masked_fill_(unreached, -torch.inf)[:, None, None].expand(-1, -1, self._group, -1)

        def attend_rows(layer: int, queries: Tensor, new: Tensor) -> Tensor:
            lines = self._cache[layer, :rows]
            lines[self._rows[:rows], lengths] = new
            return attend(queries, *keys_and_values(lines[:, :end]), mask)

        return self._forward(embeddings, lengths, attend_rows)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a row to another."""
        self._cache[:, target, :length] = self._cache[:, source, :length]

    def _forward(self, x: Tensor, positions: Tensor, attend_layer: _Attend) -> Tensor:
        """Compute (tokens, hidden) from (tokens, hidden), before the final norm."""
        cos, sin = self._cos[positions], self._sin[positions]
        dim, tokens = self._dim, x.shape[0]
        for index, layer in enumerate(self._layers):
            qkv = layer.queries_keys_values(x).view(tokens, -1, dim)
            qk = qkv.narrow(1, 0, self._rotated)
            torch.add(qk * cos, qk.roll(dim // 2, -1) * sin, out=qk)  # it stays in `qkv`, next to the values
            x = x + layer.attention_out(attend_layer(index, *qkv.split(self._heads, 1)))
            x = x + layer.feed_forward(x)
        return x
