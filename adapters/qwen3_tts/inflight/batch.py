"""The rows of a frame: which slot each is, and how it draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adapters.qwen3_tts.inflight.sampling import Sampler, Sampling, noise_key, upload
from adapters.qwen3_tts.inflight.weights import Weights


class Batch:
    """A batch of a fixed number of rows; its tensors stay where they are while slots come and go."""

    def __init__(self, weights: Weights, rows: int) -> None:
        device = weights.device
        self.rows = rows
        self.slots = torch.zeros(rows, dtype=torch.int64, device=device)
        self.keys = torch.zeros(rows, dtype=torch.int64, device=device)
        """Of the rows' noise."""
        self.penalty = torch.zeros(rows, 1, device=device)
        self.least = torch.zeros(rows, dtype=torch.int64, device=device)
        """How many codes come before an end is allowed."""
        self.talker = Sampler(rows, len(weights.codec_head), device)
        self.predictor = Sampler(rows, len(weights.predictor_heads[0]), device)
        self.first_slot: int | None = None
        """Where the slots are neighbours in rising order, the first of them."""
        self._loaded: tuple[Sequence[int], Sequence[Sampling]] = (), ()

    def load(self, slots: Sequence[int], samplings: Sequence[Sampling]) -> None:
        """Take these slots, as many as there are rows."""
        if self._loaded == (slots, samplings):
            return
        self._loaded = (), ()  # until all of it is
        upload(self.slots, slots)
        upload(self.keys, [noise_key(sampling.seed) for sampling in samplings])
        upload(self.penalty, [[sampling.repetition_penalty] for sampling in samplings])
        upload(self.least, [sampling.min_new_tokens for sampling in samplings])
        self.talker.load([sampling.talker for sampling in samplings])
        self.predictor.load([sampling.predictor for sampling in samplings])
        first = slots[0]
        self.first_slot = first if list(slots) == list(range(first, first + self.rows)) else None
        self._loaded = slots, samplings

    @property
    def samples(self) -> bool:
        """Whether any code is drawn by chance."""
        return self.talker.plan.sampled or self.predictor.plan.sampled
