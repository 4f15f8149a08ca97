"""A worker: it runs the jobs of the database until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import uuid
from typing import Final

from dbos import DBOS, DBOSClient

from gateway.core.database import jobs_database
from gateway.core.jobs.database import (
    APP,
    CALLBACKS,
    QUEUE,
    SERIALIZER,
    VERSION,
    configure_dbos_logging,
    prepare_database,
)
from gateway.core.jobs.files import JobFiles, is_id
from gateway.core.jobs.fleet import FleetMember
from gateway.core.jobs.janitor import remove_expired
from gateway.core.jobs.workflows import register_workflows
from gateway.core.services import Services
from tritone.settings import UnusableSettingError

_POLL: Final = 0.5
"""Seconds between two looks for a new job."""
_CALLBACKS: Final = 64
"""Callbacks that wait for their next attempt at once."""
_CLEAN: Final = 60.0
"""Seconds between two removals of expired jobs."""
LEAVE: Final = 3.0
"""Seconds in which a worker that ends tells the database; its supervisor kills it after `IDLE_GRACE`."""

logger = logging.getLogger(__name__)


async def run_worker(services: Services, stop: asyncio.Event) -> None:
    """Run jobs until `stop` is set. Unfinished ones are left to another worker, or the next one.

    The process must end then: DBOS threads may still be at work. Raises `UnusableSettingError` for a folder of the jobs
    that cannot be written.
    """
    settings = services.settings
    url = jobs_database(settings)
    files = JobFiles(settings.jobs_dir)
    name = f"worker-{uuid.uuid4().hex}"
    configure_dbos_logging()
    try:
        files.root.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(prepare_database, url)
    except (OSError, sqlite3.OperationalError) as error:
        problem = f"JOBS_DIR: user {os.geteuid()} cannot write {files.root}: {error}"
        raise UnusableSettingError(problem) from error
    running = register_workflows(services, files)
    member = FleetMember(url, name, running)
    await asyncio.to_thread(member.start)
    DBOS(
        config={
            "name": APP,
            "system_database_url": url,
            "application_version": VERSION,
            "executor_id": name,
            "serializer": SERIALIZER,
            "log_level": "ERROR",
        }
    )
    # In this loop, which is then the one that workflows run in.
    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, worker_concurrency=settings.jobs_at_once, polling_interval_sec=_POLL, on_conflict="always_update"
    )
    await DBOS.register_queue_async(
        CALLBACKS, worker_concurrency=_CALLBACKS, polling_interval_sec=_POLL, on_conflict="always_update"
    )
    logger.info("worker %s runs jobs", name)
    client = DBOSClient(system_database_url=url, serializer=SERIALIZER, application_name=APP)
    cleaning = asyncio.create_task(_clean(client, files, settings.jobs_retention))
    await stop.wait()
    cleaning.cancel()
    try:
        async with asyncio.timeout(LEAVE):
            await asyncio.to_thread(member.leave)
    except Exception as error:  # a database that is away keeps no worker; the others find it dead later
        logger.warning("worker %s could not say that it ends: %r", name, error)
    for job_id in filter(is_id, running):
        files.forget_starts(job_id)  # they did not end this worker


async def _clean(client: DBOSClient, files: JobFiles, retention: float) -> None:
    """Remove expired jobs from time to time, until cancelled; a removal in progress goes on in its thread."""
    while True:
        try:
            await asyncio.to_thread(remove_expired, client, files, retention)
        except Exception as error:
            logger.warning("expired jobs could not be removed: %s", error)
        await asyncio.sleep(_CLEAN)
