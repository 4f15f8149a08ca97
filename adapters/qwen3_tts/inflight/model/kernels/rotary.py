"""Norm and rotation of queries and keys, between their matrix and the attention."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


def rotate_and_store(
    qkv: Tensor, norm: Tensor, cos: Tensor, sin: Tensor, cache: Tensor, slots: Tensor, positions: Tensor, eps: float
) -> None:
    """Norm and rotate the heads of the queries, in place, and of the keys, which go to the cache with the values.

    `qkv` (rows, heads + 2 * key_value_heads, dim), contiguous; `norm` (heads + key_value_heads, dim), the heads'
    weights; `cos` and `sin` (positions, dim), with negative sines in the first half; `cache` (slots, positions, 2 *
    key_value_heads, dim), with contiguous last two dimensions; `slots` and `positions` (rows,) int64. The norm, its
    product with the weight, both products of the rotation and their sum are each rounded to the tensors' type.
    """
    rows, heads, dim = qkv.shape
    half = dim // 2
    _rotate_and_store[(rows, heads)](
        qkv,
        norm,
        cos,
        sin,
        cache,
        slots,
        positions,
        *cache.stride()[:2],
        eps,
        HEADS=heads,
        ROTATED=norm.shape[0],
        QUERIES=heads - cache.shape[2],
        HALF=half,
        BLOCK=triton.next_power_of_2(half),
        num_warps=1,
        enable_fp_fusion=False,
    )


@triton.jit
def _rotate_and_store(
    qkv,
    norm,
    cos,
    sin,
    cache,
    slots,
    positions,
    slot_stride,
    position_stride,
    eps,
    HEADS: tl.constexpr,
    ROTATED: tl.constexpr,
    QUERIES: tl.constexpr,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row, head = tl.program_id(0), tl.program_id(1)
    position = tl.load(positions + row)
    column = tl.arange(0, BLOCK)
    inside = column < HALF
    rounded = qkv.dtype.element_ty
    source = qkv + (row.to(tl.int64) * HEADS + head) * 2 * HALF + column
    first = tl.load(source, inside, 0.0)
    second = tl.load(source + HALF, inside, 0.0)
    if head < ROTATED:
        one, two = first.to(tl.float32), second.to(tl.float32)
        scale = tl.rsqrt((tl.sum(one * one, 0) + tl.sum(two * two, 0)) / (2 * HALF) + eps)
        weight = norm + head * 2 * HALF + column
        one = (one * scale).to(rounded).to(tl.float32) * tl.load(weight, inside, 0.0).to(tl.float32)
        two = (two * scale).to(rounded).to(tl.float32) * tl.load(weight + HALF, inside, 0.0).to(tl.float32)
        one, two = one.to(rounded).to(tl.float32), two.to(rounded).to(tl.float32)
        angle = position * 2 * HALF + column
        first = _turned(one, two, cos + angle, sin + angle, inside, rounded)
        second = _turned(two, one, cos + angle + HALF, sin + angle + HALF, inside, rounded)
    if head < QUERIES:
        target = source
    else:
        target = cache + tl.load(slots + row) * slot_stride + position * position_stride
        target += (head - QUERIES) * 2 * HALF + column
    tl.store(target, first, inside)
    tl.store(target + HALF, second, inside)


@triton.jit
def _turned(x, other, cos, sin, inside, rounded):
    by_cos = (x * tl.load(cos, inside, 0.0).to(tl.float32)).to(rounded).to(tl.float32)
    by_sin = (other * tl.load(sin, inside, 0.0).to(tl.float32)).to(rounded).to(tl.float32)
    return (by_cos + by_sin).to(rounded)
