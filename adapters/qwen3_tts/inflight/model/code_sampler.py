"""The sampler of a batch's codes. Codebook 0 has rules of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.weights import Weights

_CONTROL_CODES = 1024
"""The last codes of the talker's vocabulary. Of these only the end token is ever drawn."""


class CodeSampler(ABC):
    """Draws the codes of one checkpoint, and remembers for each slot the codes of codebook 0 that were drawn."""

    def __init__(self, weights: Weights, slots: int) -> None:
        vocabulary, books = len(weights.codec_head), len(weights.predictor_heads)
        self.end: int = weights.config["talker_config"]["codec_eos_token_id"]
        """The end token."""
        self._control = vocabulary - _CONTROL_CODES
        self._codes = len(weights.predictor_heads[0])
        self._first_offset = books * self._codes
        """Noise offset of codebook 0: in a frame's noise the other codebooks come first."""
        self._numbers = self._first_offset + vocabulary
        self._seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=weights.device)

    def reset(self, slot: int) -> None:
        """Start a new stream in a slot."""
        self._seen[slot].zero_()

    def noise_offset(self, book: int) -> int:
        """Return the noise offset of another codebook."""
        return (book - 1) * self._codes

    @abstractmethod
    def noise(self, batch: Batch, frames: Tensor) -> Tensor | None:
        """Return the noise for codebooks 1 to 15 of `frames` (rows,) and for codebook 0 of the next frames."""

    @abstractmethod
    def draw_first(self, batch: Batch, scores: Tensor, drawn: Tensor, noise: Tensor | None) -> Tensor:
        """Draw codes (rows,) of codebook 0 from `scores` (rows, vocabulary). `drawn` (rows,): codes drawn before."""

    @abstractmethod
    def draw_other(self, batch: Batch, book: int, scores: Tensor, noise: Tensor | None) -> Tensor:
        """Draw codes (rows,) of codebook `book`, 1 to 15, from `scores` (rows, codes)."""
