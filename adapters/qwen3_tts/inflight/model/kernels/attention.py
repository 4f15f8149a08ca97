"""Attention of single tokens to the caches of their slots, each to its own length."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK, _SMALL_BLOCK = 32, 16
"""Positions that a program reads at once. The second is for caches with no more positions, as in the code predictor."""
_PROGRAMS = 256
"""Programs that keep a GPU busy. If rows and heads make fewer, the positions are split."""


def attend(queries: Tensor, cache: Tensor, slots: Tensor, positions: Tensor, *, programs: int = _PROGRAMS) -> Tensor:
    """Compute attention of `queries` (rows, heads, dim) to the positions of the cache from 0 to each row's own.

    `queries` may be part of a larger tensor, with contiguous rows; `cache` (slots, positions, 2 * key_value_heads,
    dim), with contiguous last two dimensions, keys first; `slots` and `positions` (rows,) int64. All sums are float32;
    the result (rows, heads * dim) is rounded once. Its heads are by group, then by key head, as in `layers.attend`.
    `programs`: split the positions if there would be fewer programs.
    """
    rows, heads, dim = queries.shape
    key_value_heads = cache.shape[2] // 2
    splits = _splits(rows * key_value_heads, cache.shape[1], programs)
    attended = queries.new_empty(rows, heads * dim)
    sums = attended if splits == 1 else attended.new_empty(rows, splits, heads * dim, dtype=torch.float32)
    # For each head in each split: the largest score, and the sum of exp2(score - largest).
    totals = attended.new_empty(rows, splits, heads, 2, dtype=torch.float32)
    block = triton.next_power_of_2(dim)
    group = heads // key_value_heads
    _attend[(rows, key_value_heads, splits)](
        queries,
        cache,
        slots,
        positions,
        sums,
        totals,
        queries.stride(0),
        *cache.stride()[:2],
        math.log2(math.e) / math.sqrt(dim),
        HEADS=key_value_heads,
        GROUP=group,
        GROUP_BLOCK=triton.next_power_of_2(group),
        DIM=dim,
        DIM_BLOCK=block,
        SPLITS=splits,
        BLOCK=_BLOCK if cache.shape[1] > _SMALL_BLOCK else _SMALL_BLOCK,
        num_warps=4,
    )
    if splits > 1:
        _merge[(rows, heads)](sums, totals, attended, HEADS=heads, DIM=dim, BLOCK=block, SPLITS=splits, num_warps=4)
    return attended


def _splits(unsplit: int, positions: int, programs: int) -> int:
    """Return the number of parts of the positions: a power of two that depends on shapes alone."""
    wanted = min(programs // unsplit, -(-positions // _BLOCK))
    return 1 << max(wanted, 1).bit_length() - 1


@triton.jit
def _attend(
    queries,
    cache,
    slots,
    positions,
    sums,
    totals,
    query_stride,
    slot_stride,
    position_stride,
    scale,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row, head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    # A lane is a position and a member of the group: neighbouring lanes read the same key, in one memory access.
    lane = tl.arange(0, BLOCK * GROUP_BLOCK)
    ahead, member = lane // GROUP_BLOCK, lane % GROUP_BLOCK
    column = tl.arange(0, DIM_BLOCK)
    inside = (member < GROUP)[:, None] & (column < DIM)[None, :]
    query = tl.load(
        queries + row * query_stride + ((head * GROUP + member) * DIM)[:, None] + column[None, :], inside, 0.0
    )
    query = query.to(tl.float32) * scale
    keys = cache + tl.load(slots + row) * slot_stride + head * DIM
    length = tl.load(positions + row).to(tl.int32) + 1
    share = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK) * BLOCK
    begin = split * share
    end = tl.minimum(begin + share, length)

    # Each lane has its own sums, merged after the loop. The initial maximum is finite, so that a lane without positions
    # does not subtract infinities.
    largest = tl.full((BLOCK * GROUP_BLOCK,), -1e30, tl.float32)
    total = tl.zeros((BLOCK * GROUP_BLOCK,), tl.float32)
    summed = tl.zeros((BLOCK * GROUP_BLOCK, DIM_BLOCK), tl.float32)
    for start in range(begin, end, BLOCK):
        position = start + ahead
        there = position < end
        offset = position.to(tl.int64)[:, None] * position_stride + column[None, :]
        key = tl.load(keys + offset, there[:, None] & inside, 0.0).to(tl.float32)
        value = tl.load(keys + HEADS * DIM + offset, there[:, None] & inside, 0.0).to(tl.float32)
        score = tl.where(there, tl.sum(query * key, 1), -1e30)
        larger = tl.maximum(largest, score)
        kept = tl.exp2(largest - larger)
        weight = tl.where(there, tl.exp2(score - larger), 0.0)
        total = total * kept + weight
        summed = summed * kept[:, None] + weight[:, None] * value
        largest = larger

    largest = tl.reshape(largest, (BLOCK, GROUP_BLOCK))
    most = tl.max(largest, 0)
    kept = tl.exp2(largest - most[None, :])
    total = tl.sum(tl.reshape(total, (BLOCK, GROUP_BLOCK)) * kept, 0)
    result = tl.sum(tl.reshape(summed, (BLOCK, GROUP_BLOCK, DIM_BLOCK)) * kept[:, :, None], 0)
    member = tl.arange(0, GROUP_BLOCK)
    inside = (member < GROUP)[:, None] & (column < DIM)[None, :]
    line = (row * SPLITS + split) * HEADS * GROUP + member * HEADS + head
    target = sums + line[:, None] * DIM + column[None, :]
    if SPLITS == 1:
        tl.store(target, (result / total[:, None]).to(sums.dtype.element_ty), inside)
    else:
        tl.store(target, result, inside)
        tl.store(totals + line * 2, most, member < GROUP)
        tl.store(totals + line * 2 + 1, total, member < GROUP)


@triton.jit
def _merge(sums, totals, attended, HEADS: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr, SPLITS: tl.constexpr):
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    split, column = tl.arange(0, SPLITS), tl.arange(0, BLOCK)
    inside = column < DIM
    line = (row * SPLITS + split) * HEADS + head
    largest = tl.load(totals + line * 2)
    weight = tl.exp2(largest - tl.max(largest, 0))
    total = tl.sum(tl.load(totals + line * 2 + 1) * weight, 0)
    parts = tl.load(sums + line[:, None] * DIM + column[None, :], inside[None, :], 0.0)
    result = tl.sum(parts * weight[:, None], 0) / total
    tl.store(attended + (row * HEADS + head) * DIM + column, result.to(attended.dtype.element_ty), inside)
