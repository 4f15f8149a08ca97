"""The draws of `sampling`, for a GPU: one kernel each."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from adapters.qwen3_tts.inflight.sampling import Sampler


class Rules(NamedTuple):
    """What codebook 0's codes obey besides, and the others' do not."""

    seen: Tensor
    """(slots, vocabulary) bool: which codes were drawn. That of each row is added to it."""
    slots: Tensor
    """(rows,) int64: whose line of `seen` is whose."""
    penalty: Tensor
    """(rows, 1) float32, on the codes that were drawn before."""
    drawn: Tensor
    """(rows,) int64: how many were."""
    least: Tensor
    """(rows,) int64: how many there must be before `end` is allowed."""
    end: int
    """The code that ends a stream."""
    control: int
    """The first of the codes that are never drawn: all from it on, but for `end`."""


class FusedSampler:
    """Draws a code for each row of a batch in one kernel: codes that `Sampler` would draw by `Noise`."""

    def __init__(self, sampler: Sampler, keys: Tensor, numbers: int) -> None:
        """`sampler` has the rows' parameters: load it, then draw here. Its plan has no say.

        `keys` (rows,) int64 are those of the rows' noise, of which there are `numbers` a frame (as of `Noise`).
        """
        raise NotImplementedError

    def draw(self, scores: Tensor, frames: Tensor, place: int, rules: Rules | None = None) -> Tensor:
        """Codes (rows,) int64 for `scores` (rows, vocabulary), in the head's own type.

        `frames` (rows,) int64 and `place`, the first of the draw's among the frame's numbers, choose the noise: this
        is `Noise.gumbel(keys, frames, slice(place, place + vocabulary))`. A row of scores that are no numbers draws
        a code of the vocabulary all the same.
        """
        raise NotImplementedError
