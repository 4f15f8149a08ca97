"""How large the pieces are in which audio leaves: small ones sound sooner, large ones cost less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """A ramp of chunk sizes. Every chunk that is decoded has one of them, so that shapes are few."""

    sizes: tuple[int, ...]
    """Codec frames of the first chunks, growing; the last size holds for all that follow."""

    def size(self, index: int) -> int:
        """Frames of a stream's chunk `index`."""
        return self.sizes[min(index, len(self.sizes) - 1)]

    def holding(self, frames: int) -> int:
        """The smallest size into which the rest of a stream, `frames` of at most a chunk, goes."""
        return next(size for size in self.sizes if size >= frames)


PROFILES: Mapping[str, Profile] = {
    "latency": Profile((2, 4, 8, 12)),
    "balanced": Profile((4, 8, 16)),
    "throughput": Profile((12, 24)),
}
