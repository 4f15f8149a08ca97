"""CUDA streams of the engine's threads: each works on its own, and what crosses from one to another is complete."""

from __future__ import annotations

import torch


def work_apart(device: torch.device, *, urgent: bool = False) -> None:
    """Give the calling thread a stream of its own on `device`, which is its current one; without CUDA, nothing.

    `urgent`: the device does what is issued there before what others wait for.
    """
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1 if urgent else 0))


def attend_without_cudnn(device: torch.device) -> None:
    """Have torch's attention, in this whole process, done by other kernels than cuDNN's; without CUDA, nothing.

    On Hopper it is cuDNN that torch asks first, which plans for tens of milliseconds whatever differs in size or
    length, once a thread, and keeps every plan. The recordings of voices are of any length.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def complete(device: torch.device) -> None:
    """Wait, asleep, until all that the calling thread has issued is done, so that any other stream may read it."""
    if device.type == "cuda":
        done = torch.cuda.Event(blocking=True)
        done.record()
        done.synchronize()


def usable(device: torch.device) -> bool:
    """Whether the device still does what it is told: after some errors it never will again, for this process."""
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError:
            return False
    return True
