"""How the codes of a batch are drawn; codebook 0's by rules of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.weights import Weights

_CONTROL_CODES = 1024
"""Of the talker's vocabulary, the last: of them only the end is ever drawn."""


class Drawing(ABC):
    """Draws the codes of one checkpoint, and knows of each slot which of codebook 0 were drawn."""

    def __init__(self, weights: Weights, slots: int) -> None:
        vocabulary, books = len(weights.codec_head), len(weights.predictor_heads)
        self.end: int = weights.config["talker_config"]["codec_eos_token_id"]
        """The code that ends a stream."""
        self._control = vocabulary - _CONTROL_CODES
        self._codes = len(weights.predictor_heads[0])
        self._others = books * self._codes
        """Numbers of noise before codebook 0's: the other codebooks' of a frame come first."""
        self._numbers = self._others + vocabulary
        self._seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=weights.device)

    def forget(self, slot: int) -> None:
        """Begin anew in a slot."""
        self._seen[slot].zero_()

    def place(self, book: int) -> int:
        """Where the noise of another codebook begins in a frame's."""
        return (book - 1) * self._codes

    @abstractmethod
    def chance(self, batch: Batch, frames: Tensor) -> Tensor | None:
        """What decides the draws after codebook 0's of `frames` (rows,), up to that of the next ones."""

    @abstractmethod
    def first(self, batch: Batch, scores: Tensor, drawn: Tensor, chance: Tensor | None) -> Tensor:
        """Codebook 0's codes (rows,) for the head's `scores` (rows, vocabulary), after so many `drawn` (rows,)."""

    @abstractmethod
    def other(self, batch: Batch, book: int, scores: Tensor, chance: Tensor | None) -> Tensor:
        """The codes (rows,) of another codebook for its head's `scores` (rows, codes)."""
