"""The talker: one step of every stream's sequence, whose keys and values stay in the stream's slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.layers import Decoder, attend, causal_mask, keys_and_values
from adapters.qwen3_tts.inflight.weights import Weights


class Piece(NamedTuple):
    """Tokens of a prompt that are read at once."""

    slot: int
    start: int
    """The first one's position."""
    stop: int
    """The position after the last one."""


class Talker:
    """The decoder with an arena of keys and values: (layers, slots, positions, 2 * key_value_heads, head_dim)."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        stack = weights.talker
        self._decoder = Decoder(stack, positions)
        self._head = weights.codec_head
        self._group = stack.heads // stack.key_value_heads
        self._positions = positions
        shape = len(stack.layers), slots, positions, 2 * stack.key_value_heads, stack.head_dim
        self._arena = torch.zeros(shape, device=weights.device, dtype=weights.dtype)
        self._lines = self._arena.flatten(1, 2).unbind(0)
        self._ahead = torch.arange(positions, device=weights.device)

    def read(self, x: Tensor, pieces: Sequence[Piece]) -> Tensor:
        """Read `x` (tokens, hidden), the pieces' tokens one after the other; their last hidden states (pieces, hidden).

        A piece goes on where the slot's last one ended, and attends to all that was read before it.
        """
        counts = [piece.stop - piece.start for piece in pieces]
        masks = [
            causal_mask(count, self._group, x.device, x.dtype, before=piece.start)
            for piece, count in zip(pieces, counts, strict=True)
        ]

        def attend_pieces(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            attended = []
            for piece, mask, asking, new in zip(
                pieces, masks, queries.split(counts), keys_values.split(counts), strict=True
            ):
                cache = self._arena[layer, piece.slot : piece.slot + 1, : piece.stop]
                cache[0, piece.start :].copy_(new)
                attended.append(attend(asking, *keys_and_values(cache), mask))
            return torch.cat(attended)

        positions = torch.cat([self._ahead[piece.start : piece.stop] for piece in pieces])
        x = self._decoder(x, self._decoder.rotations(positions), attend_pieces)
        return self._decoder.norm(torch.stack([tokens[-1] for tokens in x.split(counts)]))

    def step(self, x: Tensor, slots: Tensor, positions: Tensor, span: int, first: int | None) -> Tensor:
        """One token `x` (rows, hidden) for each of `slots`, at its of `positions`, all (rows,) and below `span`.

        `first`: where the slots are neighbours in rising order, the first of them; their keys are then read in place.
        Gives the hidden states (rows, hidden).
        """
        rows = x.shape[0]
        lines = slots * self._positions + positions
        mask = torch.zeros(rows, 1, 1, span, device=x.device, dtype=x.dtype)
        mask.masked_fill_((self._ahead[:span] > positions[:, None])[:, None, None], -torch.inf)
        arena = self._arena[:, :, :span] if first is None else self._arena[:, first : first + rows, :span]
        caches = arena.unbind(0)

        def attend_slots(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            self._lines[layer].index_copy_(0, lines, keys_values)
            cache = caches[layer].index_select(0, slots) if first is None else caches[layer]
            return attend(queries, *keys_and_values(cache), mask)

        return self._decoder.norm(self._decoder(x, self._decoder.rotations(positions), attend_slots))

    def scores(self, hidden: Tensor) -> Tensor:
        """Codebook 0's scores (rows, vocabulary) in float32 after `hidden` (rows, hidden)."""
        return F.linear(hidden, self._head).float()

    def clear(self, slot: int, positions: int) -> None:
        """Forget the first `positions` of a slot: what is masked must still be finite."""
        self._arena[:, slot, :positions].zero_()
