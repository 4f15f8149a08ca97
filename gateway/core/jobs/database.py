"""The tables of the jobs, which DBOS makes, and the names in them."""

from __future__ import annotations

import logging
from typing import Final

from dbos import DBOS, DBOSPortableJSONSerializer

from gateway.core.database import open_sqlite, sqlite_file

APP: Final = "tritone"
VERSION: Final = "1"
"""The version of the order of a job's steps: a worker continues only jobs of its own version. The default of DBOS, a
hash of the code, would leave the jobs of an older release alone."""
QUEUE: Final = "jobs"
CALLBACKS: Final = "callbacks"
JOB: Final = "job"
CALLBACK: Final = "callback"
PROGRESS: Final = "progress"

SERIALIZER: Final = DBOSPortableJSONSerializer()


def prepare_database(url: str) -> None:
    """Create the tables where they are missing. It blocks."""
    if file := sqlite_file(url):
        open_sqlite(file).close()
    DBOS.migrate(url)


def callback_id(job_id: str) -> str:
    """Return the id of the workflow that delivers the job's callback."""
    return f"callback-{job_id}"


def configure_dbos_logging() -> None:
    """Let DBOS log its errors through the root logger; by default it writes lines of its own form.

    While the database is away it warns several times a second; `FleetMember` says so once.
    """
    logger = logging.getLogger("dbos")
    logger.addHandler(logging.NullHandler())
    logger.addFilter(_is_no_cancellation)
    logger.setLevel(logging.ERROR)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Return False for the traceback of a cancelled job, which is no error."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or "Cancelled" not in kind.__name__
