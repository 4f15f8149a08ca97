"""CUDA streams of the engine's threads. Each thread has its own, and passes on complete tensors only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def use_own_stream(device: torch.device, *, urgent: bool = False) -> None:
    """Give the calling thread its own current stream on `device`. Without CUDA this does nothing.

    `urgent`: the device runs the work of this stream before that of others.
    """
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1 if urgent else 0))


def disable_cudnn_attention(device: torch.device) -> None:
    """Disable cuDNN's attention in this process. Without CUDA this does nothing.

    On Hopper torch tries cuDNN first. It plans for tens of milliseconds for each new size or length, once per thread,
    and keeps every plan. References of voices have any length.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def synchronize_stream(device: torch.device) -> None:
    """Wait until the work of the calling thread's stream is done, so that other streams may read its results.

    The thread sleeps meanwhile.
    """
    if device.type == "cuda":
        done = torch.cuda.Event(blocking=True)
        done.record()
        done.synchronize()


def hold_for_stream(*tensors: Tensor | None) -> None:
    """Mark complete tensors of other threads as used by the calling thread's stream.

    Their owner may free them at once: their memory is not reused before that stream has read it.
    """
    for tensor in tensors:
        if tensor is not None and tensor.is_cuda:
            tensor.record_stream(torch.cuda.current_stream(tensor.device))


def device_tensor(values: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor of values from the host, without waiting for the device.

    `torch.tensor(values, device=device)` would wait for all work of the current stream.
    """
    return torch.tensor(values, dtype=dtype, pin_memory=device.type == "cuda").to(device, non_blocking=True)


def is_usable(device: torch.device) -> bool:
    """Return False if the device is lost for this process, as it is after some errors."""
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError:
            return False
    return True
