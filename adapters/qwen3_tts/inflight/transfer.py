"""Results on their way from the device to the host, which may do something else meanwhile."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class Transfer:
    """A tensor as it is when all that its device's current stream has in work is done; it may change afterwards."""

    def __init__(self, tensor: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.Event(blocking=True)  # a waiting host sleeps, and leaves its core to others
            self._arrived.record()
        else:
            self._host = tensor.clone()

    @property
    def arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self._arrived is None or self._arrived.query()

    def wait(self) -> NDArray[Any]:
        """The values, once they are there; raises what the device failed with."""
        if self._arrived is not None:
            self._arrived.synchronize()
        values: NDArray[Any] = self._host.numpy()
        return values
