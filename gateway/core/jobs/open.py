"""Open the jobs of a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.core.jobs.database import database_url
from gateway.core.jobs.dbos_store import DbosStore
from gateway.core.jobs.files import JobFiles
from gateway.core.services import JobBackend
from gateway.settings import GatewaySettings


@asynccontextmanager
async def open_jobs(settings: GatewaySettings) -> AsyncIterator[JobBackend]:
    """Open the store of `settings` for the block; it connects when it is first used."""
    store = DbosStore(database_url(settings.jobs_url.get_secret_value(), settings.jobs_dir))
    try:
        yield JobBackend(store, JobFiles(settings.jobs_dir))
    finally:
        await store.close()
