"""Counter-based Gumbel noise: it depends on nothing but the request, so a stream draws the same codes in any batch."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class GumbelNoise:
    """Each number is a hash (SplitMix64) of key, frame and offset, and of nothing else."""

    def __init__(self, numbers: int, device: torch.device) -> None:
        """`numbers`: how many each frame has."""
        self._stride = _signed(numbers * _GOLDEN)
        self._offsets = torch.arange(numbers, device=device).mul_(_signed(_GOLDEN))

    def gumbel(self, keys: Tensor, frames: Tensor, offsets: slice = slice(None)) -> Tensor:
        """Return noise (rows, numbers) in float32 for `keys` and `frames` (rows,) int64, limited to `offsets`."""
        bits = self._offsets[offsets] + (keys + frames * self._stride)[:, None]
        for shift, factor in zip((30, 27), _MIX, strict=True):
            bits ^= (bits >> shift).bitwise_and_((1 << 64 - shift) - 1)  # an unsigned shift
            bits *= _signed(factor)
        uniform = (bits >> 41).bitwise_and_((1 << 23) - 1).float().add_(0.5).mul_(2.0**-23)  # never 0, never 1
        return uniform.log_().neg_().log_().neg_()


def noise_key(seed: int) -> int:
    """Return the key of a seed, any integer. Neighbouring seeds have keys that are far apart."""
    bits = seed * _GOLDEN % 2**64
    for shift, factor in zip((30, 27), _MIX, strict=True):
        bits = (bits ^ bits >> shift) * factor % 2**64
    return _signed(bits ^ bits >> 31)


def _signed(bits: int) -> int:
    return (bits + 2**63) % 2**64 - 2**63
