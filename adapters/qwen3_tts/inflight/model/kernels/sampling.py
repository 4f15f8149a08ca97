"""The draws of `row_sampler`, for a GPU: one kernel per draw."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler


class FirstCodeRules(NamedTuple):
    """Rules for codebook 0 alone."""

    seen: Tensor
    """(slots, vocabulary) bool: the codes that were drawn. The draw adds each row's code."""
    slots: Tensor
    """(rows,) int64: the line of `seen` of each row."""
    penalty: Tensor
    """(rows, 1) float32, for codes that were drawn before."""
    drawn: Tensor
    """(rows,) int64: the number of codes drawn before."""
    min_tokens: Tensor
    """(rows,) int64: the number of codes to draw before `end` is allowed."""
    end: int
    """The end token."""
    control: int
    """The first control code. From it on no code is drawn, except `end`."""


class FusedRowSampler:
    """Draws a code for each row of a batch in one kernel: the codes that `RowSampler` would draw with `GumbelNoise`.

    There are two differences. Codes that tie at the edge of top-p are all kept; `RowSampler` keeps those that its sort
    puts last. Sums of probabilities, and the logarithms of the noise, may be rounded differently in the last place.
    """

    def __init__(self, sampler: RowSampler, keys: Tensor, numbers: int) -> None:
        """`sampler` has the rows' parameters: load it before a draw. Its plan is not used.

        `keys` (rows,) int64 are the noise keys of the rows. `numbers` as in `GumbelNoise`.
        """
        self._sampler = sampler
        self._keys = keys
        self._numbers = numbers

    def draw(self, scores: Tensor, frames: Tensor, noise_offset: int, rules: FirstCodeRules | None = None) -> Tensor:
        """Draw codes (rows,) int64 from `scores` (rows, vocabulary), in the head's own type.

        The noise is `GumbelNoise.gumbel(keys, frames, slice(noise_offset, noise_offset + vocabulary))`, with `frames`
        (rows,) int64. A row with NaN or infinite scores still draws a code of the vocabulary.
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
            noise_offset,
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
    min_tokens,
    score_stride,
    frame_stride,
    drawn_stride,
    noise_offset,
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
    score = tl.where(score == score, score, float("-inf"))  # noqa: PLR0124 - true for NaN only
    if seen is not None:
        line = seen + tl.load(slots + row) * VOCABULARY
        factor = tl.load(penalty + row)
        punished = tl.where(score < 0, score * factor, tl.div_rn(score, factor))
        score = tl.where(tl.load(line + code, inside, 0) != 0, punished, score)
        too_soon = tl.load(drawn + row * drawn_stride) < tl.load(min_tokens + row)
        score = tl.where(((code >= CONTROL) & (code != END)) | (too_soon & (code == END)), float("-inf"), score)
    if tl.load(do_sample + row) != 0:
        kept = tl.load(last_kept + row) + 1
        score = _warped(score, tl.load(temperature + row), kept, tl.load(rest + row), VOCABULARY)
        number = tl.load(frames + row * frame_stride) * NUMBERS + noise_offset + code
        score += _gumbel(number, tl.load(keys + row))
    best = tl.argmax(score, 0)
    tl.store(codes + row, best.to(tl.int64))
    if seen is not None:
        tl.store(line + best, tl.full((), 1, tl.uint8))


@triton.jit
def _warped(score, temperature, kept, left_out, VOCABULARY: tl.constexpr):
    """Apply temperature, top-k (`kept` codes) and top-p (`left_out`: the probability to drop), as `RowSampler`."""
    score = tl.div_rn(score, temperature)
    if kept < VOCABULARY:
        score = tl.where(score >= _worst_kept(score, kept), score, float("-inf"))
    if left_out > 0:
        score = tl.where(score >= _nucleus_edge(score, left_out), score, float("-inf"))
    return score


@triton.jit
def _worst_kept(score, kept):
    """Return the `kept`-th best score: find, bit by bit, the largest number that at least `kept` scores reach."""
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
    """Return the least score to keep: the largest one with at most `left_out` of the probability below it."""
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
    """Map scores to unsigned integers of the same order."""
    bits = score.to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) | -(1 << 31))).to(tl.uint32, bitcast=True)


@triton.jit
def _score_of(order):
    """Invert `_ordered`."""
    bits = order.to(tl.int32, bitcast=True)
    return (bits ^ (((~bits) >> 31) | -(1 << 31))).to(tl.float32, bitcast=True)


@triton.jit
def _gumbel(number, key):
    """Return Gumbel noise, bit for bit that of `noise.GumbelNoise`."""
    number, key = number.to(tl.uint64, bitcast=True), key.to(tl.uint64, bitcast=True)
    bits = number * 0x9E3779B97F4A7C15 + key
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    uniform = ((bits >> 41).to(tl.float32) + 0.5) * (1.0 / (1 << 23))
    return -tl.log(-tl.log(uniform))
