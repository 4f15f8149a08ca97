"""CUDA graphs: a sequence of operations that is launched as one, because launching them singly takes longer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import count, takewhile
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_WARM_UPS = 3
"""Times that work is done before it is captured: libraries set themselves up, kernels are compiled."""


def buckets_up_to(most: int) -> Sequence[int]:
    """The sizes of batch that are captured: 1, 2, 4... below `most`, and `most`."""
    return [*takewhile(lambda rows: rows < most, (1 << power for power in count())), most]


class Graphs:
    """Work of one CUDA stream, each kind captured once and then replayed; on any other device it is simply done.

    Work reads and writes tensors that stay where they are, depends on nothing else, and never waits for the device. All
    graphs share their intermediate memory, so what work returns is good until other work of the same stream is run.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True, urgent: bool = False) -> None:
        """`urgent`: the device does it first where there is also work that is not."""
        self.enabled = enabled and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self.enabled else None
        # Matrix libraries work in memory that belongs to the stream they are captured on: with one of their own, these
        # graphs may run beside others. It is one for all of them, because torch deals out the same few again and again.
        # A graph's kernels keep the priority of the stream they are captured on.
        self._side = torch.cuda.Stream(device, priority=-1 if urgent else 0) if self.enabled else None
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, Any]] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Do the work, or what was captured of the first work with this key: capturing it does it more than once.

        Where that fails, other work can still be done, on the same stream as before.
        """
        if not self.enabled:
            return work()
        if key not in self._captured:
            self._captured[key] = self._capture(work)
        captured: tuple[torch.cuda.CUDAGraph, T] = self._captured[key]
        captured[0].replay()
        return captured[1]

    def _capture(self, work: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        assert self._side is not None
        current = torch.cuda.current_stream()
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            for _ in range(_WARM_UPS):
                work()
        graph = torch.cuda.CUDAGraph()
        capturing = torch.cuda.graph(graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local")
        try:
            with torch.cuda.stream(current), capturing:  # torch does not go back to the stream when a capture fails
                result = work()
        except Exception:
            with suppress(RuntimeError):  # nor do all versions of its allocator come out of it
                torch._C._cuda_endAllocateToPool(self._side.device_index, self._pool)
            raise
        current.wait_stream(self._side)
        return graph, result
