"""The gated activation between the two matrices of a layer's feed-forward part."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


def silu_mul(gate_up: Tensor) -> Tensor:
    """Return SiLU of the first half of `gate_up` (rows, 2 * size), rounded, times the second half. Contiguous."""
    rows, size = gate_up.shape[0], gate_up.shape[1] // 2
    product = gate_up.new_empty(rows, size)
    _silu_mul[(rows, triton.cdiv(size, _BLOCK))](
        gate_up, product, SIZE=size, BLOCK=_BLOCK, num_warps=4, enable_fp_fusion=False
    )
    return product


@triton.jit
def _silu_mul(gate_up, product, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < SIZE
    rounded = product.dtype.element_ty
    gate = tl.load(gate_up + row * 2 * SIZE + column, inside, 0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * SIZE + SIZE + column, inside, 0.0).to(tl.float32)
    silu = tl.div_rn(gate, 1.0 + tl.exp(-gate)).to(rounded).to(tl.float32)
    tl.store(product + row * SIZE + column, (silu * up).to(rounded), inside)
