"""Expiry: remove jobs and their files JOBS_RETENTION after their end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from dbos import DBOSClient

from gateway.core.jobs.database import CALLBACK, JOB
from gateway.core.jobs.files import JobFiles

_AT_ONCE: Final = 100
_FINISHED: Final = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_UNFINISHED: Final = ["ENQUEUED", "DELAYED", "PENDING"]


def remove_expired(client: DBOSClient, files: JobFiles, retention: float) -> None:
    """Remove what expired `retention` seconds ago; cancel jobs that have waited so long. It blocks."""
    limit = datetime.fromtimestamp(time.time() - retention, UTC).isoformat()
    _cancel_waiting(client, limit)
    _remove_finished(client, files, limit)
    _remove_orphans(client, files, retention)


def _cancel_waiting(client: DBOSClient, limit: str) -> None:
    while waiting := client.list_workflows(
        name=JOB, status=_UNFINISHED, end_time=limit, limit=_AT_ONCE, load_input=False, load_output=False
    ):
        client.cancel_workflows([row.workflow_id for row in waiting])


def _remove_finished(client: DBOSClient, files: JobFiles, limit: str) -> None:
    while expired := client.list_workflows(
        name=[JOB, CALLBACK],
        status=_FINISHED,
        completed_before=limit,
        limit=_AT_ONCE,
        load_input=False,
        load_output=False,
    ):
        for row in expired:
            if row.name == JOB:
                files.remove(row.workflow_id)
        client.delete_workflows([row.workflow_id for row in expired])


def _remove_orphans(client: DBOSClient, files: JobFiles, retention: float) -> None:
    """Remove the files of requests that died before their job was enqueued."""
    old = files.older_than(retention)
    for first in range(0, len(old), _AT_ONCE):
        ids = old[first : first + _AT_ONCE]  # without any, DBOS lists every workflow
        rows = client.list_workflows(workflow_ids=ids, load_input=False, load_output=False)
        for job_id in set(ids) - {row.workflow_id for row in rows}:
            files.remove(job_id)
