"""The rows of a frame: the slot and the sampling parameters of each row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adapters.inflight.noise import noise_key
from adapters.qwen3_tts.inflight.device.async_copy import upload
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.weights import Weights


class Batch:
    """A batch of a fixed number of rows. Its tensors stay at their addresses when the slots change."""

    def __init__(self, weights: Weights, rows: int) -> None:
        device = weights.device
        self.rows = rows
        self.slots = torch.zeros(rows, dtype=torch.int64, device=device)
        self.keys = torch.zeros(rows, dtype=torch.int64, device=device)
        """Noise keys of the rows."""
        self.penalty = torch.zeros(rows, 1, device=device)
        self.min_tokens = torch.zeros(rows, dtype=torch.int64, device=device)
        """Codes to draw before an end token is allowed."""
        self.talker = RowSampler(rows, len(weights.codec_head), device)
        self.predictor = RowSampler(rows, len(weights.predictor_heads[0]), device)
        self.first_slot: int | None = None
        """The first slot, if the slots are consecutive; otherwise None."""
        self._loaded: tuple[Sequence[int], Sequence[SamplingParams]] = (), ()

    def load(self, slots: Sequence[int], samplings: Sequence[SamplingParams]) -> None:
        """Set the slots, one for each row."""
        if self._loaded == (slots, samplings):
            return
        self._loaded = (), ()  # stays so if an upload fails
        upload(self.slots, slots)
        upload(self.keys, [noise_key(sampling.seed) for sampling in samplings])
        upload(self.penalty, [[sampling.repetition_penalty] for sampling in samplings])
        upload(self.min_tokens, [sampling.min_new_tokens for sampling in samplings])
        self.talker.load([sampling.talker for sampling in samplings])
        self.predictor.load([sampling.predictor for sampling in samplings])
        first = slots[0]
        self.first_slot = first if list(slots) == list(range(first, first + self.rows)) else None
        self._loaded = slots, samplings

    @property
    def any_sampled(self) -> bool:
        """True if any row samples."""
        return self.talker.plan.sampled or self.predictor.plan.sampled
