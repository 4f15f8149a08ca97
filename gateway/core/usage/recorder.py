"""The recorder of usage: it collects counts in memory, and writes them every few seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.core.database import jobs_database, make_database
from gateway.core.errors import UsageUnavailable
from gateway.core.telemetry import WorkTelemetry
from gateway.core.usage.memory_store import MOST_COUNTS, MemoryUsage
from gateway.core.usage.sql_store import SqlUsage
from gateway.core.usage.usage import (
    MINUTE,
    UsageCount,
    UsageCounts,
    UsageKey,
    UsageKind,
    UsageRange,
    UsageStore,
)
from gateway.settings import GatewaySettings

_WRITE_SECONDS: Final = 5.0
_FORGET_EVERY: Final = 720
"""Writes between two removals of what is older than USAGE_RETENTION: an hour, or more."""

logger = logging.getLogger(__name__)


class UsageRecorder:
    """Counts the usage of this process, and adds it to a store."""

    def __init__(self, store: UsageStore | None = None, clock: Callable[[], float] = time.time) -> None:
        """`store`: by default the memory of this process."""
        self._store = store or MemoryUsage()
        self._clock = clock
        self._pending: defaultdict[UsageKey, UsageCount] = defaultdict(UsageCount)
        self._writing = asyncio.Lock()

    def add(self, kind: UsageKind, telemetry: WorkTelemetry, amount: float, *, requests: int = 1) -> None:
        """Count work of a client: characters of speech, or seconds of transcribed audio."""
        now = int(self._clock())
        key = UsageKey(now - now % MINUTE, kind, telemetry.owner, telemetry.model or "")
        self._pending[key] += UsageCount(requests, amount)

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return what is kept, with what this process has counted. Raises `UsageUnavailable`."""
        await self.write()
        return await self._store.totals(wanted)

    async def write(self) -> bool:
        """Add the counts to the store; return False without any. Raises `UsageUnavailable`, and keeps them then."""
        async with self._writing:
            counts, self._pending = self._pending, defaultdict(UsageCount)
            if not counts:
                return False
            try:
                await self._store.add(counts)
            except BaseException:
                for key, count in counts.items():
                    self._pending[key] += count
                raise
            return True

    async def run(self, retention: float) -> None:
        """Write every few seconds, and remove what is older than `retention` seconds, until cancelled."""
        away, writes = False, 0
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                if not await self.write():
                    continue
                if writes % _FORGET_EVERY == 0:
                    await self._store.forget(int(self._clock() - retention))
                writes += 1
            except UsageUnavailable as error:
                if not away:
                    logger.warning("usage cannot be written, and is kept in memory: %s", error.detail)
                away = True
                self._drop_oldest()
                continue
            except Exception:  # nothing else would end it but a stop, and the counts would grow
                logger.exception("usage cannot be written, and is kept in memory")
                self._drop_oldest()
                continue
            if away:
                logger.warning("usage is written again")
            away = False

    async def close(self) -> None:
        """Write what is left, and close the store."""
        try:
            await self.write()
        except UsageUnavailable as error:
            logger.warning("usage of the last seconds is lost: %s", error.detail)
        await self._store.close()

    def _drop_oldest(self) -> None:
        for key in sorted(self._pending, key=lambda key: key.start)[: -MOST_COUNTS or None]:
            del self._pending[key]


@asynccontextmanager
async def open_usage(settings: GatewaySettings) -> AsyncIterator[UsageRecorder]:
    """Record usage for the block: in the database of the jobs where there are jobs, else in memory."""
    recorder = UsageRecorder(_store(settings))
    writing = asyncio.create_task(recorder.run(settings.usage_retention))
    try:
        yield recorder
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await recorder.close()


def _store(settings: GatewaySettings) -> UsageStore:
    if not settings.jobs:
        return MemoryUsage()
    return SqlUsage(jobs_database(settings), make_database)
