"""The draws of `sampling`, for a GPU: one kernel each."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
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
    """Draws a code for each row of a batch in one kernel: codes that `Sampler` would draw by `Noise`.

    Two things differ. Codes that tie at the edge of top-p are all kept, where the plain draw keeps those that its sort
    puts last; and sums of probabilities and the noise's logarithms may be rounded otherwise in the last place.
    """

    def __init__(self, sampler: Sampler, keys: Tensor, numbers: int) -> None:
        """`sampler` has the rows' parameters: load it, then draw here. Its plan has no say.

        `keys` (rows,) int64 are those of the rows' noise, of which there are `numbers` a frame (as of `Noise`).
        """
        self._sampler = sampler
        self._keys = keys
        self._numbers = numbers

    def draw(self, scores: Tensor, frames: Tensor, place: int, rules: Rules | None = None) -> Tensor:
        """Codes (rows,) int64 for `scores` (rows, vocabulary), in the head's own type.

        `frames` (rows,) int64 and `place`, the first of the draw's among the frame's numbers, choose the noise: this
        is `Noise.gumbel(keys, frames, slice(place, place + vocabulary))`. A row of scores that are no numbers draws
        a code of the vocabulary all the same.
        """
        assert scores.stride(1) == 1
        assert rules is None or rules.seen.is_contiguous()
        rows, vocabulary = scores.shape
        codes = torch.empty_like(self._keys)
        sampler = self._sampler
        _draw[(rows,)](
            scores,
            codes,
            sampler.do_sample.view(torch.uint8),
            sampler.temperature,
            sampler.last_kept,
            sampler.rest,
            self._keys,
            frames,
            *((None,) * 5 if rules is None else (rules.seen.view(torch.uint8), *rules[1:5])),
            scores.stride(0),
            frames.stride(0),
            0 if rules is None else rules.drawn.stride(0),
            place,
            END=0 if rules is None else rules.end,
            CONTROL=0 if rules is None else rules.control,
            NUMBERS=self._numbers,
            VOCABULARY=vocabulary,
            BLOCK=triton.next_power_of_2(vocabulary),
            num_warps=8,
            enable_fp_fusion=False,
        )
        return codes


@triton.jit
def _draw(
    scores,
    codes,
    do_sample,
    temperature,
    last_kept,
    rest,
    keys,
    frames,
    seen,
    slots,
    penalty,
    drawn,
    least,
    score_stride,
    frame_stride,
    drawn_stride,
    place,
    END: tl.constexpr,
    CONTROL: tl.constexpr,
    NUMBERS: tl.constexpr,
    VOCABULARY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    code = tl.arange(0, BLOCK)
    inside = code < VOCABULARY
    score = tl.load(scores + row * score_stride + code, inside, float("-inf")).to(tl.float32)
    score = tl.where(score == score, score, float("-inf"))  # noqa: PLR0124 - no number is not itself, and no code
    if seen is not None:
        line = seen + tl.load(slots + row) * VOCABULARY
        factor = tl.load(penalty + row)
        punished = tl.where(score < 0, score * factor, tl.div_rn(score, factor))
        score = tl.where(tl.load(line + code, inside, 0) != 0, punished, score)
        too_soon = tl.load(drawn + row * drawn_stride) < tl.load(least + row)
        score = tl.where(((code >= CONTROL) & (code != END)) | (too_soon & (code == END)), float("-inf"), score)
    if tl.load(do_sample + row) != 0:
        kept = tl.load(last_kept + row) + 1
        score = _warped(score, tl.load(temperature + row), kept, tl.load(rest + row), VOCABULARY)
        number = tl.load(frames + row * frame_stride) * NUMBERS + place + code
        score += _gumbel(number, tl.load(keys + row))
    best = tl.argmax(score, 0)
    tl.store(codes + row, best.to(tl.int64))
    if seen is not None:
        tl.store(line + best, tl.full((), 1, tl.uint8))


@triton.jit
def _warped(score, temperature, kept, left_out, VOCABULARY: tl.constexpr):
    """As `Sampler.warped`: temperature, top-k (so many are kept) and top-p (so much of the probability is left out)."""
    score = tl.div_rn(score, temperature)
    if kept < VOCABULARY:
        score = tl.where(score >= _worst_kept(score, kept), score, float("-inf"))
    if left_out > 0:
        score = tl.where(score >= _nucleus_edge(score, left_out), score, float("-inf"))
    return score


@triton.jit
def _worst_kept(score, kept):
    """The `kept`-th best score: bit by bit the largest number that so many are not below."""
    order = _ordered(score)
    edge = tl.full((), 0, tl.uint32)
    bit = tl.full((), 1 << 31, tl.uint32)
    for _ in range(32):
        enough = tl.sum((order >= (edge | bit)).to(tl.int32), 0) >= kept
        edge = tl.where(enough, edge | bit, edge)
        bit = bit >> 1
    return _score_of(edge)


@triton.jit
def _nucleus_edge(score, left_out):
    """The least score that is kept: the largest with no more than `left_out` of the probability below it."""
    order = _ordered(score)
    best = tl.max(score, 0)
    weight = tl.exp(score - best)
    left_out = tl.sum(weight, 0) * left_out
    edge = tl.full((), 0, tl.uint32)
    bit = tl.full((), 1 << 31, tl.uint32)
    for _ in range(32):
        little = tl.sum(tl.where(order < (edge | bit), weight, 0.0), 0) <= left_out
        edge = tl.where(little, edge | bit, edge)
        bit = bit >> 1
    return _score_of(tl.minimum(edge, tl.max(order, 0)))


@triton.jit
def _ordered(score):
    """Unsigned numbers that are in the order of the scores."""
    bits = score.to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) | -(1 << 31))).to(tl.uint32, bitcast=True)


@triton.jit
def _score_of(order):
    """The inverse of `_ordered`."""
    bits = order.to(tl.int32, bitcast=True)
    return (bits ^ (((~bits) >> 31) | -(1 << 31))).to(tl.float32, bitcast=True)


@triton.jit
def _gumbel(number, key):
    """Gumbel noise, bit by bit that of `sampling.Noise`."""
    number, key = number.to(tl.uint64, bitcast=True), key.to(tl.uint64, bitcast=True)
    bits = number * 0x9E3779B97F4A7C15 + key
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    uniform = ((bits >> 41).to(tl.float32) + 0.5) * (1.0 / (1 << 23))
    return -tl.log(-tl.log(uniform))
