"""Sizes of the audio chunks of a stream: small chunks arrive sooner, large chunks cost less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ChunkSchedule:
    """Growing chunk sizes. Every decoded chunk has one of these sizes, so that there are few shapes."""

    sizes: tuple[int, ...]
    """Codec frames of the first chunks. All further chunks have the last size."""

    def size(self, index: int) -> int:
        """Return the frames of a stream's chunk number `index`."""
        return self.sizes[min(index, len(self.sizes) - 1)]

    def smallest_for(self, frames: int) -> int:
        """Return the smallest size that holds the last `frames` of a stream, which are at most one chunk."""
        return next(size for size in self.sizes if size >= frames)


CHUNK_SCHEDULES: Mapping[str, ChunkSchedule] = {
    "latency": ChunkSchedule((2, 4, 8, 12)),
    "balanced": ChunkSchedule((4, 8, 16)),
    "throughput": ChunkSchedule((12, 24)),
}
"""By QWEN_PROFILE."""
