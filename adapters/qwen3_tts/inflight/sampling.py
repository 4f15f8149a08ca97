"""How codes are drawn: the reference's processors in its order, and noise that depends on nothing but the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

_NARROW: Final = 64
"""Candidates that are looked at where no row keeps more; else all are."""
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Warp(NamedTuple):
    """How one row's scores become a distribution."""

    do_sample: bool
    """Otherwise the best code is taken, and the rest is without effect."""
    temperature: float
    top_k: int
    """How many codes are kept, those that tie with the last among them; 0: all."""
    top_p: float


@dataclass(frozen=True)
class Sampling:
    """One request's parameters, with the reference's defaults."""

    do_sample: bool = True
    temperature: float = 0.9
    top_k: int = 50
    """0: all."""
    top_p: float = 1.0
    repetition_penalty: float = 1.05
    min_new_tokens: int = 2
    subtalker_dosample: bool = True
    subtalker_temperature: float = 0.9
    subtalker_top_k: int = 50
    subtalker_top_p: float = 1.0
    seed: int = 0
    """Any integer; equal seeds and parameters give equal codes, whoever else is served."""

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> Sampling:
        """Parameters by name, later layers over earlier ones; what is None or no parameter is passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{k: v for layer in layers for k, v in layer.items() if k in known and v is not None})

    @property
    def talker(self) -> Warp:
        """For codebook 0."""
        return Warp(self.do_sample, self.temperature, self.top_k, self.top_p)

    @property
    def predictor(self) -> Warp:
        """For the other codebooks."""
        return Warp(self.subtalker_dosample, self.subtalker_temperature, self.subtalker_top_k, self.subtalker_top_p)


class Plan(NamedTuple):
    """Which operations a batch's draws consist of; the rest of what differs is in tensors."""

    sampled: bool
    """Whether any row is drawn by chance."""
    greedy: bool
    """Whether any row is not."""
    candidates: int
    """How many of the best scores are looked at to find the worst that is kept."""
    nucleus: bool
    """Whether any row has a top-p."""


class Sampler:
    """Draws a code for each row of a batch of fixed size; its tensors stay where they are from batch to batch."""

    def __init__(self, rows: int, vocabulary: int, device: torch.device) -> None:
        self._vocabulary = vocabulary
        self.do_sample = torch.zeros(rows, dtype=torch.bool, device=device)
        self.temperature = torch.zeros(rows, 1, device=device)
        self.last_kept = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        """One less than are kept of the best scores."""
        self.rest = torch.zeros(rows, 1, device=device)
        """The probability that top-p leaves out at most."""
        self.plan = Plan(sampled=False, greedy=True, candidates=vocabulary, nucleus=False)

    def load(self, warps: Sequence[Warp]) -> None:
        """Set the rows' parameters."""
        kept = [min(warp.top_k or self._vocabulary, self._vocabulary) if warp.do_sample else 1 for warp in warps]
        narrow = max(kept) <= _NARROW < self._vocabulary
        self.plan = Plan(
            sampled=any(warp.do_sample for warp in warps),
            greedy=not all(warp.do_sample for warp in warps),
            candidates=_NARROW if narrow else self._vocabulary,
            nucleus=any(warp.do_sample and warp.top_p < 1 for warp in warps),
        )
        upload(self.do_sample, [warp.do_sample for warp in warps])
        upload(self.temperature, [[warp.temperature if warp.do_sample else 1] for warp in warps])
        upload(self.last_kept, [[keep - 1] for keep in kept])
        upload(self.rest, [[1 - warp.top_p] for warp in warps])

    def draw(self, scores: Tensor, noise: Tensor | None) -> Tensor:
        """Codes (rows,) for `scores` (rows, vocabulary) in float32, by Gumbel noise of that shape."""
        if noise is None or not self.plan.sampled:
            return scores.argmax(-1)
        drawn = self.warped(scores).add_(noise).argmax(-1)
        return torch.where(self.do_sample, drawn, scores.argmax(-1)) if self.plan.greedy else drawn

    def warped(self, scores: Tensor) -> Tensor:
        """Temperature, top-k and top-p: the scores of what remains, minus infinity for the rest."""
        scores = scores / self.temperature
        worst_kept = scores.topk(self.plan.candidates).values.gather(1, self.last_kept)
        scores.masked_fill_(scores < worst_kept, -torch.inf)
        return self._nucleus(scores) if self.plan.nucleus else scores

    def _nucleus(self, scores: Tensor) -> Tensor:
        ascending, order = scores.sort(-1)
        dropped = (ascending.softmax(-1).cumsum_(-1) <= self.rest) & (self.rest > 0)
        dropped[:, -1].fill_(False)
        return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


class Noise:
    """Gumbel noise by counter: each number is a hash (SplitMix64) of key, frame and place, and of nothing else."""

    def __init__(self, numbers: int, device: torch.device) -> None:
        """`numbers` a frame."""
        self._stride = _signed(numbers * _GOLDEN)
        self._places = torch.arange(numbers, device=device).mul_(_signed(_GOLDEN))

    def gumbel(self, keys: Tensor, frames: Tensor, places: slice = slice(None)) -> Tensor:
        """(rows, numbers) in float32 for `keys` and `frames` (rows,) int64, or those of `places` alone."""
        bits = self._places[places] + (keys + frames * self._stride)[:, None]
        for shift, factor in zip((30, 27), _MIX, strict=True):
            bits ^= (bits >> shift).bitwise_and_((1 << 64 - shift) - 1)  # as if they were unsigned
            bits *= _signed(factor)
        uniform = (bits >> 41).bitwise_and_((1 << 23) - 1).float().add_(0.5).mul_(2.0**-23)  # never 0, never 1
        return uniform.log_().neg_().log_().neg_()


def noise_key(seed: int) -> int:
    """The key of a seed, any integer; near seeds have keys that are far apart."""
    bits = seed * _GOLDEN % 2**64
    for shift, factor in zip((30, 27), _MIX, strict=True):
        bits = (bits ^ bits >> shift) * factor % 2**64
    return _signed(bits ^ bits >> 31)


def penalised(scores: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """The repetition penalty (rows, 1) on the codes (rows, vocabulary) that were drawn before."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def _signed(bits: int) -> int:
    return (bits + 2**63) % 2**64 - 2**63


def upload(target: Tensor, values: Sequence[Any]) -> None:
    """Fill a tensor with values of the host, without waiting for the device."""
    target.copy_(torch.tensor(values, dtype=target.dtype, pin_memory=target.is_cuda), non_blocking=True)
