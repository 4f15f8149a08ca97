"""The store of the jobs on DBOS: a job is a workflow, which any of its workers runs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from dbos import DBOSClient, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.errors import JobsUnavailable, StorageFull
from gateway.core.jobs.database import (
    APP,
    CALLBACK,
    CALLBACKS,
    JOB,
    PROGRESS,
    QUEUE,
    SERIALIZER,
    VERSION,
    callback_id,
    configure_dbos_logging,
    prepare_database,
)
from gateway.core.jobs.job import Job, JobError, JobSpec, JobStatus, Outcome, Progress

T = TypeVar("T")

_STATUS: Final[dict[str, JobStatus]] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "SUCCESS": "completed",
    "CANCELLED": "cancelled",
}
"""Any other status is a failure."""
_WAITING: Final = ["ENQUEUED", "DELAYED", "PENDING"]
_FAULT: Final = JobError("the server failed on this job; its log says why")
_TIES: Final = 100
"""Jobs with the same time, which the database returns in any order, that a list can sort."""


class DbosStore:
    """Jobs in the database at `url`; it connects at the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: DBOSClient | None = None
        self._connecting = asyncio.Lock()

    async def create(self, job_id: str, owner: str, spec: JobSpec) -> Job:
        """Enqueue a job."""
        client = await self._connected()
        priority = await _reported(self._turn(client, owner))
        options: Any = {
            "workflow_name": JOB,
            "workflow_id": job_id,
            "queue_name": QUEUE,
            "app_version": VERSION,
            "authenticated_user": owner,
            "priority": priority,
        }
        await _reported(client.enqueue_async(options, job_id, dataclasses.asdict(spec)))
        (row,) = await _reported(client.list_workflows_async(workflow_ids=[job_id]))
        return await self._job(client, row)

    async def get(self, job_id: str, owner: str) -> Job | None:
        """Return the owner's job, or None."""
        client = await self._connected()
        rows = await _reported(client.list_workflows_async(workflow_ids=[job_id], name=JOB, user=owner))
        return await self._job(client, rows[0]) if rows else None

    async def list(self, owner: str, limit: int, after: Job | None = None) -> list[Job]:
        """Return the owner's jobs, the newest first."""
        client = await self._connected()
        rows = await _reported(
            client.list_workflows_async(
                name=JOB,
                user=owner,
                end_time=_iso(after.created) if after else None,
                limit=limit + _TIES,
                sort_desc=True,
            )
        )
        rows.sort(key=_order, reverse=True)
        if after:
            behind = (round(after.created * 1000), after.spec.ordered, after.id)
            rows = [row for row in rows if _order(row) < behind]
        return [await self._job(client, row) for row in rows[:limit]]

    async def unfinished(self) -> Counter[JobStatus]:
        """Return the numbers of queued and running jobs of all owners."""
        client = await self._connected()
        rows = await _reported(
            client.list_workflows_async(name=JOB, status=_WAITING, load_input=False, load_output=False)
        )
        return Counter(_STATUS[row.status] for row in rows)

    async def cancel(self, job: Job) -> None:
        """End the job, and enqueue its callback, which waits for that end: first, so that none is lost in between."""
        client = await self._connected()
        if job.spec.callback_url:
            options: Any = {
                "workflow_name": CALLBACK,
                "workflow_id": callback_id(job.id),
                "queue_name": CALLBACKS,
                "app_version": VERSION,
            }
            await _reported(client.enqueue_async(options, job.id, job.spec.callback_url))
        await _reported(client.cancel_workflow_async(job.id))

    async def delete(self, job: Job) -> None:
        """Forget the job; a callback that is not yet delivered is not sent any more."""
        client = await self._connected()
        ids = [job.id, callback_id(job.id)]
        rows = await _reported(client.list_workflows_async(workflow_ids=ids, load_input=False, load_output=False))
        found = [row.workflow_id for row in rows]
        await _reported(client.cancel_workflows_async(found))
        await _reported(client.delete_workflows_async(found))

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await asyncio.to_thread(self._client.destroy)

    async def _connected(self) -> DBOSClient:
        async with self._connecting:
            if self._client is None:
                self._client = await _reported(asyncio.to_thread(_connect, self._url))
            return self._client

    async def _turn(self, client: DBOSClient, owner: str) -> int:
        """Return the priority of a new job: one behind the owner's last, but not before those that run at present.

        So owners take turns, however many jobs each has enqueued, and one without jobs gets the next place.
        """
        waiting = await client.list_workflows_async(
            user=owner,
            name=JOB,
            status=_WAITING,
            sort_desc=True,
            limit=1,
            load_input=False,
            load_output=False,
        )
        running = await client.list_workflows_async(name=JOB, status="PENDING", load_input=False, load_output=False)
        own = max((row.priority or 0 for row in waiting), default=0) + 1
        return max([own, *(row.priority or 0 for row in running)])

    async def _job(self, client: DBOSClient, row: WorkflowStatus) -> Job:
        assert row.input
        job_id, spec = row.input["args"]
        status = _STATUS.get(row.status, "failed")
        outcome = Outcome.from_json(row.output) if isinstance(row.output, dict) else Outcome()
        if status == "completed" and outcome.error:
            status = "failed"
        error = outcome.error or (_FAULT if status == "failed" else None)
        progress = outcome.progress
        if status in ("running", "cancelled"):
            values = await _reported(client.get_event_async(job_id, PROGRESS, 0))
            progress = Progress(**values) if values else progress
        return Job(
            job_id,
            row.authenticated_user or "",
            JobSpec(**spec),
            status,
            (row.created_at or 0) / 1000,
            _seconds(row.dequeued_at),
            _seconds(row.completed_at),
            progress,
            outcome.model,
            error,
        )


def _connect(url: str) -> DBOSClient:
    configure_dbos_logging()
    prepare_database(url)
    return DBOSClient(
        system_database_url=url,
        serializer=SERIALIZER,
        application_name=APP,
        # An error at once is better than a client that waits.
        retry_connection_errors=False,
    )


async def _reported(work: Awaitable[T]) -> T:
    """Await `work`. Raises `JobsUnavailable` or `StorageFull` for an error of the database."""
    try:
        return await work
    except (SQLAlchemyError, dbos_error.DBOSException, OSError) as error:
        if "disk is full" in str(error) or "No space left" in str(error):
            raise StorageFull(str(error)) from error
        raise JobsUnavailable(str(error)) from error


def _order(row: WorkflowStatus) -> tuple[int, float, str]:
    """Return what a list is sorted by. SQLite before 3.42 dates rows to the second alone."""
    spec: dict[str, Any] = row.input["args"][1] if row.input else {}
    return row.created_at or 0, spec.get("ordered", 0.0), row.workflow_id


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds + 0.001, UTC).isoformat()
