"""The code predictor: the fifteen other codes of a frame, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.weights import Weights

Draw = Callable[[int, Tensor], Tensor]
"""Codebook, its head's scores (rows, codes) -> codes (rows,)."""


class Context(Protocol):
    """The decoder with the keys and values of the frame in work; its rows are a batch's, not the slots'."""

    def first_two(self, x: Tensor) -> Tensor:
        """Positions 0 and 1 of each row, (rows * 2, width); the second one's normed hidden state (rows, width)."""

    def next(self, x: Tensor, position: int) -> Tensor:
        """The position that follows, (rows, width); its normed hidden state (rows, width)."""


class Predictor:
    """Completes frames."""

    def __init__(self, weights: Weights, context: Context) -> None:
        self._context = context
        self._in = weights.predictor_in
        self._heads = weights.predictor_heads
        self._embeddings = weights.code_embeddings

    def complete(self, hidden: Tensor, first: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """The frames that begin with the codes `first` (rows,), drawn from the talker's `hidden` (rows, hidden).

        Gives the codes (rows, 16), and the sum (rows, hidden) of their embeddings.
        """
        codes = [first]
        embedded = [F.embedding(first, self._embeddings[0])]
        x = torch.stack([hidden, embedded[0]], 1).flatten(0, 1)
        for book, head in enumerate(self._heads, start=1):
            if x.dtype != head.dtype:  # the talker's may be narrower
                x = x.to(head.dtype)
            x = x if self._in is None else F.linear(x, *self._in)
            x = self._context.first_two(x) if book == 1 else self._context.next(x, book)
            codes.append(draw(book, F.linear(x, head)))
            x = F.embedding(codes[-1], self._embeddings[book])
            embedded.append(x)
        return torch.stack(codes, 1), torch.stack(embedded, 1).sum(1)
