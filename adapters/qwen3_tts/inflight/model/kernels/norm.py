"""Root mean square norm, together with the residual sum before it."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def add_norm(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the sum of `x` and `delta` (rows, size), and its norm times `weight` (size,).

    The norm takes the rounded sum, computes in float32, and is rounded to the tensors' type before and after the
    product with `weight`. Without `delta` the sum is `x` itself. All tensors are contiguous.
    """
    rows, size = x.shape
    total = x if delta is None else torch.empty_like(x)
    normed = torch.empty_like(x)
    block = triton.next_power_of_2(size)
    _add_norm[(rows,)](
        x, delta, weight, total, normed, eps, SIZE=size, BLOCK=block, num_warps=_warps(block), enable_fp_fusion=False
    )
    return total, normed


def _warps(block: int) -> int:
    return min(max(block // 256, 1), 8)


@triton.jit
def _add_norm(x, delta, weight, total, normed, eps, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)
    inside = column < SIZE
    offset = tl.program_id(0).to(tl.int64) * SIZE + column
    rounded = normed.dtype.element_ty
    value = tl.load(x + offset, inside, 0.0).to(tl.float32)
    if delta is not None:
        value += tl.load(delta + offset, inside, 0.0).to(tl.float32)
        value = value.to(rounded).to(tl.float32)
        tl.store(total + offset, value.to(rounded), inside)
    scale = tl.rsqrt(tl.sum(value * value, 0) / SIZE + eps)
    factor = tl.load(weight + column, inside, 0.0).to(tl.float32)
    tl.store(normed + offset, ((value * scale).to(rounded).to(tl.float32) * factor).to(rounded), inside)
