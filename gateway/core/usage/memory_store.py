"""Usage in the memory of this process, which ends with it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from gateway.core.usage.usage import UsageCount, UsageCounts, UsageKey, UsageRange

MOST_COUNTS: Final = 50_000
"""Counts that are kept, a few MB; beyond it, the oldest minutes are dropped."""


class MemoryUsage:
    """A `UsageStore` for gateways without a database."""

    def __init__(self, most: int = MOST_COUNTS) -> None:
        self._most = most
        self._counts: defaultdict[UsageKey, UsageCount] = defaultdict(UsageCount)

    async def add(self, counts: UsageCounts) -> None:
        """Add counts, and drop the oldest minute while there are too many."""
        for key, count in counts.items():
            self._counts[key] += count
        while len(self._counts) > self._most:
            await self.forget(min(key.start for key in self._counts) + 1)

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return the totals."""
        totals: defaultdict[UsageKey, UsageCount] = defaultdict(UsageCount)
        for key, count in self._counts.items():
            in_time = key.kind == wanted.kind and wanted.start <= key.start < wanted.end
            if in_time and (not wanted.models or key.model in wanted.models):
                start = key.start - key.start % wanted.width
                totals[UsageKey(start, key.kind, key.owner, key.model)] += count
        return totals

    async def forget(self, before: int) -> None:
        """Remove what is older."""
        for key in [key for key in self._counts if key.start < before]:
            del self._counts[key]

    async def close(self) -> None:
        """Do nothing."""
