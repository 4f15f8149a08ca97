"""One frame at a time for many streams at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from adapters.qwen3_tts.inflight.prompt import Prompt
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.inflight.weights import Weights


@dataclass(frozen=True, eq=False)
class Frames:
    """A frame of each of some slots."""

    codes: Tensor
    """(n, 16) int64, on the device; of a row that ended they mean nothing."""
    ended: Tensor
    """(n,) bool, on the device: the row's code was the end token, which is no frame."""


class FrameStepper:
    """One checkpoint, with `slots` streams of at most `positions` prompt tokens and frames each. For one thread."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        raise NotImplementedError

    def prefill(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Start a stream in a free slot: its prompt is read, and its first code is drawn."""
        raise NotImplementedError

    def step(self, slots: Sequence[int]) -> Frames:
        """The next frame of these slots, each of which has been prefilled and has positions left."""
        raise NotImplementedError

    def release(self, slot: int) -> None:
        """Make a slot free again."""
        raise NotImplementedError
