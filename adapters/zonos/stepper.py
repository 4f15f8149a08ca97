"""Slots of texts: read a prefix, then draw a column of codes at a time for all of them.

Each text has two rows in the decoder: one with its conditions, and one without them, for the guidance.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor
from adapters.inflight.row_decoder import RowDecoder
from adapters.zonos.checkpoint import CODEBOOKS
from adapters.zonos.delay import DelayPattern
from adapters.zonos.sampler import CodeSampler, SamplingParams
from adapters.zonos.weights import Weights

_ROPE_THETA = 10_000.0


@dataclass(frozen=True, eq=False)
class Prompt:
    """The input of one text."""

    prefix: Tensor
    """(2, tokens, hidden): with the conditions, and without."""
    guidance: float
    """1: none; above it, the conditions count for more."""
    sampling: SamplingParams


@dataclass(eq=False)
class _Line:
    """The state of a slot. Its place among the lines changes when other slots are released."""

    prompt: Prompt
    pattern: DelayPattern
    column: list[int]
    """The column placed last, which is not in the rows yet."""
    length: int = 0
    """Tokens in each of the rows."""
    drawn: int = 0


class ColumnStepper:
    """Advances any set of slots. The open lines lie side by side, so that no step gathers or copies them."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        config = weights.config
        self._weights = weights
        self._decoder = RowDecoder(
            weights.layers,
            heads=config.heads,
            key_value_heads=config.key_value_heads,
            head_dim=config.head_dim,
            rope_theta=_ROPE_THETA,
            rows=2 * slots,
            positions=positions,
            like=weights.embedding,
        )
        self._sampler = CodeSampler(slots, CODEBOOKS, config.end + 1, weights.device)
        self._no_end = torch.zeros(CODEBOOKS, config.end + 1, device=weights.device)
        self._no_end[1:, config.end] = -torch.inf  # the end is codebook 0's to draw...
        self._first = self._no_end.clone()
        self._first[0, config.end] = -torch.inf  # ...after a frame at least
        self._lines: dict[int, _Line] = {}
        self._order: list[int] = []
        """Line -> slot."""

    def open(self, slot: int, prompt: Prompt) -> None:
        """Give a slot to a text; its prefix is read by `prefill`."""
        config = self._weights.config
        pattern = DelayPattern(config.end, config.mask)
        self._lines[slot] = _Line(prompt, pattern, pattern.start)
        self._order.append(slot)

    def prefill(self, slot: int) -> DelayPattern:
        """Read the slot's prefix and draw its first column; return its columns."""
        line, place = self._lines[slot], self._order.index(slot)
        start = self._weights.embed(self._columns([line]))
        rows = [torch.cat([prefix, start]) for prefix in line.prompt.prefix]
        hidden = torch.cat([self._decoder.prefill(2 * place + row, 0, tokens) for row, tokens in enumerate(rows)])
        line.length = len(rows[0])
        self._sampler.begin(place, line.prompt.sampling)
        self._draw(hidden, place, [slot], {slot}, self._first)
        return line.pattern

    def step(self, slots: Sequence[int]) -> dict[int, DelayPattern]:
        """Draw the next column of each slot, whose prefix must be read; return the columns of each.

        The lines of other slots are computed too, and dropped: their next tokens overwrite what they leave.
        """
        lines = [self._lines[slot] for slot in self._order]
        lengths = [line.length for line in lines]
        embeddings = self._weights.embed(self._columns(lines)).repeat_interleave(2, 0)
        held = device_tensor(lengths, self._weights.device).repeat_interleave(2)
        hidden = self._decoder.step(embeddings, held, max(lengths))
        for slot in slots:
            self._lines[slot].length += 1
        self._draw(hidden, 0, self._order, set(slots), self._no_end)
        return {slot: self._lines[slot].pattern for slot in slots}

    def release(self, slot: int) -> None:
        """Free a slot; the last line takes the place of its line."""
        self._lines.pop(slot)
        place, last = self._order.index(slot), len(self._order) - 1
        if place < last:
            moved = self._order[last]
            for row in range(2):
                self._decoder.move(2 * last + row, 2 * place + row, self._lines[moved].length)
            self._sampler.move(last, place)
            self._order[place] = moved
        self._order.pop()

    def _columns(self, lines: Sequence[_Line]) -> Tensor:
        return device_tensor([line.column for line in lines], self._weights.device)

    def _draw(self, hidden: Tensor, first: int, slots: Sequence[int], wanted: Container[int], bias: Tensor) -> None:
        """Draw a column for the lines of `slots`, from line `first` on; only the `wanted` ones advance."""
        lines = [self._lines[slot] for slot in slots]
        with_conditions, without = self._weights.logits(hidden).unflatten(0, (-1, 2)).unbind(1)
        scales = device_tensor([line.prompt.guidance for line in lines], self._weights.device)[:, None, None]
        logits = without + (with_conditions - without) * scales + bias
        codes = self._sampler.draw(logits, first, [line.drawn for line in lines]).tolist()
        for number, (slot, line, drawn) in enumerate(zip(slots, lines, codes, strict=True)):
            if slot in wanted:
                line.column = line.pattern.place(drawn)
                line.drawn += 1
                self._sampler.note(first + number, line.column)
