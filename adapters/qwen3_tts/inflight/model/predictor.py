"""The code predictor: codebooks 1 to 15 of a frame, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.model.weights import Weights

Draw = Callable[[int, Tensor], Tensor]
"""Codebook, its head's scores (rows, codes) -> codes (rows,)."""


class PredictorDecoder(Protocol):
    """The predictor's layers, with the keys and values of the current frame. Its rows are the rows of the batch."""

    def first_two(self, x: Tensor) -> Tensor:
        """Compute positions 0 and 1 of each row, (rows * 2, width).

        Returns the normed hidden states (rows, width) of position 1.
        """

    def next(self, x: Tensor, position: int) -> Tensor:
        """Compute the next position (rows, width). Return its normed hidden states (rows, width)."""


class Predictor:
    """Completes frames that have a code of codebook 0."""

    def __init__(self, weights: Weights, decoder: PredictorDecoder) -> None:
        self._decoder = decoder
        self._in = weights.predictor_in
        self._heads = weights.predictor_heads
        self._embeddings = weights.code_embeddings

    def complete(self, hidden: Tensor, first: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Complete the frames that begin with the codes `first` (rows,), from the talker's `hidden` (rows, hidden).

        Returns the codes (rows, 16), and the sum (rows, hidden) of their embeddings.
        """
        codes = [first]
        embedded = [F.embedding(first, self._embeddings[0])]
        x = torch.stack([hidden, embedded[0]], 1).flatten(0, 1)
        for book, head in enumerate(self._heads, start=1):
            if x.dtype != head.dtype:  # the talker's precision may be lower
                x = x.to(head.dtype)
            x = x if self._in is None else F.linear(x, *self._in)
            x = self._decoder.first_two(x) if book == 1 else self._decoder.next(x, book)
            codes.append(draw(book, F.linear(x, head)))
            x = F.embedding(codes[-1], self._embeddings[book])
            embedded.append(x)
        return torch.stack(codes, 1), torch.stack(embedded, 1).sum(1)
