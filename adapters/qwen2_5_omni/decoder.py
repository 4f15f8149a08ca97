"""The thinker's decoder.

Roundings are those of the package: norms in float32, rounded, then multiplied by their weight. With audio and text
alone, the package's three kinds of positions are equal, so they are plain positions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from adapters.inflight.row_decoder import RowDecoder
from adapters.qwen2_5_omni.weights import Weights


class TokenDecoder:
    """The decoder from tokens to scores, with `rows` sequences of at most `positions` tokens."""

    def __init__(self, weights: Weights, *, rows: int, positions: int) -> None:
        self._weights = weights
        self._rows = RowDecoder(
            weights.layers,
            heads=weights.heads,
            key_value_heads=weights.key_value_heads,
            head_dim=weights.head_dim,
            rope_theta=weights.rope_theta,
            rows=rows,
            positions=positions,
            like=weights.embedding,
        )
        self.prefill = self._rows.prefill
        self.move = self._rows.move

    def step(self, tokens: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Add a token to each of the first n rows; return their hidden states (n, hidden).

        `tokens`, `lengths` (n,) int64: the new tokens, and how many each row holds; `longest`: the greatest length.
        """
        return self._rows.step(F.embedding(tokens, self._weights.embedding), lengths, longest)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of the next token (n, vocabulary) in float32, from hidden states (n, hidden)."""
        return F.linear(self._weights.norm(hidden), self._weights.head).float()
