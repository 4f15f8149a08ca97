"""The next codes of each request: a penalty on its latest codes, temperature, top-p, top-k, min-p, then a draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor
from adapters.inflight.noise import GumbelNoise, noise_key

_WINDOW = 2
"""Columns whose codes are penalized."""


@dataclass(frozen=True)
class SamplingParams:
    """The drawing of the codes of one request. The defaults are upstream's."""

    seed: int
    temperature: float = 1.0
    """0: the most probable code."""
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    min_p: float = 0.1
    repetition_penalty: float = 3.0


class CodeSampler:
    """Draws for lines with parameters of their own. A draw depends on the request alone, not on the other lines."""

    def __init__(self, lines: int, codebooks: int, codes: int, device: torch.device) -> None:
        """`codes`: those of a codebook; larger numbers in columns are no codes."""
        self._codes = codes
        self._params: list[SamplingParams | None] = [None] * lines
        self._recent = torch.full((lines, codebooks, _WINDOW), codes, device=device)
        self._keys = torch.zeros(lines, dtype=torch.int64, device=device)
        self._numbers = torch.zeros(lines, 5, 1, 1, device=device)
        """Temperature, top-p, top-k, min-p and penalty of each line."""
        self._noise = GumbelNoise(codebooks * codes, device)

    def begin(self, line: int, params: SamplingParams) -> None:
        """Start a line."""
        self._params[line] = params
        self._recent[line] = self._codes
        self._keys[line] = noise_key(params.seed)
        most = params.top_k or self._codes
        values = params.temperature, params.top_p, most, params.min_p, params.repetition_penalty
        self._numbers[line] = device_tensor(values, self._numbers.device)[:, None, None]

    def move(self, source: int, target: int) -> None:
        """Copy the state of a line to another."""
        self._params[target] = self._params[source]
        for state in (self._recent, self._keys, self._numbers):
            state[target] = state[source]

    def draw(self, logits: Tensor, first: int, steps: Sequence[int]) -> Tensor:
        """Draw codes (n, codebooks) for n lines from `first` on.

        `logits` (n, codebooks, codes); `steps`: the number of columns that each line has drawn before.
        """
        lines = slice(first, first + len(logits))
        params = [each for each in self._params[lines] if each]
        temperatures, top_p, top_k, min_p, penalties = self._numbers[lines].unbind(1)
        if any(each.repetition_penalty != 1 for each in params):
            logits = self._penalized(logits, self._recent[lines], penalties)
        if not any(each.temperature for each in params):
            return logits.argmax(-1)
        probabilities = (logits / temperatures.clamp(min=1e-4)).softmax(-1)
        if any(each.top_p < 1 or each.top_k for each in params):
            ranked, order = probabilities.sort(dim=-1, descending=True)
            ranks = torch.arange(self._codes, device=logits.device)
            dropped = (ranked.cumsum(-1) - ranked > top_p) | (ranks >= top_k)
            probabilities = probabilities.scatter(-1, order, ranked.masked_fill(dropped, 0.0))
        least = min_p * probabilities.amax(-1, keepdim=True)
        scores = probabilities.log().masked_fill_(probabilities < least, -torch.inf)
        noise = self._noise.gumbel(self._keys[lines], device_tensor(steps, logits.device)).view_as(logits)
        return torch.where(temperatures > 0, scores + noise, logits).argmax(-1)

    def note(self, line: int, column: Sequence[int]) -> None:
        """Count the codes of a column as the latest of its line."""
        latest = device_tensor(column, self._recent.device).clamp_(max=self._codes)
        self._recent[line] = torch.stack([self._recent[line, :, 1], latest], -1)

    def _penalized(self, logits: Tensor, recent: Tensor, penalties: Tensor) -> Tensor:
        """Make the latest codes less probable, each as often as it occurs."""
        counts = torch.zeros(*logits.shape[:2], self._codes + 1, device=logits.device)
        counts = counts.scatter_add_(2, recent, torch.ones_like(recent, dtype=counts.dtype))[..., : self._codes]
        factors = penalties**counts
        return torch.where(logits <= 0, logits * factors, logits / factors)
