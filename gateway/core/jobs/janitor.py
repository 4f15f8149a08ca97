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
    waiting = client.list_workflows(
        name=JOB, status=_UNFINISHED, end_time=limit, limit=_AT_ONCE, load_input=False, load_output=False
    )
    client.cancel_workflows([row.workflow_id for row in waiting])
    expired = client.list_workflows(
        name=[JOB, CALLBACK],
        status=_FINISHED,
        completed_before=limit,
        limit=_AT_ONCE,
        load_input=False,
        load_output=False,
    )
    for row in expired:
        if row.name == JOB:
            files.remove(row.workflow_id)
    client.delete_workflows([row.workflow_id for row in expired])
    # The files of a request that died before its job was enqueued.
    old = files.older_than(retention)
    if not old:
        return  # without ids DBOS lists every workflow
    known = {row.workflow_id for row in client.list_workflows(workflow_ids=old, load_input=False, load_output=False)}
    for job_id in set(old) - known:
        files.remove(job_id)
