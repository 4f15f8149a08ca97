"""CUDA graphs: a sequence of operations that is launched as one, because launching them singly takes longer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_WARM_UPS = 3
"""Times that work is done before it is captured: libraries set themselves up, kernels are compiled."""


class Graphs:
    """Work of one CUDA stream, each kind captured once and then replayed; on any other device it is simply done.

    Work reads and writes tensors that stay where they are, depends on nothing else, and never waits for the device. All
    graphs share their intermediate memory, so what work returns is good until other work of the same stream is run.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True) -> None:
        self.enabled = enabled and device.type == "cuda"
        if self.enabled:
            self._pool = torch.cuda.graph_pool_handle()
            # Libraries have scratch memory for each stream, which graphs go on using. Those of another stream, which
            # run at the same time, must not use the same.
            self._stream = torch.cuda.Stream(device)
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, Any]] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Do the work, or what was captured of the first work with this key: capturing it does it more than once."""
        if not self.enabled:
            return work()
        if key not in self._captured:
            self._captured[key] = self._capture(work)
        graph, result = self._captured[key]
        graph.replay()
        return result  # type: ignore[no-any-return]

    def _capture(self, work: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                work()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            result = work()
        return graph, result
