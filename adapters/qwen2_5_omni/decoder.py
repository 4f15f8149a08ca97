"""The thinker's decoder over rows of keys and values that are allocated once.

Roundings are those of the package: norms in float32, rounded, then multiplied by their weight. With audio and text
alone, the package's three kinds of positions are equal, so they are plain positions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.inflight.attention import attend, causal_mask, keys_and_values, rotation_tables
from adapters.qwen2_5_omni.weights import Weights

_Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, queries (tokens, heads, dim), keys and values (tokens, 2 * key_value_heads, dim) -> as `attend`."""


class RowDecoder:
    """The decoder, with `rows` sequences of at most `positions` tokens."""

    def __init__(self, weights: Weights, *, rows: int, positions: int) -> None:
        self._weights = weights
        self._heads = weights.heads, 2 * weights.key_value_heads
        self._rotated = weights.heads + weights.key_value_heads
        self._group = weights.heads // weights.key_value_heads
        self._cos, self._sin = rotation_tables(
            weights.head_dim, weights.rope_theta, positions, like=weights.embedding[:0]
        )
        shape = len(weights.layers), rows, positions, 2 * weights.key_value_heads, weights.head_dim
        self._cache = torch.zeros(shape, device=weights.device, dtype=weights.dtype)
        self._ahead = torch.arange(positions, device=weights.device)
        self._rows = torch.arange(rows, device=weights.device)

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

    def step(self, tokens: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Add a token to each of the first n rows; return their hidden states (n, hidden).

        `tokens`, `lengths` (n,) int64: the new tokens, and how many each row holds; `longest`: the greatest length.
        """
        rows, end = len(tokens), longest + 1
        hidden = F.embedding(tokens, self._weights.embedding)
        mask = None
        if rows > 1:
            unreached = self._ahead[:end] > lengths[:, None]
            mask = torch.zeros(unreached.shape, device=hidden.device, dtype=hidden.dtype)
            mask = mask.masked_fill_(unreached, -torch.inf)[:, None, None].expand(-1, -1, self._group, -1)

        def attend_rows(layer: int, queries: Tensor, new: Tensor) -> Tensor:
            lines = self._cache[layer, :rows]
            lines[self._rows[:rows], lengths] = new
            return attend(queries, *keys_and_values(lines[:, :end]), mask)

        return self._forward(hidden, lengths, attend_rows)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a row to another."""
        self._cache[:, target, :length] = self._cache[:, source, :length]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of the next token (n, vocabulary) in float32, from hidden states (n, hidden)."""
        return F.linear(self._weights.norm(hidden), self._weights.head).float()

    def _forward(self, x: Tensor, positions: Tensor, attend_layer: _Attend) -> Tensor:
        """Compute (tokens, hidden) from (tokens, hidden), before the final norm."""
        cos, sin = self._cos[positions], self._sin[positions]
        dim, tokens = self._weights.head_dim, x.shape[0]
        for index, layer in enumerate(self._weights.layers):
            qkv = (layer.qkv(layer.input_norm(x)).add_(layer.qkv_bias)).view(tokens, -1, dim)
            qk = qkv.narrow(1, 0, self._rotated)
            torch.add(qk * cos, qk.roll(dim // 2, -1) * sin, out=qk)  # it stays in `qkv`, next to the values
            by_group = attend_layer(index, *qkv.split(self._heads, 1))
            # The matrix has its inputs by head; those of 4 bits cannot be reordered, because groups share a scale.
            by_head = by_group.view(tokens, self._group, -1, dim).transpose(1, 2).reshape(tokens, -1)
            x = x + layer.attention_out(by_head)
            gate, up = layer.gate_up(layer.mlp_norm(x)).chunk(2, 1)
            x = x + layer.down(F.silu(gate).mul_(up))
        return x
