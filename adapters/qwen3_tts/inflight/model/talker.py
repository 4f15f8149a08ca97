"""The talker: one step of every stream's sequence. Keys and values stay in the stream's slot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.weights import Weights

PREFILL_BUCKETS: Final = (16, 64, 256)
"""Prompt tokens of one prefill: at most the last number. With fixed shapes, padded to one of them."""


class PrefillChunk(NamedTuple):
    """Prompt tokens to prefill at once."""

    slot: int
    start: int
    """The position of the first token."""
    stop: int
    """The position after the last token."""


class Talker(ABC):
    """The talker's layers, with keys and values (layers, slots, positions, 2 * key_value_heads, head_dim)."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        stack = weights.talker
        self._head = weights.codec_head
        self._positions = positions
        shape = len(stack.layers), slots, positions, 2 * stack.key_value_heads, stack.head_dim
        self._arena = torch.zeros(shape, device=weights.device, dtype=weights.dtype)
        self._hidden = torch.zeros(slots, self._head.shape[1], device=weights.device, dtype=weights.dtype)

    def warm_ups(self) -> Sequence[Callable[[], object]]:
        """Return the work to do once, at load, so that no later prefill is slower than another."""
        return ()

    @abstractmethod
    def prefill(self, parts: Sequence[Tensor], chunks: Sequence[PrefillChunk]) -> None:
        """Prefill the tokens `parts` of as many chunks, each (tokens, hidden), together.

        A chunk continues where the last chunk of its slot ended, and attends to all tokens before it.
        """

    @abstractmethod
    def step(self, x: Tensor, batch: Batch, positions: Tensor, span: int) -> Tensor:
        """Compute one token `x` (rows, hidden) for each slot of the batch, at `positions` (rows,), all below `span`.

        Returns the hidden states (rows, hidden).
        """

    def hidden(self, slots: Tensor) -> Tensor:
        """Return the hidden states (rows, hidden) of the last tokens of `slots` (rows,)."""
        return self._hidden.index_select(0, slots)

    def scores(self, hidden: Tensor) -> Tensor:
        """Return codebook 0's scores (rows, vocabulary) for `hidden` (rows, hidden)."""
        return F.linear(hidden, self._head)

    def save(self, slot: int, tokens: int) -> Tensor:
        """Return a copy of the keys and values of a slot's first tokens, for `restore`."""
        return self._arena[:, slot, :tokens].clone()

    def restore(self, slot: int, keys_values: Tensor) -> None:
        """Set the keys and values of a slot's first tokens."""
        self._arena[:, slot, : keys_values.shape[1]].copy_(keys_values)

    @abstractmethod
    def clear(self, slot: int, positions: int) -> None:
        """Clear the first `positions` of a slot, as far as they could affect its next stream."""
