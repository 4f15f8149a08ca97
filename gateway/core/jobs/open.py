"""Open the jobs of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.core.database import jobs_database
from gateway.core.jobs.files import JobFiles
from gateway.core.jobs.store import JobStore
from gateway.settings import GatewaySettings


@dataclass(frozen=True)
class JobBackend:
    """The store of the jobs, and their files."""

    store: Callable[[], Awaitable[JobStore]]
    """Returns the store, which it makes at the first call."""
    files: JobFiles


@asynccontextmanager
async def open_jobs(settings: GatewaySettings) -> AsyncIterator[JobBackend | None]:
    """Open the jobs of `settings` for the block; None where JOBS is not set."""
    if not settings.jobs:
        yield None
        return
    made: JobStore | None = None
    making = asyncio.Lock()

    async def store() -> JobStore:
        nonlocal made
        async with making:
            if made is None:
                made = await asyncio.to_thread(_make_store, settings)
            return made

    try:
        yield JobBackend(store, JobFiles(settings.jobs_dir))
    finally:
        if made:
            await made.close()


def _make_store(settings: GatewaySettings) -> JobStore:
    # The database's packages take 37 MB, and half a second to import.
    from gateway.core.jobs.dbos_store import DbosStore  # noqa: PLC0415

    return DbosStore(jobs_database(settings))
