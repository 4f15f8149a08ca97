"""Draws of codes from scores, in plain torch: the published model's logits processors, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.device.async_copy import upload
from adapters.qwen3_tts.inflight.model.sampling_params import LogitsParams

_NARROW: Final = 64
"""Candidates to sort if no row keeps more; otherwise all codes are sorted."""


class DrawPlan(NamedTuple):
    """The operations that a batch's draws need. Other differences between rows are in tensors."""

    sampled: bool
    """True if any row samples."""
    greedy: bool
    """True if any row takes the best code."""
    candidates: int
    """The number of best scores to search for the worst one that is kept."""
    nucleus: bool
    """True if any row has a top-p."""


class RowSampler:
    """Draws one code for each row of a batch of fixed size. Its tensors stay at their addresses between batches."""

    def __init__(self, rows: int, vocabulary: int, device: torch.device) -> None:
        self._vocabulary = vocabulary
        self.do_sample = torch.zeros(rows, dtype=torch.bool, device=device)
        self.temperature = torch.zeros(rows, 1, device=device)
        self.last_kept = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        """The number of best scores to keep, minus 1."""
        self.rest = torch.zeros(rows, 1, device=device)
        """The largest probability that top-p may leave out."""
        self.plan = DrawPlan(sampled=False, greedy=True, candidates=vocabulary, nucleus=False)

    def load(self, params: Sequence[LogitsParams]) -> None:
        """Set the parameters of the rows."""
        kept = [min(row.top_k or self._vocabulary, self._vocabulary) if row.do_sample else 1 for row in params]
        narrow = max(kept) <= _NARROW < self._vocabulary
        self.plan = DrawPlan(
            sampled=any(row.do_sample for row in params),
            greedy=not all(row.do_sample for row in params),
            candidates=_NARROW if narrow else self._vocabulary,
            nucleus=any(row.do_sample and row.top_p < 1 for row in params),
        )
        upload(self.do_sample, [row.do_sample for row in params])
        upload(self.temperature, [[row.temperature if row.do_sample else 1] for row in params])
        upload(self.last_kept, [[keep - 1] for keep in kept])
        upload(self.rest, [[1 - row.top_p] for row in params])

    def draw(self, scores: Tensor, noise: Tensor | None) -> Tensor:
        """Draw codes (rows,) for `scores` (rows, vocabulary) in float32, with Gumbel noise of the same shape."""
        if noise is None or not self.plan.sampled:
            return scores.argmax(-1)
        drawn = self.warp(scores).add_(noise).argmax(-1)
        return torch.where(self.do_sample, drawn, scores.argmax(-1)) if self.plan.greedy else drawn

    def warp(self, scores: Tensor) -> Tensor:
        """Apply temperature, top-k and top-p. Return the scores of the kept codes, and minus infinity for others."""
        scores = scores / self.temperature
        worst_kept = scores.topk(self.plan.candidates).values.gather(1, self.last_kept)
        scores.masked_fill_(scores < worst_kept, -torch.inf)
        return self._nucleus(scores) if self.plan.nucleus else scores

    def _nucleus(self, scores: Tensor) -> Tensor:
        ascending, order = scores.sort(-1)
        dropped = (ascending.softmax(-1).cumsum_(-1) <= self.rest) & (self.rest > 0)
        dropped[:, -1].fill_(False)
        return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


def penalized(scores: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Apply the repetition penalty (rows, 1) to the scores (rows, vocabulary) of codes that were drawn before."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)
