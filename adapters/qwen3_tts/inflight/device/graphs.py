"""CUDA graphs: a sequence of operations with one launch, because single launches take longer than the operations."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import count, takewhile
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_WARM_UPS = 3
"""Runs before a capture: libraries initialize, and kernels are compiled."""


def buckets_up_to(most: int) -> Sequence[int]:
    """Return the batch sizes to capture: 1, 2, 4... below `most`, and `most`."""
    return [*takewhile(lambda rows: rows < most, (1 << power for power in count())), most]


class Graphs:
    """Work of one CUDA stream, captured once for each kind and then replayed. Other devices do the work directly.

    Work reads and writes tensors that stay at their addresses, depends on nothing else, and never waits for the device.
    All graphs share their intermediate memory, so a result is valid until other work of the same stream is run.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True, urgent: bool = False) -> None:
        """`urgent`: the device runs this work before other work."""
        self.enabled = enabled and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self.enabled else None
        # Matrix libraries use memory that belongs to the stream of the capture. On a stream of their own, these graphs
        # can run beside others. All graphs share one stream, because torch hands out the same few streams again and
        # again. The kernels of a graph keep the priority of the stream of the capture.
        self._side = torch.cuda.Stream(device, priority=-1 if urgent else 0) if self.enabled else None
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, Any]] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Run the work, or replay the graph of the first work with this key. A capture runs the work several times.

        If a capture fails, other work can still be run, on the same stream as before.
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
        assert self._pool is not None
        current = torch.cuda.current_stream()
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            for _ in range(_WARM_UPS):
                work()
        graph = torch.cuda.CUDAGraph()
        capturing = torch.cuda.graph(graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local")
        try:
            with torch.cuda.stream(current), capturing:  # torch does not restore the stream when a capture fails
                result = work()
        except Exception:
            with suppress(RuntimeError):  # nor does the allocator of every version leave the capture
                torch._C._cuda_endAllocateToPool(self._side.device_index, self._pool)
            raise
        current.wait_stream(self._side)
        return graph, result
