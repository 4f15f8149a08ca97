"""Copies between host and device that neither side waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class AsyncCopy:
    """A copy of a tensor to the host, taken after all work that is now queued on the device's current stream.

    The tensor may change afterwards.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._copied: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._copied = torch.cuda.Event(
                blocking=True
            )  # a blocking wait sleeps and leaves its core to other threads
            self._copied.record()
        else:
            self._host = tensor.clone()

    @property
    def is_ready(self) -> bool:
        """True if `wait` would return at once."""
        return self._copied is None or self._copied.query()

    def wait(self) -> NDArray[Any]:
        """Wait for the values and return them; raises the error of the device, if it failed."""
        if self._copied is not None:
            self._copied.synchronize()
        values: NDArray[Any] = self._host.numpy()
        return values


def upload(target: Tensor, values: Sequence[Any]) -> None:
    """Fill a tensor with values from the host, without waiting for the device."""
    target.copy_(torch.tensor(values, dtype=target.dtype, pin_memory=target.is_cuda), non_blocking=True)
