"""Slots of windows that are being transcribed: read a prompt, then draw a token at a time for all of them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor
from adapters.qwen2_5_omni.decoder import TokenDecoder
from adapters.qwen2_5_omni.sampler import RowSampler, SamplingParams
from adapters.qwen2_5_omni.weights import Weights


@dataclass(frozen=True, eq=False)
class Prompt:
    """The input of a window."""

    ids: Sequence[int]
    embeddings: Tensor
    """(tokens, hidden), with the audio in place of its placeholders."""


class Drawn(NamedTuple):
    """A token, and its log probability if the request wants it."""

    token: int
    logprob: float


@dataclass(eq=False)
class _Line:
    """The state of a slot. Its row in the decoder changes when other slots are released."""

    prompt: Prompt
    params: SamplingParams
    length: int = 0
    """Tokens in the row."""
    drawn: int = 0
    token: int = 0
    """The token drawn last, which is not in the row yet."""

    @property
    def unprefilled(self) -> int:
        return max(0, len(self.prompt.ids) - self.length)


class TokenStepper:
    """Advances any set of slots. The rows of the open ones lie side by side, so that no step gathers or copies them."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        self._decoder = TokenDecoder(weights, rows=slots, positions=positions)
        self._sampler = RowSampler(weights.head.shape[0], slots, weights.device)
        self._device = weights.device
        self._lines: dict[int, _Line] = {}
        self._rows: list[int] = []
        """Row -> slot."""

    def open(self, slot: int, prompt: Prompt, params: SamplingParams) -> None:
        """Give a slot to a window; its prompt is prefilled later."""
        self._lines[slot] = _Line(prompt, params)
        self._rows.append(slot)

    def unprefilled(self, slot: int) -> int:
        """Return how many tokens of the slot's prompt are left to prefill."""
        return self._lines[slot].unprefilled

    def prefill(self, planned: Mapping[int, int]) -> dict[int, Drawn]:
        """Prefill so many tokens of each slot's prompt; return the first token of those whose prompt is complete."""
        drawn: dict[int, Drawn] = {}
        for slot, tokens in planned.items():
            line, row = self._lines[slot], self._rows.index(slot)
            part = line.prompt.embeddings[line.length : line.length + tokens]
            hidden = self._decoder.prefill(row, line.length, part)
            line.length += tokens
            if not line.unprefilled:
                self._sampler.begin(row, line.prompt.ids, line.params)
                drawn |= self._draw(hidden, row, [slot], {slot})
        return drawn

    def step(self, slots: Sequence[int]) -> dict[int, Drawn]:
        """Draw the next token of each slot, whose prompts must be complete.

        The rows of other slots are computed too, and dropped: their next tokens overwrite what they leave.
        """
        lines = [self._lines[slot] for slot in self._rows]
        lengths = [line.length for line in lines]
        inputs = device_tensor([[line.token for line in lines], lengths], self._device)
        hidden = self._decoder.step(inputs[0], inputs[1], max(lengths))
        for slot in slots:
            self._lines[slot].length += 1
        return self._draw(hidden, 0, self._rows, set(slots))

    def release(self, slot: int) -> None:
        """Free a slot; the last row takes the place of its row."""
        self._lines.pop(slot)
        row, last = self._rows.index(slot), len(self._rows) - 1
        if row < last:
            moved = self._rows[last]
            self._decoder.move(last, row, self._lines[moved].length)
            self._sampler.move(last, row)
            self._rows[row] = moved
        self._rows.pop()

    def _draw(self, hidden: Tensor, first: int, slots: Sequence[int], wanted: Container[int]) -> dict[int, Drawn]:
        """Draw a token for the rows of `slots`, from row `first` on; only the `wanted` ones advance."""
        steps = [self._lines[slot].drawn for slot in slots]
        kept = [number for number, slot in enumerate(slots) if slot in wanted]
        tokens, logprobs = self._sampler.draw(self._decoder.logits(hidden), first, steps, kept)
        drawn = {}
        for number, (token, logprob) in enumerate(zip(tokens.tolist(), logprobs.tolist(), strict=True)):
            if slots[number] in wanted:
                line = self._lines[slots[number]]
                line.token, line.drawn = token, line.drawn + 1
                drawn[slots[number]] = Drawn(token, logprob)
        return drawn
