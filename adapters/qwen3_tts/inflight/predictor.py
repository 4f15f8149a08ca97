"""The code predictor: the fifteen other codes of a frame, one after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.layers import Attend, Decoder, attend, causal_mask, keys_and_values
from adapters.qwen3_tts.inflight.sampling import Sampler
from adapters.qwen3_tts.inflight.weights import Weights


class Predictor:
    """Completes frames. Its keys and values live for one frame, so its rows are a batch's, not the slots'."""

    def __init__(self, weights: Weights, rows: int) -> None:
        """`rows`: of the largest batch."""
        stack = weights.predictor
        self._decoder = Decoder(stack, positions=len(weights.code_embeddings))
        self._in = weights.predictor_in
        self._heads = weights.predictor_heads
        self._embeddings = weights.code_embeddings
        device, dtype = weights.device, weights.dtype
        positions = torch.arange(len(weights.code_embeddings), device=device)
        self._first_two = [table.repeat(rows, 1, 1) for table in self._decoder.rotations(positions[:2])]
        self._later = [self._decoder.rotations(positions[i : i + 1]) for i in positions[2:].tolist()]
        self._mask = causal_mask(2, stack.heads // stack.key_value_heads, device, dtype)
        self._cache = torch.zeros(
            len(stack.layers),
            rows,
            len(positions),
            2 * stack.key_value_heads,
            stack.head_dim,
            device=device,
            dtype=dtype,
        )

    def complete(self, hidden: Tensor, first: Tensor, sampler: Sampler, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """The frames that begin with the codes `first` (rows,), drawn from the talker's `hidden` (rows, hidden).

        `noise` is (rows, 15, codes). Gives the codes (rows, 16), and the sum (rows, hidden) of their embeddings.
        """
        rows = len(first)
        codes = [first]
        embedded = [F.embedding(first, self._embeddings[0])]
        x = torch.stack([hidden, embedded[0]], 1).flatten(0, 1)
        for book, head in enumerate(self._heads, start=1):
            x = x if self._in is None else F.linear(x, *self._in)
            x = self._first(x, rows) if book == 1 else self._next(x, rows, book)
            scores = F.linear(self._decoder.norm(x), head).float()
            codes.append(sampler.draw(scores, None if noise is None else noise[:, book - 1]))
            x = F.embedding(codes[-1], self._embeddings[book])
            embedded.append(x)
        return torch.stack(codes, 1), torch.stack(embedded, 1).sum(1)

    def _first(self, x: Tensor, rows: int) -> Tensor:
        """The first two positions (rows * 2, width); the second one's output (rows, width)."""
        cos, sin = self._first_two
        x = self._decoder(x, (cos[: 2 * rows], sin[: 2 * rows]), self._attend(rows, slice(2), self._mask))
        return x.view(rows, 2, -1)[:, 1]

    def _next(self, x: Tensor, rows: int, position: int) -> Tensor:
        return self._decoder(x, self._later[position - 2], self._attend(rows, slice(position, position + 1), None))

    def _attend(self, rows: int, positions: slice, mask: Tensor | None) -> Attend:
        """Attention from these positions to all until them."""
        targets = self._cache[:, :rows, positions].unbind(0)
        keys, values = (each.unbind(0) for each in keys_and_values(self._cache[:, :rows, : positions.stop]))

        def attend_all(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            targets[layer].copy_(keys_values.view(targets[layer].shape))
            return attend(queries, keys[layer], values[layer], mask)

        return attend_all
