"""CUDA streams of the engine's threads: each works on its own, and what crosses from one to another is complete."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def work_apart(device: torch.device) -> None:
    """Give the calling thread a stream of its own on `device`, which is its current one; without CUDA, nothing."""
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device))


def complete(device: torch.device) -> None:
    """Wait, asleep, until all that the calling thread has issued is done, so that any other stream may read it."""
    if device.type == "cuda":
        done = torch.cuda.Event(blocking=True)
        done.record()
        done.synchronize()


def borrow(tensors: Iterable[Tensor]) -> None:
    """Keep the memory of tensors that were made on another stream until this one has done what is issued by then.

    Without it, the stream that made them may use the memory again as soon as the host forgets them.
    """
    for tensor in tensors:
        if tensor.is_cuda:
            tensor.record_stream(torch.cuda.current_stream())
