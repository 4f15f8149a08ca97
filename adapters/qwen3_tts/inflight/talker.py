"""The talker: one step of every stream's sequence, whose keys and values stay in the stream's slot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.weights import Weights

PREFILL_BUCKETS: Final = (16, 64, 256)
"""Tokens of prompts that are read together: at most the last; where shapes are to be few, filled up to one of them."""


class Piece(NamedTuple):
    """Tokens of a prompt that are read at once."""

    slot: int
    start: int
    """The first one's position."""
    stop: int
    """The position after the last one."""


class Talker(ABC):
    """The decoder with an arena of keys and values: (layers, slots, positions, 2 * key_value_heads, head_dim)."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        stack = weights.talker
        self._head = weights.codec_head
        self._positions = positions
        shape = len(stack.layers), slots, positions, 2 * stack.key_value_heads, stack.head_dim
        self._arena = torch.zeros(shape, device=weights.device, dtype=weights.dtype)
        self._hidden = torch.zeros(slots, self._head.shape[1], device=weights.device, dtype=weights.dtype)

    def preparations(self) -> Sequence[Callable[[], object]]:
        """What is to be done once, at load, so that reading is always as fast."""
        return ()

    @abstractmethod
    def read(self, parts: Sequence[Tensor], pieces: Sequence[Piece]) -> None:
        """Read the tokens `parts` of as many pieces, each (tokens, hidden), together.

        A piece goes on where the slot's last one ended, and attends to all that was read before it.
        """

    @abstractmethod
    def step(self, x: Tensor, batch: Batch, positions: Tensor, span: int) -> Tensor:
        """One token `x` (rows, hidden) for each slot of the batch, at its of `positions` (rows,), all below `span`.

        Gives the hidden states (rows, hidden).
        """

    def hidden(self, slots: Tensor) -> Tensor:
        """The hidden states (rows, hidden) of the last tokens of `slots` (rows,)."""
        return self._hidden.index_select(0, slots)

    def scores(self, hidden: Tensor) -> Tensor:
        """Codebook 0's scores (rows, vocabulary) after `hidden` (rows, hidden)."""
        return F.linear(hidden, self._head)

    @abstractmethod
    def clear(self, slot: int, positions: int) -> None:
        """Forget the first `positions` of a slot, as far as the next stream in it would meet with them."""
