"""The next token of each row: the package's repetition penalty and temperature, then a draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor
from adapters.inflight.noise import GumbelNoise, noise_key


@dataclass(frozen=True)
class SamplingParams:
    """The rules by which the tokens of one request are drawn."""

    temperature: float
    """0: the most probable token."""
    repetition_penalty: float
    seed: int
    logprobs: bool = False


class RowSampler:
    """Draws for rows with parameters of their own. A draw depends on the request alone, not on the other rows."""

    def __init__(self, vocabulary: int, rows: int, device: torch.device) -> None:
        self._seen = torch.zeros(rows, vocabulary, dtype=torch.bool, device=device)
        self._params: list[SamplingParams | None] = [None] * rows
        self._penalties = torch.ones(rows, 1, device=device)
        self._temperatures = torch.zeros(rows, 1, device=device)
        self._keys = torch.zeros(rows, dtype=torch.int64, device=device)
        self._noise = GumbelNoise(vocabulary, device)

    def begin(self, row: int, prompt: Sequence[int], params: SamplingParams) -> None:
        """Start a row after its prompt, whose tokens count as used."""
        self._params[row] = params
        self._seen[row] = False
        self._seen[row, device_tensor(prompt, self._seen.device)] = True
        self._penalties[row] = params.repetition_penalty
        self._temperatures[row] = params.temperature
        self._keys[row] = noise_key(params.seed)

    def move(self, source: int, target: int) -> None:
        """Copy the state of a row to another."""
        self._params[target] = self._params[source]
        for state in (self._seen, self._penalties, self._temperatures, self._keys):
            state[target] = state[source]

    def draw(self, logits: Tensor, first: int, steps: Sequence[int], kept: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Draw a token for each of n rows from `first` on.

        `logits` (n, vocabulary); `steps`: the number of tokens that each row has drawn before; `kept`: the numbers, of
        0 to n - 1, of those whose token counts as used. Returns the tokens (n,) int64, and their log probabilities
        before penalty and temperature (n,), zeros if no row wants them.
        """
        rows = slice(first, first + len(logits))
        params = [each for each in self._params[rows] if each]
        seen = self._seen[rows]
        scores = logits
        if any(each.repetition_penalty != 1 for each in params):
            penalties = self._penalties[rows]
            scores = torch.where(seen, torch.where(scores < 0, scores * penalties, scores / penalties), scores)
        if any(each.temperature for each in params):
            temperatures = self._temperatures[rows]
            noise = self._noise.gumbel(self._keys[rows], device_tensor(steps, logits.device))
            sampled = scores / temperatures.clamp(min=1e-4) + noise
            scores = torch.where(temperatures > 0, sampled, scores)
        tokens = scores.argmax(-1, keepdim=True)
        used = device_tensor(kept, logits.device, torch.int64)
        seen[used, tokens[used, 0]] = True
        if any(each.logprobs for each in params):
            logprobs = logits.log_softmax(-1).gather(1, tokens)[:, 0]
        else:
            logprobs = torch.zeros(len(logits))
        return tokens[:, 0], logprobs
