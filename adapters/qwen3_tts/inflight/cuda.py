"""CUDA streams of the engine's threads: each works on its own, and what crosses from one to another is complete."""

from __future__ import annotations

import torch


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
