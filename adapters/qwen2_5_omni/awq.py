"""AWQ's tensors: weights of 4 bits with a scale and a zero for each group of inputs, and their products.

The packing is AWQ's `gemm` form: eight weights of neighbouring outputs in each 32-bit number, in the order below.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""The i-th four bits of a number hold the weight of this one of its eight outputs."""
_INNER_TILES = 8
"""A parameter of torch's layout of 4-bit weights on CUDA."""


@dataclass(frozen=True, eq=False)
class AwqTensors:
    """A matrix as an AWQ checkpoint has it."""

    qweight: Tensor
    """(inputs, outputs / 8) int32."""
    qzeros: Tensor
    """(inputs / group_size, outputs / 8) int32."""
    scales: Tensor
    """(inputs / group_size, outputs)."""
    group_size: int

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """Return the matrix (outputs, inputs)."""
        codes = _nibbles(self.qweight).float()
        zeros = _nibbles(self.qzeros).float().repeat_interleave(self.group_size, 0)
        matrix = (codes - zeros) * self.scales.float().repeat_interleave(self.group_size, 0)
        return matrix.t().to(dtype).contiguous()


class Int4Matrix:
    """A matrix of 4-bit weights, and torch's own product with it."""

    def __init__(self, tensors: AwqTensors, dtype: torch.dtype) -> None:
        """Lay the weights out for the device that they are on; raises `RuntimeError` where torch cannot."""
        self._group_size = tensors.group_size
        codes = _nibbles(tensors.qweight).t().contiguous()  # (outputs, inputs)
        zeros, scales = _nibbles(tensors.qzeros).float(), tensors.scales.float()
        # torch: weight = (code - 8) * scale + zero; AWQ: weight = (code - zero) * scale.
        self._scales_and_zeros = torch.stack([scales, (8 - zeros) * scales], -1).to(dtype).contiguous()
        if codes.is_cuda:
            if dtype != torch.bfloat16:
                raise RuntimeError(f"torch multiplies weights of 4 bits by bfloat16 alone on a GPU, not by {dtype}")
            pairs = (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8)
            self._packed = torch._convert_weight_to_int4pack(pairs, _INNER_TILES)
            self._product = torch._weight_int4pack_mm
        else:
            self._packed = torch._convert_weight_to_int4pack_for_cpu(codes, 1)
            self._product = torch._weight_int4pack_mm_for_cpu

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply `x` (tokens, inputs) by the matrix: (tokens, outputs)."""
        return self._product(x, self._packed, self._group_size, self._scales_and_zeros)


def _nibbles(packed: Tensor) -> Tensor:
    """Return the numbers of 0 to 15, int32, in their order: (rows, 8 * columns) from (rows, columns)."""
    shifts = torch.tensor([4 * _ORDER.index(output) for output in range(8)], dtype=torch.int32, device=packed.device)
    return ((packed[:, :, None] >> shifts) & 15).flatten(1)
