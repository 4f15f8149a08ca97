"""The norm of decoder layers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class RmsNorm:
    """Root mean square norm over the last dimension."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        """`weight`: (..., size)."""
        size = weight.shape[-1]
        self._weight = weight
        self._size = (size,)
        self._eps = eps
        self._plain = weight.dtype == torch.float32 and not weight.is_cuda
        self._least = torch.full((), math.sqrt(size * eps), device=weight.device)
        self._scaled = weight * math.sqrt(size)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize `x` (..., size)."""
        if self._plain:  # half as many operations on a CPU, for which torch has no norm kernel
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x.div(torch.hypot(length, self._least)).mul_(self._scaled)
        return F.rms_norm(x, self._size, eps=self._eps).mul_(self._weight)
